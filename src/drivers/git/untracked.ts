import { basename, dirname, resolve } from "node:path";
import type { Git } from "./git.ts";
import type { Repository } from "./repository.ts";

/** The folder of the repository's main worktree; undefined for a bare one. */
export async function mainWorktree(git: Git, repository: Repository): Promise<string | undefined> {
  const at = { cwd: repository.gitDir };
  const elsewhere = await git.try(["config", "--get", "core.worktree"], at);
  if (elsewhere.code === 0) return resolve(repository.gitDir, elsewhere.stdout.trimEnd());
  const bare = await git.try(["rev-parse", "--is-bare-repository"], at);
  if (bare.stdout.trim() !== "false" || basename(repository.gitDir) !== ".git") return undefined;
  return dirname(repository.gitDir);
}

/** To git, `!folder/` says nothing of files in the folder that another pattern names; here it leaves them out. */
function withContents(pattern: string): string[] {
  const folder = /^!(.*[^/])\/$/.exec(pattern)?.[1];
  if (folder === undefined) return [pattern];
  return [pattern, folder.includes("/") ? `!${folder}/**` : `!**/${folder}/**`];
}

/**
 * Files of a worktree of the user's that git does not track and a pattern takes in. The patterns are those
 * of .gitignore, and the last one that fits decides.
 */
export async function untrackedFiles(
  git: Git,
  folder: string,
  patterns: readonly string[],
): Promise<string[]> {
  const excludes = patterns.flatMap((pattern) => withContents(pattern)).map((one) => `--exclude=${one}`);
  const listed = await git.run(["ls-files", "-z", "--others", "--ignored", ...excludes], { cwd: folder });
  // A repository inside is listed as a folder.
  return listed.split("\0").filter((path) => path !== "" && !path.endsWith("/"));
}
