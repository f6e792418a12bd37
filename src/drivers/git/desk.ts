import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ProcessError } from "../process.ts";
import { isolated } from "./diff.ts";
import type { Git, GitOptions } from "./git.ts";
import type { Repository } from "./repository.ts";

/** How commits are put together, as the options of `git` name it. */
export type Way = "merge" | "squash" | "rebase";

/** What came of it. */
export type Combined = { commit: string } | { conflicts: string[] };

/** What the user has set for commits of theirs and for finding renames; nothing else of theirs applies. */
const settingNames =
  "^(user\\.|author\\.|committer\\.|commit\\.gpgsign$|gpg\\.|merge\\.(renames|renamelimit|directoryrenames)$|diff\\.(renames|renamelimit|algorithm)$)";

/** The settings, as words for git's command line. */
export async function commitSettings(git: Git, repository: Repository): Promise<string[]> {
  const found = await git.try(["config", "--null", "--get-regexp", settingNames], { cwd: repository.gitDir });
  return found.stdout
    .split("\0")
    .filter((entry) => entry !== "")
    .map((entry) => {
      const end = entry.indexOf("\n");
      return end < 0
        ? { key: entry, value: "true" }
        : { key: entry.slice(0, end), value: entry.slice(end + 1) };
    })
    .filter(({ key, value }) => !/program$|command$/i.test(key) || !isRelative(value))
    .flatMap(({ key, value }) => ["-c", `${key}=${value}`]);
}

/** A program that would be looked for where the branch's files are. */
const isRelative = (program: string): boolean => program.includes("/") && !/^[/~]/.test(program);

/**
 * A worktree of the hub in which commits are put together. The hub has no configuration of the user's, so
 * no filter, merge driver or hook runs there, whatever the files ask for, and nothing of the user's
 * repository is touched.
 */
export class Desk {
  readonly folder: string;
  readonly #git: Git;
  readonly #hub: string;
  readonly #room: string;
  readonly #settings: readonly string[];
  readonly #signal: AbortSignal;

  private constructor(
    git: Git,
    desk: { hub: string; room: string; settings: readonly string[]; signal: AbortSignal },
  ) {
    this.#git = git;
    this.#hub = desk.hub;
    this.#room = desk.room;
    // A name of its own: the git of a killed command may still be at work on its desk.
    this.folder = join(desk.room, crypto.randomUUID());
    this.#settings = desk.settings;
    this.#signal = desk.signal;
  }

  /** Lays a commit on a new desk. `room` holds the desks; what a killed command has left there goes first. */
  static async open(
    git: Git,
    desk: {
      hub: string;
      room: string;
      commit: string;
      settings: readonly string[];
      signal: AbortSignal;
    },
  ): Promise<Desk> {
    await rm(desk.room, { recursive: true, force: true });
    await mkdir(desk.room, { recursive: true, mode: 0o700 });
    const made = new Desk(git, desk);
    await made.#inHub(["worktree", "prune"]);
    await made.#inHub(["worktree", "add", "--quiet", "--detach", made.folder, desk.commit]);
    return made;
  }

  async close(): Promise<void> {
    await rm(this.#room, { recursive: true, force: true });
    await this.#git.try(["worktree", "prune"], { cwd: this.#hub, env: isolated });
  }

  /** Puts the commits of `theirs` on what lies here, `ours`. */
  async combine(work: { way: Way; ours: string; theirs: string; message: string }): Promise<Combined> {
    const { way, ours, theirs, message } = work;
    if (way === "rebase") await this.#run(["checkout", "--quiet", "--detach", theirs]);
    const command = {
      merge: ["merge", "--quiet", "--no-ff", `--message=${message}`, theirs],
      squash: ["merge", "--quiet", "--squash", theirs],
      rebase: ["rebase", "--quiet", ours],
    }[way];
    const conflicts = await this.#conflictsOf(command);
    if (conflicts.length > 0) return { conflicts };
    if (way === "squash") await this.#run(["commit", "--quiet", "--allow-empty", `--message=${message}`]);
    return { commit: (await this.#run(["rev-parse", "HEAD"])).trim() };
  }

  /** Puts the difference between two states on what lies here; the tree that it makes. */
  async transplant(from: string, to: string): Promise<{ tree: string } | { conflicts: string[] }> {
    const step = ["commit-tree", `${to}^{tree}`, "-p", from, "-m", "hjk apply"];
    const commit = (await this.#run(step)).trim();
    const conflicts = await this.#conflictsOf(["cherry-pick", "--no-commit", commit]);
    if (conflicts.length > 0) return { conflicts };
    return { tree: (await this.#run(["write-tree"])).trim() };
  }

  /** Runs what may stop at a conflict; the files that are in conflict. */
  async #conflictsOf(command: string[]): Promise<string[]> {
    const result = await this.#git.try([...this.#settings, ...command], this.#how());
    if (result.code === 0) return [];
    const unmerged = await this.#run(["diff", "--name-only", "--diff-filter=U", "-z"]);
    const conflicts = unmerged.split("\0").filter((path) => path !== "");
    if (conflicts.length === 0) throw new ProcessError(["git"], "exit", result);
    return [...new Set(conflicts)];
  }

  async #run(args: readonly string[]): Promise<string> {
    return await this.#git.run([...this.#settings, ...args], this.#how());
  }

  async #inHub(args: readonly string[]): Promise<void> {
    await this.#git.run(args, { ...this.#how(), cwd: this.#hub });
  }

  #how(): GitOptions {
    return { cwd: this.folder, env: isolated, signal: this.#signal };
  }
}

/** Whether a commit is in the history of another. */
export async function isAncestor(
  git: Git,
  folder: string,
  ancestor: string,
  descendant: string,
): Promise<boolean> {
  const command = ["merge-base", "--is-ancestor", ancestor, descendant];
  return (await git.try(command, { cwd: folder })).code === 0;
}
