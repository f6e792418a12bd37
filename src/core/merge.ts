import { commitsOf } from "../drivers/git/diff.ts";
import { isAncestor, type Combined, type Way } from "../drivers/git/desk.ts";
import { bringHome, ensureHub, tipsInHub } from "../drivers/git/hub.ts";
import { resolveCommit, type Repository } from "../drivers/git/repository.ts";
import { checkoutsOf, followBranch, isClean, moveRef, stoppedHalfway } from "../drivers/git/worktree.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import { repositoryOf } from "./container.ts";
import type { Deps, OnStep } from "./deps.ts";
import { atDesk } from "./desk.ts";
import { hubFolder, syncInstance } from "./sync.ts";

export interface MergeRequest {
  /** Branch of the user's that takes the other in. */
  into: string;
  way: Way;
  /** Make a merge commit also where the branch could simply be moved forward. */
  noFastForward: boolean;
  /** Of the commit that is made; one is made up otherwise. */
  message?: string;
  signal: AbortSignal;
  onStep: OnStep;
}

/** `nothing`: the branch had all of it already. */
export type MergeOutcome =
  | { kind: "merged"; commit: string; commits: number }
  | { kind: "nothing" }
  | { kind: "conflict"; files: string[]; target: string };

/**
 * Takes the branch of an instance into a branch of the user's. It is put together aside, in the hub; only
 * when that has succeeded is the user's branch moved, from where it was and in one step, and a checkout of
 * it follows. Whatever goes wrong before leaves everything as it was.
 */
export async function mergeInstance(
  deps: Deps,
  instance: InstanceRecord,
  request: MergeRequest,
): Promise<MergeOutcome> {
  const { git } = deps;
  const { into } = request;
  const repository = await repositoryOf(deps, instance);
  const target = await targetOf(deps, repository, instance, into);
  const checkout = await checkoutToMove(deps, repository, into);
  const source = await sourceOf(deps, repository, instance);
  const hub = hubFolder(deps, instance.repoId);
  if (await isAncestor(git, hub, source, target)) return { kind: "nothing" };
  const { commits, count } = await commitsOf(git, { folder: hub, from: target, to: source });
  const forward =
    request.way !== "squash" && !request.noFastForward && (await isAncestor(git, hub, target, source));
  request.onStep(`taking ${instance.branch} into ${into}`);
  const combined: Combined = forward
    ? { commit: source }
    : await atDesk(
        deps,
        repository,
        { commit: target, signal: request.signal },
        async (desk) =>
          await desk.combine({
            way: request.way,
            ours: target,
            theirs: source,
            message:
              request.message ??
              (request.way === "squash"
                ? await squashMessage(deps, instance, source, { commits, count })
                : `Merge branch '${instance.branch}' into ${into}`),
          }),
      );
  if ("conflicts" in combined) return { kind: "conflict", files: combined.conflicts, target };
  const { commit } = combined;
  if (!forward) await fromDesk(deps, repository, commit);
  request.signal.throwIfAborted();
  const moved =
    checkout === undefined
      ? await moveRef(git, repository, {
          name: `refs/heads/${into}`,
          to: commit,
          from: target,
          why: `hjk merge ${instance.branch}`,
        })
      : await followBranch(git, checkout, { from: target, to: commit, why: `hjk merge ${instance.branch}` });
  if (moved !== true) {
    throw new HeadjackError(
      `${into} was not moved: ${moved === false ? "it is not where it was any more" : moved}`,
      {
        hints:
          moved !== false && stoppedHalfway(moved)
            ? [
                `Some of its files may be in ${checkout} already; no commit was touched. See: git status`,
                "Put that right, take them away (git checkout -- ., and what is new), and try again.",
              ]
            : ["Nothing was changed. Put that right, and try again."],
      },
    );
  }
  return { kind: "merged", commit, commits: count };
}

/** Refuses what cannot succeed, before anything long is begun. */
export async function checkTarget(deps: Deps, instance: InstanceRecord, into: string): Promise<void> {
  const repository = await repositoryOf(deps, instance);
  await targetOf(deps, repository, instance, into);
  await checkoutToMove(deps, repository, into);
}

/** Where the user's branch is. */
export async function targetOf(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  into: string,
): Promise<string> {
  if (into === instance.branch) {
    throw new HeadjackError(`${into} cannot be merged into itself.`, {
      kind: "usage",
      hints: ["Check out the branch that shall take it in, or name it with --into."],
    });
  }
  const found = await resolveCommit(deps.git, repository.gitDir, `refs/heads/${into}`);
  if (found !== undefined) return found;
  throw new HeadjackError(`There is no branch ${into} in ${repository.name}.`, {
    kind: "not-found",
    hints: ["--into takes a branch of your repository; `git branch` lists them."],
  });
}

/** The folder where the branch is checked out, which must be able to follow; undefined when there is none. */
async function checkoutToMove(deps: Deps, repository: Repository, into: string): Promise<string | undefined> {
  const [folder, another] = await checkoutsOf(deps.git, repository, into);
  if (another !== undefined) {
    throw new HeadjackError(`${into} is checked out more than once: in ${folder} and ${another}.`, {
      hints: ["Nothing was changed. Check out another branch in all but one of them."],
    });
  }
  if (folder === undefined || (await isClean(deps.git, folder))) return folder;
  throw new HeadjackError(`${into} is checked out with changes of yours in ${folder}.`, {
    hints: ["Nothing was changed. Commit or stash them (git stash), and try again."],
  });
}

/**
 * The commit to take in: the newer one of the instance's tip and the user's branch, where one goes on
 * from the other.
 */
export async function sourceOf(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<string> {
  const { git } = deps;
  const { branch } = instance;
  const current = deps.store.instanceById(instance.id) ?? instance;
  const synced = await syncInstance(deps, current);
  const refused = (why: string): HeadjackError =>
    new HeadjackError(`${branch} was not taken in. ${why}`, { hints: ["Nothing was changed."] });
  if (synced.state === "failed" || synced.state === "refused") throw refused(synced.notice);
  const hub = hubFolder(deps, instance.repoId);
  await ensureHub(git, repository, hub);
  const tips = await tipsInHub(git, hub, instance);
  const tip = tips.branch ?? tips.head ?? instance.head;
  const own = await resolveCommit(git, repository.gitDir, `refs/heads/${branch}`);
  if (own === undefined || (await isAncestor(git, hub, own, tip))) return tip;
  if (await isAncestor(git, hub, tip, own)) return own;
  throw refused(synced.notice);
}

/** Copies a commit that was made at a desk into the user's repository. */
async function fromDesk(deps: Deps, repository: Repository, commit: string): Promise<void> {
  const hub = hubFolder(deps, repository.id);
  const ref = `refs/desk/${commit}`;
  await deps.git.run(["update-ref", ref, commit], { cwd: hub });
  try {
    await bringHome(deps.git, repository, hub, ref);
  } finally {
    await deps.git.try(["update-ref", "-d", ref], { cwd: hub });
  }
}

/** What a squashed commit says: the words of the only commit, or what each was about. */
async function squashMessage(
  deps: Deps,
  instance: InstanceRecord,
  source: string,
  { commits, count }: { commits: readonly { subject: string }[]; count: number },
): Promise<string> {
  if (count === 1) {
    const only = ["log", "-1", "--no-show-signature", "--format=%B", source];
    return (await deps.git.run(only, { cwd: hubFolder(deps, instance.repoId) })).trim();
  }
  const more = count - commits.length;
  const subjects = commits.map(({ subject }) => `* ${subject}`);
  const lines = [`Take in ${instance.branch}`, "", ...subjects];
  return [...lines, ...(more > 0 ? [`* and ${more} more before`] : [])].join("\n");
}
