import { appendFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { binary, runProgram, Sandbox, type Output } from "../harness.ts";
import { gitIn, Instance } from "../workbench.ts";

/** The branch of the one instance in a world. */
export const branch = "feat/x";

/** A moment at which the program is ended. */
export interface Point {
  /** Which of its steps, counted from 1. */
  at: number;
  /** `before` a step; or a moment after another program has been asked to do it, which then goes on alone. */
  when: "before" | "under way";
  /** What the step is. */
  what: string;
}

const dates = ["AUTHOR", "COMMITTER"].map((who) => `GIT_${who}_DATE='2026-01-01T12:00:00Z'`).join(" ");

/**
 * Brings a workspace, however it is, into the state in which commands begin: two branches with a commit each,
 * a stash, and files that are staged, changed and not tracked. The commits of an instance are the same each time.
 */
const work = `
cd /workspace
export ${dates}
rm -f /hjk/git/*.lock
git checkout -q -f --detach BASE
git stash clear
git clean -fdq
git branch -q -D ${branch} side 2>/dev/null || true
git checkout -q -b side
echo side > side.txt; git add side.txt; git commit -qm 'side of ID'
git checkout -q -b ${branch} BASE
echo one > one.txt; git add one.txt; git commit -qm 'one of ID'
echo stashed > stashed.txt; git add stashed.txt; git stash push -q -m 'kept of ID'
echo staged > staged.txt; git add staged.txt
echo changed >> README.md
mkdir -p new; echo untracked > new/untracked.txt
`;

/** Other files in the same workspace, which a restore replaces. */
const otherWork = `cd /workspace; rm -rf new; git checkout -q README.md; echo b >> one.txt; echo b > only-b.txt`;

/** All that an agent could miss, as text. */
const look = `
cd /workspace
git symbolic-ref HEAD; git rev-parse HEAD; git rev-parse side
git status --porcelain --untracked-files=all
git diff HEAD; git diff --cached
cat new/untracked.txt only-b.txt 2>/dev/null || true
git stash list --format=%gs; git stash show -p 2>/dev/null || true
`;

const others = (kind: string, found: string[], expected: string[]): string[] =>
  found.filter((name) => !expected.includes(name)).map((name) => `${kind} ${name}`);

/** Snapshots that only one of store and repository knows. */
function differing(rows: string[], refs: string[]): string[] {
  return [
    ...rows.filter((row) => !refs.includes(row)).map((row) => `record of ${row}`),
    ...refs.filter((ref) => !rows.includes(ref)).map((ref) => `unrecorded ${ref}`),
  ];
}

/** A repository, a store and one instance, in which a command is killed again and again. */
export class World {
  readonly sandbox: Sandbox;
  readonly #faulty: string;
  /** The user's branch at its beginning. */
  readonly base: string;
  /** The same with a commit more, which the instance lacks. */
  readonly ahead: string;
  #instance: Instance | undefined;
  /** How the workspace looks in the state in which commands begin; empty until it has been seen. */
  #whole = "";

  private constructor(sandbox: Sandbox, faulty: string, at: { base: string; ahead: string }) {
    this.sandbox = sandbox;
    this.#faulty = faulty;
    this.base = at.base;
    this.ahead = at.ahead;
  }

  /** `faulty` is the build that can be killed; `prepare` comes before anything is made in the sandbox. */
  static async create(
    options: {
      faulty?: string;
      prepare?: (sandbox: Sandbox) => Promise<void>;
    } = {},
  ): Promise<World> {
    const sandbox = await Sandbox.create();
    await options.prepare?.(sandbox);
    const base = await sandbox.git("rev-parse", "HEAD");
    await appendFile(join(sandbox.repo, "ahead.txt"), "ahead\n");
    await sandbox.git("add", "ahead.txt");
    await sandbox.git("commit", "--quiet", "-m", "ahead");
    const ahead = await sandbox.git("rev-parse", "HEAD");
    // Of the user's own: a stash, a branch, and a file that is not tracked.
    await appendFile(join(sandbox.repo, "README.md"), "mine\n");
    await sandbox.git("stash", "push", "--quiet", "-m", "mine");
    await sandbox.git("branch", "mine");
    await sandbox.git("reset", "--quiet", "--hard", base);
    await writeFile(join(sandbox.repo, "mine.txt"), "mine\n");
    return new World(sandbox, options.faulty ?? binary, { base, ahead });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox[Symbol.asyncDispose]();
  }

  get instance(): Instance {
    if (this.#instance === undefined) throw new Error("there is no instance in this world");
    return this.#instance;
  }

  /**
   * Runs `hjk` and ends it at a point, or does something else there; without one it runs to its end. Returns
   * how it ended and the steps it took.
   */
  async killed(args: string[], point?: Point, instead = ""): Promise<Output & { steps: string[] }> {
    const journal = join(this.sandbox.folder, "journal");
    await rm(journal, { force: true });
    const env = {
      ...this.sandbox.env,
      HJK_FAULT_JOURNAL: journal,
      ...(point === undefined
        ? {}
        : { HJK_FAULT_AT: String(point.at), HJK_FAULT_WHEN: point.when, HJK_FAULT_INSTEAD: instead }),
    };
    const result = await runProgram([this.#faulty, ...args], { cwd: this.sandbox.repo, env });
    const text = await readFile(journal, "utf8").catch(() => "");
    return { ...result, steps: text.split("\n").filter((line) => line !== "") };
  }

  async hjk(...args: string[]): Promise<Output> {
    return await this.sandbox.hjk(args);
  }

  async ok(...args: string[]): Promise<string> {
    return await this.sandbox.ok(args);
  }

  async git(...args: string[]): Promise<string> {
    return await gitIn(this.sandbox, this.sandbox.repo, ...args);
  }

  /** Whether the store has the instance, half made or removed ones not. */
  async isThere(): Promise<boolean> {
    return (await this.sandbox.instances()).some((one) => one.branch === branch);
  }

  /** Brings the user's repository and the instance into the state in which commands begin. */
  async ready(): Promise<void> {
    await this.resetUser();
    const there = this.#instance !== undefined && (await this.isRunning());
    if (!there) {
      await this.gone();
      this.#instance = await Instance.make(this.sandbox, branch);
      this.#whole = "";
    }
    await this.instance.inside(work.replaceAll("BASE", this.base).replaceAll("ID", this.instance.id));
    const tip = await this.instance.inside("git rev-parse HEAD");
    // As if it had come home: one that a test has left elsewhere would be in the way.
    if ((await this.instance.at()) !== "") await this.git("update-ref", `refs/heads/${branch}`, this.base);
    await this.bringHome(tip);
    const seen = await this.look();
    if (this.#whole === "") this.#whole = seen;
    if (seen !== this.#whole) throw new Error(`the state could not be made again:\n${seen}`);
  }

  /** Waits until the instance's tip is in the user's repository: where much is going on, `ps` leaves it to the next. */
  async bringHome(tip: string, ref = `refs/heads/${branch}`): Promise<void> {
    let said = "";
    for (let round = 0; round < 5; round += 1) {
      said = await this.ok("ps");
      if ((await this.instance.at(ref)) === tip) return;
    }
    throw new Error(`${tip} did not come home to ${ref}:\n${said}`);
  }

  /** Leaves no instance and no branch of it. */
  async gone(): Promise<void> {
    await this.ok("ps");
    if (await this.isThere()) await this.ok("rm", "-f", branch);
    this.#instance = undefined;
    if ((await this.git("branch", "--list", branch)) !== "") await this.git("branch", "-D", branch);
  }

  /** The user's own branch and files as they were at the beginning, or with the commit that the instance lacks. */
  async resetUser(at = this.base): Promise<void> {
    await this.git("reset", "--quiet", "--hard", at);
    await this.git("clean", "-fdq", "--exclude=mine.txt");
  }

  async otherFiles(): Promise<void> {
    await this.instance.inside(otherWork);
  }

  async isRunning(): Promise<boolean> {
    const format = "{{.State.Running}}";
    const found = await runProgram(["docker", "inspect", "-f", format, this.instance.container]);
    return found.stdout.trim() === "true";
  }

  async look(): Promise<string> {
    return await this.instance.inside(look);
  }

  /** Fails unless the instance has all that it had when the command began. */
  async expectWhole(): Promise<void> {
    const seen = await this.look();
    if (seen !== this.#whole) throw new Error(`lost:\n${this.#whole}\n--- is now\n${seen}`);
  }

  async isWhole(): Promise<boolean> {
    return (await this.look()) === this.#whole;
  }

  /** Newest snapshot of the instance in the user's repository. */
  async newestSnapshot(): Promise<number> {
    const refs = await this.git(
      "for-each-ref",
      "--format=%(refname)",
      `refs/headjack/${this.instance.id}/snapshots`,
    );
    return Math.max(0, ...refs.split("\n").map((ref) => Number(ref.split("/").at(-1))));
  }

  /** Whether a snapshot has files with this content, by path. */
  async isInSnapshot(files: Record<string, string>): Promise<boolean> {
    const refs = await this.git(
      "for-each-ref",
      "--format=%(refname)",
      `refs/headjack/${this.instance.id}/snapshots`,
    );
    for (const ref of refs.split("\n").filter((line) => line !== "")) {
      const has = await Promise.all(
        Object.entries(files).map(async ([path, content]) => {
          const found = await runProgram(["git", "show", `${ref}:${path}`], { cwd: this.sandbox.repo });
          return found.code === 0 && found.stdout === content;
        }),
      );
      if (has.every(Boolean)) return true;
    }
    return false;
  }

  /** What is the user's: branches, index, files and stashes. */
  async user(): Promise<{ head: string; status: string; others: string }> {
    const branches = await this.git(
      "for-each-ref",
      "--format=%(refname) %(objectname)",
      "refs/heads/mine",
      "refs/stash",
    );
    const mine = await readFile(join(this.sandbox.repo, "mine.txt"), "utf8");
    return {
      head: await this.git("rev-parse", "HEAD"),
      status: await this.git("status", "--porcelain", "--untracked-files=all"),
      others: `${await this.git("symbolic-ref", "HEAD")} ${branches} ${mine}`,
    };
  }

  /** What a killed command has left that no later one has cleared away; empty when all is in order. */
  async leftOver(): Promise<string[]> {
    const { folder, repo } = this.sandbox;
    const data = join(folder, "hjk", "data");
    const id = this.#instance?.id ?? "";
    const there = id !== "" && (await this.isThere());
    const names = async (path: string): Promise<string[]> => await readdir(join(data, path)).catch(() => []);
    const worktrees = (await names("worktrees")).map((name) => join("worktrees", name));
    const admin = await readdir(join(repo, ".git", "worktrees")).catch(() => []);
    const workspaces = (await Promise.all(worktrees.map(names))).flat();
    const hubs = await names("hubs");
    const desks = (await Promise.all(hubs.map((name) => names(join("hubs", name, "desk"))))).flat();
    const mine = (name: string): boolean => there && name.endsWith(`-${id}`);
    const refs = await this.git("for-each-ref", "--format=%(refname)", "refs/headjack");
    const snapshots = refs.split("\n").filter((ref) => ref.includes("/snapshots/"));
    const staged = refs.split("\n").filter((ref) => ref.includes("/staged/"));
    return [
      ...(await this.sandbox.containers()).filter((name) => !mine(name)).map((name) => `container ${name}`),
      ...workspaces.filter((name) => !mine(name)).map((name) => `workspace ${name}`),
      ...admin.filter((name) => !mine(name)).map((name) => `admin folder ${name}`),
      ...others("folder", await names("instances"), there ? [id] : []),
      ...others("recordings", await names("logs"), there ? [id] : []),
      ...(await names("run")).filter((name) => name.endsWith(".env")).map((name) => `pipe ${name}`),
      ...(await names("")).filter((name) => name.endsWith(".tmp")).map((name) => `file ${name}`),
      ...hubs.filter((name) => !/^[0-9a-f]+\.git$/.test(name)).map((name) => `hub ${name}`),
      ...desks.map((name) => `desk ${name}`),
      ...staged.filter((ref) => !snapshots.includes(ref.replace("/staged/", "/snapshots/"))),
      ...this.#rows(snapshots),
    ];
  }

  /** Rows of the store that say that something is under way; nothing is. */
  #rows(snapshots: string[]): string[] {
    const db = new Database(join(this.sandbox.folder, "hjk", "data", "headjack.db"), { readonly: true });
    try {
      const all = (sql: string): string[] =>
        db
          .query<{ row: string }, []>(sql)
          .all()
          .map(({ row }) => row);
      return [
        ...all("SELECT 'instance ' || state AS row FROM instances WHERE state != 'ready'"),
        ...all("SELECT 'session ' || state AS row FROM sessions WHERE state = 'starting'"),
        ...differing(
          all(`SELECT 'refs/headjack/' || instanceId || '/snapshots/' || number AS row FROM snapshots`),
          snapshots,
        ),
        ...all("SELECT 'lock ' || name AS row FROM locks"),
      ];
    } finally {
      db.close();
    }
  }

  /** Fails unless git and `hjk doctor` are content and nothing is left over. */
  async expectSound(): Promise<void> {
    const fsck = await this.git("fsck", "--strict", "--no-dangling", "--no-progress");
    if (fsck !== "") throw new Error(`git fsck: ${fsck}`);
    const doctor = await this.hjk("doctor", "--fix", "--json");
    const { findings } = JSON.parse(doctor.stdout) as {
      findings: { what: string; state: string; detail: string; fixed?: string }[];
    };
    // An engine of a test's own has another image.
    const bad = findings.filter(
      ({ what, state, fixed }) => state !== "ok" && fixed === undefined && what !== "base image",
    );
    if (bad.length > 0) throw new Error(`doctor: ${JSON.stringify(bad)}`);
    const left = await this.leftOver();
    if (left.length > 0) throw new Error(`left over: ${left.join(", ")}`);
  }
}
