import type { Git } from "./git.ts";

/** Of no user: no filter that they have defined is run for what a repository's attributes ask for. */
const isolated = { GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", GIT_LITERAL_PATHSPECS: "1" };

/**
 * Writes the files of a commit into an empty folder: those at or below `paths`, or all of them. Without `links` a link is a file
 * that holds its path, so that nobody who reads there can be led elsewhere.
 */
export async function writeTree(
  git: Git,
  hub: string,
  commit: string,
  into: { folder: string; index: string; paths: readonly string[] | undefined; links: boolean },
): Promise<void> {
  const env = { ...isolated, GIT_DIR: hub, GIT_WORK_TREE: into.folder, GIT_INDEX_FILE: into.index };
  const how = { cwd: into.folder, env };
  const config = ["-c", `core.symlinks=${into.links}`];
  await git.run(["read-tree", `${commit}^{tree}`], how);
  if (into.paths === undefined) {
    await git.run([...config, "checkout-index", "--all"], how);
    return;
  }
  const listed = await git.run(["ls-files", "-z", "--", ...into.paths], how);
  await git.run([...config, "checkout-index", "-z", "--stdin"], { ...how, input: listed });
}

/** Ids of what a commit has at paths, and of all that it has for none; empty where there is nothing. */
export async function idsAt(
  git: Git,
  folder: string,
  commit: string,
  paths: readonly string[] | undefined,
): Promise<string[]> {
  const names = paths === undefined ? [`${commit}^{tree}`] : paths.map((path) => `${commit}:${path}`);
  const found = names.map((name) => git.try(["rev-parse", "--verify", "--quiet", name], { cwd: folder }));
  return (await Promise.all(found)).map(({ stdout }) => stdout.trim());
}
