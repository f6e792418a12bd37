import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { HeadjackError, messageOf } from "../errors.ts";
import { isAlive, type LockHolder, startOf } from "./alive.ts";
import {
  type RepoRecord,
  type InstanceRecord,
  type SessionEnd,
  type SessionRecord,
  type UsageRecord,
  type SnapshotRecord,
  type EventRecord,
  type ForecastRecord,
  type ForecastRow,
  type LookRecord,
  type InstanceRow,
  type EventRow,
  type SnapshotRow,
  instanceColumns,
  sessionColumns,
  snapshotColumns,
  saveUsageSql,
  toInstanceRow,
  wholeInstance,
  fromInstanceRow,
  fromSnapshotRow,
} from "./records.ts";
import { migrate } from "./schema.ts";

const milliseconds = { busy: 5000, lockPoll: 20 };

/**
 * The embedded database. Every change is one immediate transaction: of deferred ones most fail with
 * SQLITE_BUSY under contention, in spite of the busy timeout.
 */
export class Store {
  readonly #db: Database;

  constructor(file: string) {
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      this.#db = new Database(file, { create: true, strict: true });
      this.#db.run(`PRAGMA busy_timeout = ${milliseconds.busy}`);
      switchToWal(this.#db);
      this.#db.run("PRAGMA synchronous = NORMAL");
      this.#db.run("PRAGMA foreign_keys = ON");
    } catch (error) {
      if (isDamage(error)) throw new DamagedStoreError(file, error);
      throw new HeadjackError(`Cannot open the store at ${file}: ${String(error)}.`, {
        cause: error,
        hints: [
          "Check that the folder is writable and the disk is not full.",
          "`hjk doctor` shows what is wrong.",
        ],
      });
    }
    this.#friendly(() => migrate(this.#db, file));
  }

  close(): void {
    this.#db.close();
  }

  /** Does several changes or none of them. */
  together(work: () => void): void {
    const change = this.#db.transaction(work);
    this.#friendly(() => change.immediate());
  }

  /** The same, and all of it is on the disk before this returns: what comes next destroys what only this brings back. */
  lastingly(work: () => void): void {
    this.#db.run("PRAGMA synchronous = FULL");
    try {
      this.together(work);
    } finally {
      this.#db.run("PRAGMA synchronous = NORMAL");
    }
  }

  /** Whether the database file is sound, as SQLite itself sees it. */
  integrity(): string {
    const row = this.#get("PRAGMA integrity_check") as { integrity_check: string } | undefined;
    return row?.integrity_check ?? "no answer";
  }

  /** Id of this store, on every container's labels, so that two stores on one engine stay apart. */
  id(): string {
    const row = this.#get("SELECT value FROM meta WHERE key = 'id'") as { value: string } | undefined;
    return row?.value ?? "";
  }

  // Repositories

  saveRepo(repo: RepoRecord): void {
    this.#write(
      "INSERT INTO repos (id, gitDir, name) VALUES ($id, $gitDir, $name) ON CONFLICT (id) DO UPDATE SET name = $name",
      { ...repo },
    );
  }

  repo(id: string): RepoRecord | undefined {
    return this.#get("SELECT id, gitDir, name FROM repos WHERE id = ?", id) as RepoRecord | undefined;
  }

  repos(): RepoRecord[] {
    return this.#all<RepoRecord>("SELECT id, gitDir, name FROM repos");
  }

  // Instances

  /** Adds an instance; false when the branch already has one or the id is taken. */
  addInstance(record: InstanceRecord): boolean {
    const columns = instanceColumns.map((name) => `$${name}`).join(", ");
    const sql = `INSERT OR IGNORE INTO instances (${instanceColumns.join(", ")}) VALUES (${columns})`;
    return this.#write(sql, toInstanceRow(record)) === 1;
  }

  updateInstance(id: string, change: Partial<Omit<InstanceRecord, "id">>): void {
    this.#update("instances", id, {
      ...change,
      ...(change.flags ? { flags: JSON.stringify(change.flags) } : {}),
      ...(change.refused ? { refused: JSON.stringify(change.refused) } : {}),
      ...(change.hardening ? { hardening: JSON.stringify(change.hardening) } : {}),
    });
  }

  /** Forgets an instance, and with the last one of a repository its forecasts. */
  removeInstance(id: string): void {
    this.together(() => {
      this.#write("DELETE FROM instances WHERE id = $id", { id });
      this.#write("DELETE FROM forecasts WHERE repoId NOT IN (SELECT repoId FROM instances)", {});
    });
  }

  instance(repoId: string, branch: string): InstanceRecord | undefined {
    return this.instances(repoId).find((record) => record.branch === branch);
  }

  instanceById(id: string): InstanceRecord | undefined {
    const row = this.#get("SELECT * FROM instances WHERE id = ?", id) as InstanceRow | undefined;
    return row === undefined ? undefined : fromInstanceRow(row);
  }

  /** Instances of one repository, or of all; oldest first. */
  instances(repoId?: string): InstanceRecord[] {
    const rows =
      repoId === undefined
        ? this.#all<InstanceRow>("SELECT * FROM instances ORDER BY createdAt, id")
        : this.#all<InstanceRow>("SELECT * FROM instances WHERE repoId = ? ORDER BY createdAt, id", repoId);
    return rows.map(fromInstanceRow);
  }

  // Approvals

  /** Notes that the user lets a repository do what it asks for. */
  approve(repoId: string, hash: string, at: number): void {
    this.#write("INSERT OR IGNORE INTO approvals (repoId, hash, at) VALUES ($repoId, $hash, $at)", {
      repoId,
      hash,
      at,
    });
  }

  isApproved(repoId: string, hash: string): boolean {
    return this.#get("SELECT 1 FROM approvals WHERE repoId = ? AND hash = ?", repoId, hash) !== undefined;
  }

  /** Hosts that the package managers of an image use; undefined where they have not been asked. */
  registries(image: string): string[] | undefined {
    const row = this.#get("SELECT hosts FROM registries WHERE image = ?", image);
    return row === undefined ? undefined : (JSON.parse((row as { hosts: string }).hosts) as string[]);
  }

  saveRegistries(image: string, hosts: string[]): void {
    this.#write("INSERT OR REPLACE INTO registries (image, hosts) VALUES ($image, $hosts)", {
      image,
      hosts: JSON.stringify(hosts),
    });
  }

  // Sessions

  /** Adds a session; false when a session that is not over has the name. */
  addSession(record: SessionRecord): boolean {
    const columns = sessionColumns.map((name) => `$${name}`).join(", ");
    const sql = `INSERT OR IGNORE INTO sessions (${sessionColumns.join(", ")}) VALUES (${columns})`;
    return this.#write(sql, { ...record }) === 1;
  }

  updateSession(id: string, change: Partial<Omit<SessionRecord, "id">>): void {
    this.#update("sessions", id, change);
  }

  /** Records the end of a session once: the first to say so is right. */
  endSession(id: string, ended: { end: SessionEnd; exitCode: number | null; endedAt: number }): void {
    this.#write(
      `UPDATE sessions SET state = 'ended', "end" = $end, exitCode = $exitCode, endedAt = $endedAt
       WHERE id = $id AND state != 'ended'`,
      { id, ...ended },
    );
  }

  /** Opens the record of a session that has ended for starting it again; false when its name is in use by now. */
  reopenSession(id: string, starter: number, startedAt: number): boolean {
    return (
      this.#write(
        `UPDATE OR IGNORE sessions SET state = 'starting', "end" = NULL, exitCode = NULL, endedAt = NULL,
         prompted = 0, starter = $starter, startedAt = $startedAt WHERE id = $id AND state = 'ended'`,
        { id, starter, startedAt },
      ) === 1
    );
  }

  /** Notes what the user is about to be notified of; false when they have been notified of it already. */
  tellOnce(id: string, told: string): boolean {
    return (
      this.#write("UPDATE sessions SET told = $told WHERE id = $id AND told != $told", { id, told }) === 1
    );
  }

  removeSession(id: string): void {
    this.#write("DELETE FROM sessions WHERE id = $id", { id });
  }

  session(id: string): SessionRecord | undefined {
    return this.#get("SELECT * FROM sessions WHERE id = ?", id) as SessionRecord | undefined;
  }

  /** Sessions of one instance, or of all; oldest first. */
  sessions(instanceId?: string): SessionRecord[] {
    return instanceId === undefined
      ? this.#all<SessionRecord>("SELECT * FROM sessions ORDER BY createdAt, id")
      : this.#all<SessionRecord>(
          "SELECT * FROM sessions WHERE instanceId = ? ORDER BY createdAt, id",
          instanceId,
        );
  }

  // Usage

  /**
   * Records what sessions have used. A count never becomes less: an agent throws old conversations away,
   * and of a long one only the end is read.
   */
  saveUsage(records: UsageRecord[]): void {
    const save = this.#db.transaction(() => {
      const query = this.#db.query<unknown, Record<string, string | number | null>[]>(saveUsageSql);
      for (const record of records) query.run({ ...record });
    });
    this.#friendly(() => save.immediate());
  }

  /** Usage in one repository, or in all; oldest first. */
  usage(repoId?: string): UsageRecord[] {
    return repoId === undefined
      ? this.#all<UsageRecord>("SELECT * FROM usage ORDER BY day, rowid")
      : this.#all<UsageRecord>("SELECT * FROM usage WHERE repoId = ? ORDER BY day, rowid", repoId);
  }

  /** Whether a session's usage was counted from conversations with this fingerprint. */
  hasUsage(sessionId: string, fingerprint: string): boolean {
    const sql = "SELECT 1 FROM usage WHERE sessionId = ? AND fingerprint = ?";
    return this.#get(sql, sessionId, fingerprint) !== undefined;
  }

  // Snapshots

  /** Adds a snapshot that is about to be made, with a number that no other has had. */
  addSnapshot(record: Omit<SnapshotRecord, "number">): SnapshotRecord {
    const add = this.#db.transaction(() => {
      const last = this.#db
        .query<{ number: number | null }, [string]>(
          "SELECT max(number) AS number FROM snapshots WHERE instanceId = ?",
        )
        .get(record.instanceId);
      const added = { ...record, number: (last?.number ?? 0) + 1 };
      this.#db
        .query<unknown, Record<string, string | number>[]>(
          `INSERT INTO snapshots (${snapshotColumns.map((name) => `"${name}"`).join(", ")})
           VALUES (${snapshotColumns.map((name) => `$${name}`).join(", ")})`,
        )
        .run({ ...added, leftOut: JSON.stringify(added.leftOut) });
      return added;
    });
    return this.#friendly(() => add.immediate());
  }

  /** Adds a snapshot that is there already, where its number is free. */
  keepSnapshot(record: SnapshotRecord): void {
    this.#write(
      `INSERT OR IGNORE INTO snapshots (${snapshotColumns.map((name) => `"${name}"`).join(", ")})
       VALUES (${snapshotColumns.map((name) => `$${name}`).join(", ")})`,
      { ...record, leftOut: JSON.stringify(record.leftOut) },
    );
  }

  /** Records what a snapshot has become. */
  finishSnapshot(record: SnapshotRecord): void {
    this.#write(
      `UPDATE snapshots SET "commit" = $commit, parent = $parent, tree = $tree, staged = $staged, leftOut = $leftOut
       WHERE instanceId = $instanceId AND number = $number`,
      {
        instanceId: record.instanceId,
        number: record.number,
        commit: record.commit,
        parent: record.parent,
        tree: record.tree,
        staged: record.staged,
        leftOut: JSON.stringify(record.leftOut),
      },
    );
  }

  removeSnapshot(instanceId: string, number: number): void {
    this.#write("DELETE FROM snapshots WHERE instanceId = $instanceId AND number = $number", {
      instanceId,
      number,
    });
  }

  /** Snapshots of one repository, or of all; oldest first, those that are being made included. */
  snapshots(repoId?: string): SnapshotRecord[] {
    const rows =
      repoId === undefined
        ? this.#all<SnapshotRow>("SELECT * FROM snapshots ORDER BY createdAt, number")
        : this.#all<SnapshotRow>(
            "SELECT * FROM snapshots WHERE repoId = ? ORDER BY createdAt, number",
            repoId,
          );
    return rows.map(fromSnapshotRow);
  }

  /** Snapshots that are being made, or were when their command was killed. */
  unfinishedSnapshots(): SnapshotRecord[] {
    return this.#all<SnapshotRow>(`SELECT * FROM snapshots WHERE "commit" = ''`).map(fromSnapshotRow);
  }

  // Events

  addEvent(event: Omit<EventRecord, "id" | "undone">): void {
    this.#write(
      `INSERT INTO events (repoId, branch, instanceId, command, snapshot, instance, at)
       VALUES ($repoId, $branch, $instanceId, $command, $snapshot, $instance, $at)`,
      { ...event, instance: JSON.stringify(event.instance) },
    );
  }

  undoneEvent(id: number): void {
    this.#write("UPDATE events SET undone = 1 WHERE id = $id", { id });
  }

  /** Forgets what happened before a moment: too long ago to be undone. */
  forgetEvents(repoId: string, before: number): void {
    this.#write("DELETE FROM events WHERE repoId = $repoId AND at < $before", { repoId, before });
  }

  /** Events of one repository; oldest first. */
  events(repoId: string): EventRecord[] {
    return this.#all<EventRow>("SELECT * FROM events WHERE repoId = ? ORDER BY id", repoId).map((row) => ({
      ...row,
      instance: wholeInstance(JSON.parse(row.instance) as InstanceRecord),
      undone: row.undone === 1,
    }));
  }

  // How branches stand to one another

  /**
   * Records forecasts of a repository and forgets those that are about any other commits than the given ones.
   * Of one whose last instance has gone meanwhile none are kept.
   */
  saveForecasts(repoId: string, records: ForecastRecord[], commits: string[]): void {
    const save = this.#db.transaction(() => {
      const query = this.#db.query<unknown, Record<string, string | number | null>[]>(
        `INSERT OR REPLACE INTO forecasts (repoId, ours, theirs, oursOnly, theirsOnly, conflicts, files)
         VALUES ($repoId, $ours, $theirs, $oursOnly, $theirsOnly, $conflicts, $files)`,
      );
      for (const record of records) query.run({ ...record, files: JSON.stringify(record.files) });
      this.#db
        .query(
          `DELETE FROM forecasts WHERE repoId = $repoId AND NOT
           (ours IN (SELECT value FROM json_each($commits)) AND theirs IN (SELECT value FROM json_each($commits))
            AND EXISTS (SELECT 1 FROM instances WHERE repoId = $repoId))`,
        )
        .run({ repoId, commits: JSON.stringify(commits) });
    });
    this.#friendly(() => save.immediate());
  }

  forecasts(repoId: string): ForecastRecord[] {
    return this.#all<ForecastRow>("SELECT * FROM forecasts WHERE repoId = ?", repoId).map((row) => ({
      ...row,
      // Most have none, and there are as many rows as pairs of branches.
      files: row.files === "[]" ? [] : (JSON.parse(row.files) as string[]),
    }));
  }

  saveLook(look: LookRecord): void {
    this.#write(
      // Of an instance that is being removed meanwhile nothing is kept.
      `INSERT OR REPLACE INTO looks (instanceId, head, files, at)
       SELECT $instanceId, $head, $files, $at WHERE EXISTS (SELECT 1 FROM instances WHERE id = $instanceId)`,
      { ...look },
    );
  }

  forgetLook(instanceId: string): void {
    this.#write("DELETE FROM looks WHERE instanceId = $instanceId", { instanceId });
  }

  looks(): LookRecord[] {
    return this.#all<LookRecord>("SELECT * FROM looks");
  }

  // Locks

  /**
   * Runs `work` while holding the named lock. A holder that died (kill -9) does not hold it: its
   * process id and start time are kept, and both must still be those of a living process.
   */
  async withLock<T>(
    name: string,
    work: () => Promise<T>,
    options: { signal?: AbortSignal; onWait?: () => void } = {},
  ): Promise<T> {
    let told = false;
    while (!this.#tryLock(name)) {
      if (!told) options.onWait?.();
      told = true;
      options.signal?.throwIfAborted();
      await Bun.sleep(milliseconds.lockPoll);
    }
    try {
      return await work();
    } finally {
      this.#write("DELETE FROM locks WHERE name = $name AND pid = $pid", { name, pid: process.pid });
    }
  }

  /** Whether a living process holds the lock. */
  isLocked(name: string): boolean {
    const row = this.#get("SELECT pid, started FROM locks WHERE name = ?", name) as LockHolder | undefined;
    return row !== undefined && isAlive(row);
  }

  /** Names of the locks that begin so and have living holders. */
  heldLocks(prefix: string): string[] {
    return this.#lockNames((holder) => isAlive(holder)).filter((name) => name.startsWith(prefix));
  }

  /** Names of the locks whose holders are gone. Nobody waits for them. */
  staleLocks(): string[] {
    return this.#lockNames((holder) => !isAlive(holder));
  }

  #lockNames(isWanted: (holder: LockHolder) => boolean): string[] {
    const rows = this.#all<LockHolder & { name: string }>("SELECT name, pid, started FROM locks");
    return rows.filter((row) => isWanted(row)).map((row) => row.name);
  }

  /** Forgets a lock whose holder is gone. */
  removeStaleLock(name: string): void {
    const remove = this.#db.transaction(() => {
      const row = this.#db
        .query<LockHolder, [string]>("SELECT pid, started FROM locks WHERE name = ?")
        .get(name);
      if (row !== null && !isAlive(row)) this.#db.query("DELETE FROM locks WHERE name = ?").run(name);
    });
    this.#friendly(() => remove.immediate());
  }

  #tryLock(name: string): boolean {
    const attempt = this.#db.transaction(() => {
      const row = this.#db
        .query<LockHolder, [string]>("SELECT pid, started FROM locks WHERE name = ?")
        .get(name);
      if (row !== null && isAlive(row)) return false;
      const started = startOf(process.pid);
      this.#db
        .query("INSERT OR REPLACE INTO locks (name, pid, started) VALUES ($name, $pid, $started)")
        .run({ name, pid: process.pid, started });
      return true;
    });
    return this.#friendly(() => attempt.immediate());
  }

  #get(sql: string, ...values: string[]): unknown {
    return this.#friendly(() => this.#db.query<unknown, string[]>(sql).get(...values) ?? undefined);
  }

  #all<T>(sql: string, ...values: string[]): T[] {
    return this.#friendly(() => this.#db.query<T, string[]>(sql).all(...values));
  }

  #update(table: "instances" | "sessions", id: string, change: object): void {
    const entries = Object.entries(change).filter(([, value]) => value !== undefined);
    if (entries.length === 0) return;
    const assignments = entries.map(([name]) => `"${name}" = $${name}`).join(", ");
    this.#write(`UPDATE ${table} SET ${assignments} WHERE id = $id`, { id, ...Object.fromEntries(entries) });
  }

  #write(sql: string, values: Record<string, unknown>): number {
    const change = this.#db.transaction(() => {
      return this.#db
        .query<unknown, Record<string, string | number | boolean | null>[]>(sql)
        .run(values as never);
    });
    return this.#friendly(() => change.immediate().changes);
  }

  #friendly<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") throw error;
      const what = { SQLITE_FULL: "the disk is full", SQLITE_READONLY: "it is read-only" }[error.code];
      if (isDamage(error)) throw new DamagedStoreError(this.#db.filename, error);
      throw new HeadjackError(`Cannot write the store at ${this.#db.filename}: ${what ?? error.message}.`, {
        cause: error,
        hints: ["Nothing was changed by this step; run the command again when it can be written."],
      });
    }
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^SQLITE_(CORRUPT|NOTADB)/.test(String(error.code));
}

/** A database file that SQLite can make nothing of. */
export class DamagedStoreError extends HeadjackError {
  constructor(file: string, cause: unknown) {
    super(`The store at ${file} is damaged: ${messageOf(cause)}.`, {
      cause,
      hints: [
        "`hjk doctor --fix` puts it aside, begins a new one and records again which instances there are.",
        "Branches, worktrees and containers are not touched by that; how sessions ended is forgotten.",
      ],
    });
  }
}

/** SQLite does not wait for others here, whatever the timeout: of several that make the database at once some are refused. */
function switchToWal(db: Database): void {
  for (const deadline = Date.now() + milliseconds.busy; ;) {
    try {
      db.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      const busy = error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");
      if (!busy || Date.now() > deadline) throw error;
      Bun.sleepSync(milliseconds.lockPoll);
    }
  }
}
