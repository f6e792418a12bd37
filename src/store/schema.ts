import type { Database } from "bun:sqlite";
import { HeadjackError } from "../errors.ts";

/** One entry a version; an entry is never changed after it has been released. */
const migrations = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE repos (id TEXT PRIMARY KEY, gitDir TEXT NOT NULL UNIQUE, name TEXT NOT NULL) STRICT;
  CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    repoId TEXT NOT NULL REFERENCES repos (id),
    branch TEXT NOT NULL,
    state TEXT NOT NULL,
    engine TEXT NOT NULL,
    container TEXT NOT NULL,
    image TEXT NOT NULL,
    flags TEXT NOT NULL,
    baseCommit TEXT NOT NULL,
    branchCreated INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    user TEXT NOT NULL,
    head TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    notice TEXT NOT NULL,
    warning TEXT NOT NULL,
    createdAt INTEGER NOT NULL,
    UNIQUE (repoId, branch)
  ) STRICT;
  CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    instanceId TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    starter INTEGER NOT NULL,
    createdAt INTEGER NOT NULL,
    accessedAt INTEGER NOT NULL,
    endedAt INTEGER,
    exitCode INTEGER,
    "end" TEXT,
    log TEXT NOT NULL,
    cols INTEGER NOT NULL,
    rows INTEGER NOT NULL
  ) STRICT;
  -- A name is free again once its session is over; the older recording stays readable by it.
  CREATE UNIQUE INDEX live_session_names ON sessions (instanceId, name) WHERE state != 'ended';
  CREATE TABLE locks (name TEXT PRIMARY KEY, pid INTEGER NOT NULL, started TEXT NOT NULL) STRICT;
  `,
  `
  ALTER TABLE sessions ADD COLUMN startedAt INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE sessions ADD COLUMN prompted INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE sessions ADD COLUMN told TEXT NOT NULL DEFAULT '';
  ALTER TABLE sessions ADD COLUMN terminal TEXT NOT NULL DEFAULT '';
  ALTER TABLE sessions ADD COLUMN endsAt INTEGER;
  ALTER TABLE sessions ADD COLUMN maxTurns INTEGER;
  ALTER TABLE sessions ADD COLUMN turnKey TEXT NOT NULL DEFAULT '';
  ALTER TABLE sessions ADD COLUMN turn TEXT NOT NULL DEFAULT '';
  `,
  `
  -- What a session has used on a day (UTC). Names rather than references: it outlives session and instance.
  CREATE TABLE usage (
    sessionId TEXT NOT NULL,
    day TEXT NOT NULL,
    repoId TEXT NOT NULL,
    branch TEXT NOT NULL,
    session TEXT NOT NULL,
    agent TEXT NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cacheRead INTEGER NOT NULL,
    cacheWrite INTEGER NOT NULL,
    cost REAL,
    turns INTEGER NOT NULL,
    turnMs INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (sessionId, day)
  ) STRICT;
  `,
  `
  -- The whole state of a workspace at a moment. Names rather than references: it outlives the instance.
  CREATE TABLE snapshots (
    instanceId TEXT NOT NULL,
    number INTEGER NOT NULL,
    repoId TEXT NOT NULL,
    branch TEXT NOT NULL,
    reason TEXT NOT NULL,
    "commit" TEXT NOT NULL,
    parent TEXT NOT NULL,
    tree TEXT NOT NULL,
    staged TEXT NOT NULL,
    leftOut TEXT NOT NULL,
    createdAt INTEGER NOT NULL,
    PRIMARY KEY (instanceId, number)
  ) STRICT;
  `,
  `
  -- Commands that have destroyed something, and what undoing them needs.
  CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repoId TEXT NOT NULL,
    branch TEXT NOT NULL,
    instanceId TEXT NOT NULL,
    command TEXT NOT NULL,
    snapshot INTEGER,
    instance TEXT NOT NULL,
    at INTEGER NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  `,
  `
  ALTER TABLE instances ADD COLUMN hardening TEXT NOT NULL DEFAULT '{"given":{}}';
  `,
  `
  -- What the user has let a repository do, by the hash of what it asks for.
  CREATE TABLE approvals (repoId TEXT NOT NULL, hash TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (repoId, hash)) STRICT;
  `,
  `
  -- What would come of merging two commits, each pair once. Forgotten at will: it can be found out again.
  CREATE TABLE forecasts (
    repoId TEXT NOT NULL,
    ours TEXT NOT NULL,
    theirs TEXT NOT NULL,
    oursOnly INTEGER,
    theirsOnly INTEGER,
    conflicts INTEGER,
    files TEXT NOT NULL,
    PRIMARY KEY (repoId, ours, theirs)
  ) STRICT, WITHOUT ROWID;
  -- How many files of an instance were in no commit when that was last looked at.
  CREATE TABLE looks (
    instanceId TEXT PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    head TEXT NOT NULL,
    files INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- Where the package managers of an image get their packages, by the id of the image.
  CREATE TABLE registries (image TEXT PRIMARY KEY, hosts TEXT NOT NULL) STRICT;
  ALTER TABLE sessions ADD COLUMN exposed INTEGER NOT NULL DEFAULT 0;
  -- Hosts that its gateway refused since the user last looked, as JSON.
  ALTER TABLE instances ADD COLUMN refused TEXT NOT NULL DEFAULT '[]';
  `,
];

/** Brings the database to this version of Headjack; refuses one written by a newer version. */
export function migrate(db: Database, file: string): void {
  const versionOf = (): number =>
    db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
  if (versionOf() === migrations.length) return;
  const upgrade = db.transaction(() => {
    // Read again inside the transaction: another process may have done it meanwhile.
    const version = versionOf();
    if (version > migrations.length) {
      throw new HeadjackError(
        `The store at ${file} was written by a newer version of Headjack (schema ${version}).`,
        {
          hints: ["Upgrade `hjk`. Nothing was changed."],
        },
      );
    }
    for (const sql of migrations.slice(version)) db.run(sql);
    if (version === 0) db.query("INSERT INTO meta (key, value) VALUES ('id', ?)").run(crypto.randomUUID());
    db.run(`PRAGMA user_version = ${migrations.length}`);
  });
  upgrade.immediate();
}
