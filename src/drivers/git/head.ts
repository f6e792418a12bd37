import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Git } from "./git.ts";

/** What a repository's main worktree has checked out. */
export interface Head {
  /** Name of the branch; `HEAD` where it is a commit in place of a branch. */
  name: string;
  commit: string;
}

/**
 * What the main worktree has checked out. Read in git's own files where they are plain, since `hjk ps` asks each
 * time. Undefined before a first commit.
 */
export async function headOf(git: Git, gitDir: string): Promise<Head | undefined> {
  const plain = readHead(gitDir);
  if (plain !== undefined) return plain;
  // The common git directory's HEAD is the main worktree's.
  const ask = ["rev-parse", "HEAD^{commit}", "--symbolic-full-name", "HEAD"];
  const found = await git.try(ask, { cwd: gitDir });
  const [commit = "", ref = ""] = found.stdout.split("\n");
  if (found.code !== 0) return undefined;
  return { name: ref.startsWith(branches) ? ref.slice(branches.length) : "HEAD", commit };
}

const branches = "refs/heads/";

/** Undefined where only git can tell: a branch that stands for another, another kind of storage. */
function readHead(gitDir: string): Head | undefined {
  const head = read(gitDir, "HEAD");
  const detached = commitIn(head);
  if (detached !== undefined) return { name: "HEAD", commit: detached };
  const ref = /^ref: (refs\/heads\/.+)\n$/.exec(head)?.[1];
  if (ref === undefined) return undefined;
  let line = read(gitDir, ref);
  if (line === "") {
    const packed = read(gitDir, "packed-refs");
    const end = packed.indexOf(` ${ref}\n`);
    line = end < 0 ? "" : `${packed.slice(packed.lastIndexOf("\n", end) + 1, end)}\n`;
  }
  const commit = commitIn(line);
  return commit === undefined ? undefined : { name: ref.slice(branches.length), commit };
}

const commitIn = (line: string): string | undefined => /^([0-9a-f]{40}|[0-9a-f]{64})\n$/.exec(line)?.[1];

function read(gitDir: string, name: string): string {
  try {
    return readFileSync(join(gitDir, name), "utf8");
  } catch {
    return "";
  }
}
