import { isAncestor } from "./desk.ts";
import type { Git } from "./git.ts";
import { headOf, type Head } from "./head.ts";
import { resolveCommit, type Repository } from "./repository.ts";
import { checkoutsOf, deleteRef } from "./worktree.ts";

/** The branch that the others are held against, and where it is. */
export interface Base extends Head {
  /** What it follows, as `origin/main`: there a pull request has been taken in first. */
  upstream?: { name: string; commit: string };
}

/**
 * The branch that the repository's main worktree has checked out. From which one an instance was made is
 * recorded nowhere, and would be of no use once that one has been merged itself. Undefined before a first commit.
 */
export async function baseOf(git: Git, repository: Repository): Promise<Base | undefined> {
  const at = { cwd: repository.gitDir };
  const tip = await headOf(git, repository.gitDir);
  if (tip === undefined || tip.name === "HEAD") return tip;
  const format = ["for-each-ref", "--format=%(upstream)", `refs/heads/${tip.name}`];
  const upstream = (await git.try(format, at)).stdout.trim();
  const followed = upstream === "" ? undefined : await resolveCommit(git, repository.gitDir, upstream);
  return {
    ...tip,
    ...(followed === undefined
      ? {}
      : { upstream: { name: upstream.replace(/^refs\/(remotes|heads)\//, ""), commit: followed } }),
  };
}

/** Name of what has all commits of another branch: the base or its upstream; undefined when neither has. */
export async function mergedInto(
  git: Git,
  repository: Repository,
  base: Base,
  other: { branch: string; commit: string },
): Promise<string | undefined> {
  const { name, commit, upstream } = base;
  // A branch is no proof that its own commits are anywhere else.
  if (name === other.branch) return undefined;
  if (await isAncestor(git, repository.gitDir, other.commit, commit)) return name;
  if (upstream !== undefined && (await isAncestor(git, repository.gitDir, other.commit, upstream.commit)))
    return upstream.name;
  return undefined;
}

/** Deletes a branch if it is merged and nobody has it checked out; otherwise the answer says why it stays. */
export async function deleteMerged(
  git: Git,
  repository: Repository,
  branch: string,
): Promise<{ deleted: string } | { kept: string } | undefined> {
  const at = { cwd: repository.gitDir };
  const ref = `refs/heads/${branch}`;
  const found = await git.try(["rev-parse", "--verify", "--quiet", ref], at);
  if (found.code !== 0) return undefined;
  const commit = found.stdout.trim();
  const base = await baseOf(git, repository);
  if (base === undefined) return { kept: "there is no branch that could have its commits" };
  const [folder] = await checkoutsOf(git, repository, branch);
  if (folder !== undefined) return { kept: `it is checked out in ${folder}` };
  if ((await mergedInto(git, repository, base, { branch, commit })) === undefined)
    return { kept: `it is not merged into ${[base.name, base.upstream?.name ?? []].flat().join(" or ")}` };
  await deleteRef(git, repository, ref, commit);
  if ((await git.try(["rev-parse", "--verify", "--quiet", ref], at)).code === 0)
    return { kept: "it has moved at this moment" };
  // As `git branch -d` does: what the branch follows goes with it.
  await git.try(["config", "--remove-section", `branch.${branch}`], at);
  return { deleted: commit };
}
