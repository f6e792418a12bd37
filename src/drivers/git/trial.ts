import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isolated } from "./diff.ts";
import type { Git, GitOptions } from "./git.ts";

/** What came of a merge on trial. */
export interface Tried {
  tree: string;
  /** Files in conflict; none when it went well. */
  conflicts: string[];
}

/** Bytes of the largest file that a merge on trial may write. */
const maxFileBytes = 64 * 1024 * 1024;

/**
 * Merges commits without a worktree, to see what would come of it. What git writes goes into a folder of its own that
 * is thrown away. The hub is bare and has no configuration of the user's: neither a merge driver nor a filter is
 * known there, and no .gitattributes is read, so nothing that a branch says makes a program run.
 */
export class Trial {
  readonly #git: Git;
  readonly #room: string;
  readonly #how: GitOptions;

  private constructor(git: Git, room: string, how: GitOptions) {
    this.#git = git;
    this.#room = room;
    this.#how = how;
  }

  /** One at a time for each hub: what a killed command has left there goes first. */
  static async open(git: Git, hub: string, signal: AbortSignal): Promise<Trial> {
    const room = join(hub, "trial");
    await rm(room, { recursive: true, force: true });
    // A name of its own: the git of a killed command may still be at work.
    const objects = join(room, crypto.randomUUID());
    await mkdir(join(objects, "info"), { recursive: true, mode: 0o700 });
    await writeFile(join(objects, "info", "alternates"), `${join(hub, "objects")}\n`);
    return new Trial(git, room, { cwd: hub, env: { ...isolated, GIT_OBJECT_DIRECTORY: objects }, signal });
  }

  async close(): Promise<void> {
    await rm(this.#room, { recursive: true, force: true });
  }

  /** How many commits only the one has, and only the other; undefined where that cannot be told. */
  async apart(ours: string, theirs: string, timeoutMs: number): Promise<[number, number] | undefined> {
    const count = ["rev-list", "--left-right", "--count", `${ours}...${theirs}`];
    const result = await this.#git.try(count, { ...this.#how, timeoutMs });
    const found = /^(\d+)\t(\d+)\n$/.exec(result.stdout);
    return result.code === 0 && found !== null ? [Number(found[1]), Number(found[2])] : undefined;
  }

  /** Merges the one into the other; undefined where git cannot tell, also one older than 2.38. */
  async merge(ours: string, theirs: string, timeoutMs: number): Promise<Tried | undefined> {
    const plain = ["-c", "core.attributesFile=/dev/null"];
    const command = [...plain, "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"];
    const result = await this.#git.try([...command, ours, theirs], {
      ...this.#how,
      timeoutMs,
      maxFileBytes,
    });
    if (result.code !== 0 && result.code !== 1) return undefined;
    // Git 2.39 takes a folder that it cannot read for an empty one, and says so only here.
    if (/^error: /m.test(result.stderr)) return undefined;
    const [tree = "", ...names] = result.stdout.split("\0");
    const conflicts = names.filter((name) => name !== "");
    // A conflict that is in no file is none that could be told of.
    if (!/^[0-9a-f]{40,64}$/.test(tree) || (result.code === 1) !== conflicts.length > 0) return undefined;
    return { tree, conflicts };
  }

  /** Makes a commit for further merges on trial. */
  async commit(tree: string, parents: readonly string[]): Promise<string> {
    const who = {
      GIT_AUTHOR_NAME: "hjk",
      GIT_AUTHOR_EMAIL: "hjk",
      GIT_COMMITTER_NAME: "hjk",
      GIT_COMMITTER_EMAIL: "hjk",
    };
    const command = ["commit-tree", ...parents.flatMap((parent) => ["-p", parent]), "-m", "trial", tree];
    const made = await this.#git.run(command, { ...this.#how, env: { ...this.#how.env, ...who } });
    return made.trim();
  }
}
