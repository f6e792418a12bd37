import { join } from "node:path";
import { messageOf } from "../errors.ts";
import {
  bringHome,
  ensureHub,
  fetchIntoHub,
  inspectHistory,
  sweepHub,
  uploadPackCommand,
  type HistoryFindings,
} from "../drivers/git/hub.ts";
import { lasting } from "../drivers/git/git.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { checkoutsOf, deleteRef, isClean, moveHead, moveRef } from "../drivers/git/worktree.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { fingerprintOf, insideOf, outsideOf } from "./news.ts";
import { helperSpec, repositoryOf } from "./container.ts";
import { bringLfsHome } from "./lfs.ts";
import { asideRef } from "./workspace.ts";

export interface SyncResult {
  /**
   * `home`: the branch is at the instance's tip. `aside`: the commits are in the user's repository but
   * could not go on the branch. `refused`: they are kept in the hub only. `failed`: could not be fetched.
   */
  state: "home" | "aside" | "refused" | "failed";
  /** What the user should know; empty when all is as it should be. */
  notice: string;
  /** Something that no ref shows must change first, so the next command tries again. */
  again?: true;
}

type FetchResult = SyncResult & { head?: string; warning?: string };

/**
 * Brings an instance's commits home: from its container into the hub, from there into the user's
 * repository, and the one branch forward. Cheap when there is no news. Never throws for what the
 * instance does; its answer says what happened. `signal` gives it up until the next time.
 */
export async function syncInstance(
  deps: Deps,
  instance: InstanceRecord,
  signal?: AbortSignal,
): Promise<SyncResult> {
  if (instance.state !== "ready") return { state: "home", notice: "" };
  if (fingerprintOf(deps, instance) === instance.fingerprint)
    return { state: "home", notice: instance.notice };
  const work = async (): Promise<SyncResult> => {
    // Another command may have done it while this one waited.
    const current = deps.store.instanceById(instance.id);
    if (current === undefined) return { state: "home", notice: "" };
    if (fingerprintOf(deps, current) === current.fingerprint)
      return { state: "home", notice: current.notice };
    const before = insideOf(deps, current);
    let result: FetchResult;
    try {
      result = await fetchHome(deps, current, signal);
    } catch (error) {
      const notice = `Its commits could not be fetched: ${messageOf(error)}`;
      await sweep(deps, current);
      // The fingerprint is not that of now, so that the next command tries again; an empty one says that all is here.
      const fingerprint = current.fingerprint || "none";
      if (signal?.aborted !== true) deps.store.updateInstance(instance.id, { notice, fingerprint });
      return { state: "failed", notice };
    }
    deps.store.updateInstance(instance.id, {
      // Inside as it was before the fetch, outside as it is after it; nothing when only trying again helps.
      fingerprint: result.again === true ? "" : before + outsideOf(deps, current),
      notice: result.notice,
      ...(result.head === undefined ? {} : { head: result.head }),
      ...(result.warning === undefined ? {} : { warning: result.warning }),
    });
    return result;
  };
  try {
    return await deps.store.withLock(syncLock(instance), work, signal === undefined ? {} : { signal });
  } catch (error) {
    // Given up while another command was at it.
    if (signal?.aborted === true) return { state: "failed", notice: "" };
    throw error;
  }
}

const syncLock = (instance: Pick<InstanceRecord, "id">): string => `sync:${instance.id}`;

/** Folder of the hub of a repository. */
export const hubFolder = (deps: Deps, repoId: string): string => join(deps.folders.hubs, `${repoId}.git`);

/** Removes what a failed fetch has left in the hub, unless another instance's fetch is at work there. */
async function sweep(deps: Deps, instance: InstanceRecord): Promise<void> {
  const others = deps.store.instances(instance.repoId).filter((other) => other.id !== instance.id);
  if (others.some((other) => deps.store.isLocked(syncLock(other)))) return;
  await sweepHub(hubFolder(deps, instance.repoId));
}

async function fetchHome(
  deps: Deps,
  instance: InstanceRecord,
  signal: AbortSignal | undefined,
): Promise<FetchResult> {
  const repository = await repositoryOf(deps, instance);
  const hub = hubFolder(deps, instance.repoId);
  await ensureHub(deps.git, repository, hub);
  const engine = await deps.engine();
  const running = (await engine.inspect(instance.container))?.running === true;
  const tips = await fetchIntoHub(deps.git, {
    hub,
    instance: instance.id,
    branch: instance.branch,
    uploadPack: running
      ? engine.execCommand(instance.container, uploadPackCommand, { tty: false })
      : engine.runCommand(await helperSpec(deps, instance, uploadPackCommand, { workspace: false })),
    env: engine.environment,
    ...(signal === undefined ? {} : { signal }),
  });
  const renamed = tips.branch === undefined;
  const tip = tips.branch ?? tips.head;
  if (tip === undefined) return { state: "home", notice: "" };
  let warning = instance.warning;
  if (tip !== instance.head) {
    const findings = await inspectHistory(deps.git, hub, instance.baseCommit, tip);
    warning = warningOf(findings);
    if (findings.gitlinks.length > 0) {
      return {
        state: "refused",
        notice: `Its commits add or move submodules (${findings.gitlinks.join(", ")}) and were kept out of your repository.`,
      };
    }
    const lacking = await bringLfsHome(deps, repository, instance, { hub, commits: [tip] }, signal);
    warning = [warning, lacking].filter(Boolean).join(" ");
  }
  const ref = renamed ? "HEAD" : `heads/${instance.branch}`;
  await bringHome(deps.git, repository, hub, `refs/instances/${instance.id}/${ref}`);
  return { ...(await forward(deps, repository, instance, tip)), head: tip, warning };
}

/** What git checks out without a word, and what may then reach beyond the repository. */
export function warningOf(findings: HistoryFindings): string {
  const { escapingLinks: links, changesGitmodules } = findings;
  return [
    ...(links.length > 0
      ? [`It has links that lead out of the repository: ${links.slice(0, 5).join(", ")}.`]
      : []),
    ...(changesGitmodules ? ["It changes .gitmodules."] : []),
  ].join(" ");
}

/** Puts the branch at the instance's tip if that is a fast-forward; otherwise keeps both. */
async function forward(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  tip: string,
): Promise<SyncResult> {
  const { git } = deps;
  const { branch } = instance;
  const at = { cwd: repository.gitDir };
  const found = await git.try(["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`], at);
  const current = found.code === 0 ? found.stdout.trim() : "";
  const contains = async (ancestor: string, descendant: string): Promise<boolean> =>
    (await git.try(["merge-base", "--is-ancestor", ancestor, descendant], at)).code === 0;
  const count = async (from: string, to: string): Promise<string> => {
    const number = (await git.run(["rev-list", "--count", `${from}..${to}`], at)).trim();
    return `${number} commit${number === "1" ? "" : "s"}`;
  };
  const home = async (notice = ""): Promise<SyncResult> => {
    await deleteRef(git, repository, asideRef(instance));
    return { state: "home", notice };
  };
  const aside = async (notice: string): Promise<SyncResult> => {
    await git.run([...lasting, "update-ref", asideRef(instance), tip], at);
    return { state: "aside", notice };
  };
  const short = current.slice(0, 10);
  // The worktree's HEAD keeps what came home: an instance that repacks its objects then borrows it, too.
  await moveHead(git, repository, instance.workspace, tip);
  if (current === tip) return await home();
  // Deleted by the user: that stands until there is something new.
  if (current === "" && tip === instance.head) {
    return await home(
      `You deleted ${branch}; it is in the instance only. Bring it back: git branch ${branch} ${tip.slice(0, 10)}`,
    );
  }
  if (current !== "" && !(await contains(current, tip))) {
    if (await contains(tip, current)) {
      const yours = await count(tip, current);
      return await home(
        `The instance lacks ${yours} of yours. Take them in: hjk git ${branch} merge --ff-only ${short}`,
      );
    }
    const [yours, its] = [await count(tip, current), await count(current, tip)];
    return await aside(
      `Your ${branch} and the instance's have diverged (${yours} and ${its}); both are kept. ` +
        `To put its commits on yours: hjk git ${branch} rebase ${short}. ` +
        `To take its version: git branch -f ${branch} ${asideRef(instance)}`,
    );
  }
  for (const folder of await checkoutsOf(git, repository, branch)) {
    const moved =
      (await isClean(git, folder)) &&
      (await git.try([...lasting, "merge", "--ff-only", "--quiet", tip], { cwd: folder })).code === 0;
    if (moved) return await home();
    const waiting = await aside(
      `New commits wait: ${branch} is checked out with changes of yours in ${folder}. ` +
        `When they are committed or stashed: git merge --ff-only ${asideRef(instance)}`,
    );
    return { ...waiting, again: true };
  }
  const why = `headjack: commits of instance ${instance.id}`;
  if (await moveRef(git, repository, { name: `refs/heads/${branch}`, to: tip, from: current, why }))
    return await home();
  const moved = await aside(
    `${branch} moved while its commits were brought home; the next command tries again.`,
  );
  return { ...moved, again: true };
}
