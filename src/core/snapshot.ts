import { HeadjackError, messageOf } from "../errors.ts";
import {
  bringHome,
  changedGitlinks,
  ensureHub,
  fetchRefsIntoHub,
  uploadPackCommand,
} from "../drivers/git/hub.ts";
import { gitTarget } from "../drivers/git/private-dir.ts";
import { isHeld, openRepository, type Repository } from "../drivers/git/repository.ts";
import { deleteRef } from "../drivers/git/worktree.ts";
import {
  parseAnswer,
  restoreCommand,
  snapshotCommand,
  snapshotRef,
  stagedRef,
  type ScriptAnswer,
} from "../drivers/git/snapshot-script.ts";
import { exists, hasWorkspace, instanceFiles, workspaceTarget } from "../drivers/instance-files.ts";
import { ProcessError, runUnchecked } from "../drivers/process.ts";
import type { InstanceRecord, SnapshotRecord } from "../store/records.ts";
import { helperSpec, repositoryOf } from "./container.ts";
import { instanceFolder, type Deps } from "./deps.ts";
import { bringLfsHome } from "./lfs.ts";
import { hubFolder } from "./sync.ts";

/**
 * The whole state of a workspace at a moment, uncommitted and untracked files included: a commit on top
 * of the instance's HEAD, kept in the user's repository under `refs/headjack/<instance>/snapshots/<n>`.
 */
export type Snapshot = SnapshotRecord;

export interface SnapshotOptions {
  /** Bytes of the largest file that is taken; others are left out, and named in `leftOut`. */
  maxFileBytes?: number;
  /** Makes one also of a workspace in which nothing is uncommitted; a commit: unless HEAD is there. */
  always?: true | { unlessAt: string };
  timeoutMs?: number;
  signal?: AbortSignal;
}

const usualMaxFileBytes = 50 * 1024 * 1024;
const usualTimeoutMs = 120_000;

/** Name of a snapshot's ref in the user's repository. */
const homeRef = ({ instanceId, number }: Pick<Snapshot, "instanceId" | "number">): string =>
  `refs/headjack/${instanceId}/snapshots/${number}`;

/** The same for what was staged, where that is in no other commit. */
const stagedHomeRef = ({ instanceId, number }: Pick<Snapshot, "instanceId" | "number">): string =>
  `refs/headjack/${instanceId}/staged/${number}`;

/** Key of the lock that one snapshot of an instance at a time holds. */
const snapshotLock = (instance: Pick<InstanceRecord, "id">): string => `snapshot:${instance.id}`;

/**
 * Takes a snapshot of an instance's workspace and brings it home: in its container, or in a throwaway
 * one for a stopped instance. Undefined when nothing is uncommitted, or there is no workspace any more.
 * One that is the same as the last is not made again. Throws with the reason when it cannot be made.
 */
export async function takeSnapshot(
  deps: Deps,
  instance: InstanceRecord,
  reason: string,
  options: SnapshotOptions = {},
): Promise<Snapshot | undefined> {
  if (!hasWorkspace(instanceFiles(instanceFolder(deps, instance)), instance.workspace)) return undefined;
  const lockOptions = options.signal === undefined ? {} : { signal: options.signal };
  try {
    return await deps.store.withLock(
      snapshotLock(instance),
      () => take(deps, instance, reason, options),
      lockOptions,
    );
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    throw new HeadjackError(`Its files could not be kept as a snapshot: ${messageOf(error)}`, {
      kind: error instanceof HeadjackError ? error.kind : "failed",
      cause: error,
    });
  }
}

/** Snapshots of an instance, also of a removed one, that are in the user's repository; oldest first. */
export async function listSnapshots(
  deps: Deps,
  repository: Repository,
  instanceId: string,
): Promise<Snapshot[]> {
  const format = "--format=%(objectname) %(refname)";
  const listed = await deps.git.run(["for-each-ref", format, `refs/headjack/${instanceId}/snapshots`], {
    cwd: repository.gitDir,
  });
  const refs = new Set(listed.split("\n"));
  return deps.store
    .snapshots(repository.id)
    .filter((one) => one.instanceId === instanceId && refs.has(`${one.commit} ${homeRef(one)}`));
}

/** The same before something is destroyed: also a HEAD that no ref of the user's repository holds is kept. */
export async function takeLastSnapshot(
  deps: Deps,
  instance: InstanceRecord,
  reason: string,
  options: SnapshotOptions = {},
): Promise<Snapshot | undefined> {
  const repository = await repositoryOf(deps, instance);
  const isHome = await isHeld(deps.git, repository, instance.head);
  return await takeSnapshot(deps, instance, reason, {
    ...options,
    always: isHome ? { unlessAt: instance.head } : true,
  });
}

/** How many files a snapshot has otherwise than the commit below it. */
export async function countFiles(deps: Deps, repository: Repository, snapshot: Snapshot): Promise<number> {
  const command =
    snapshot.parent === ""
      ? ["ls-tree", "-r", "-z", "--name-only", snapshot.commit]
      : ["diff-tree", "-r", "-z", "--no-renames", "--name-only", snapshot.parent, snapshot.commit];
  const names = await deps.git.run(command, { cwd: repository.gitDir });
  return names.split("\0").length - 1;
}

/**
 * Puts an instance's files back as a snapshot has them; its objects are in the user's repository, which
 * the instance reads from. Commits are not touched; `head` is where HEAD then is, if not where it was, and `stashes`
 * are stashed again.
 */
export async function putFilesBack(
  deps: Deps,
  instance: InstanceRecord,
  snapshot: Pick<Snapshot, "commit" | "staged">,
  more: { head?: string; stashes?: readonly string[] } = {},
): Promise<void> {
  const command = restoreCommand({
    maxFileBytes: usualMaxFileBytes,
    commit: snapshot.commit,
    staged: snapshot.staged,
    head: more.head ?? "",
    stashes: more.stashes ?? [],
  });
  const result = await runInside(deps, instance, command, [gitTarget, workspaceTarget]);
  deps.store.forgetLook(instance.id);
  if (result.code === 0) return;
  throw new HeadjackError(
    `The files of ${instance.branch} could not be put back: ${messageOf(new ProcessError(["git"], "exit", result))}`,
    { hints: [`Some may be; look with: hjk git ${instance.branch} status`] },
  );
}

async function take(
  deps: Deps,
  instance: InstanceRecord,
  reason: string,
  options: SnapshotOptions,
): Promise<Snapshot | undefined> {
  // Half made or half removed, its files are not what anybody has left there.
  const isWhole = (): boolean => deps.store.instanceById(instance.id)?.state === "ready";
  if (!isWhole()) return undefined;
  const repository = await repositoryOf(deps, instance);
  const last = (await listSnapshots(deps, repository, instance.id)).at(-1);
  const pending = deps.store.addSnapshot({
    instanceId: instance.id,
    repoId: instance.repoId,
    branch: instance.branch,
    reason,
    commit: "",
    parent: "",
    tree: "",
    staged: "",
    leftOut: [],
    createdAt: deps.now(),
  });
  try {
    const answer = await runScript(deps, instance, pending, last, options);
    // A removal that began meanwhile has kept its own, and this one may lack what is gone already.
    if (!answer.made || !isWhole()) {
      deps.store.removeSnapshot(pending.instanceId, pending.number);
      if (answer.made) return undefined;
      const same = answer.tree === "" ? undefined : last;
      await noteLook(deps, repository, pending, answer.head, same);
      return same;
    }
    const made = await fetchHome(deps, repository, instance, pending, answer, options);
    deps.store.finishSnapshot(made);
    await noteLook(deps, repository, pending, made.parent, made);
    return made;
  } catch (error) {
    deps.store.removeSnapshot(pending.instanceId, pending.number);
    throw error;
  }
}

/** Records how many files are in no commit, for `ps`. */
async function noteLook(
  deps: Deps,
  repository: Repository,
  { instanceId, createdAt }: Snapshot,
  head: string,
  snapshot: Snapshot | undefined,
): Promise<void> {
  const changed = snapshot === undefined ? 0 : await countFiles(deps, repository, snapshot);
  const files = changed + (snapshot?.leftOut.length ?? 0);
  // Staged, and then put back as it was: in which files is not to be seen.
  if (files === 0 && (snapshot?.staged ?? "") !== "") return deps.store.forgetLook(instanceId);
  deps.store.saveLook({ instanceId, head, files, at: createdAt });
}

/** Forgets snapshots that killed commands were making; those have destroyed nothing yet. */
export async function forgetUnfinished(deps: Deps): Promise<void> {
  for (const one of deps.store.unfinishedSnapshots()) {
    const key = { id: one.instanceId };
    if (deps.store.isLocked(snapshotLock(key))) continue;
    await deps.store.withLock(snapshotLock(key), async () => {
      if (!deps.store.unfinishedSnapshots().some((other) => isSame(one, other))) return;
      const repo = deps.store.repo(one.repoId);
      if (repo !== undefined && exists(repo.gitDir)) {
        const repository = await openRepository(deps.git, repo.gitDir, true);
        for (const ref of [stagedHomeRef(one), homeRef(one)]) await deleteRef(deps.git, repository, ref);
      }
      deps.store.removeSnapshot(one.instanceId, one.number);
    });
  }
}

const isSame = (one: Snapshot, other: Snapshot): boolean =>
  one.instanceId === other.instanceId && one.number === other.number;

async function runScript(
  deps: Deps,
  instance: InstanceRecord,
  { number }: Snapshot,
  last: Snapshot | undefined,
  options: SnapshotOptions,
): Promise<ScriptAnswer> {
  const command = snapshotCommand({
    number,
    maxFileBytes: options.maxFileBytes ?? usualMaxFileBytes,
    maxBytes: await deps.maxSnapshotBytes(),
    message: `Snapshot ${number} of ${instance.branch}`,
    last: last === undefined ? undefined : { head: last.parent, tree: last.tree, staged: last.staged },
    always: options.always ?? false,
  });
  const result = await runInside(deps, instance, command, [gitTarget], options);
  const answer = result.code === 0 ? parseAnswer(result.stdout) : undefined;
  if (answer !== undefined) return answer;
  if (result.code !== 0) throw new ProcessError(["git"], "exit", result);
  throw new HeadjackError("its container gave no sensible answer.");
}

/**
 * Runs a command where the files of an instance are: in its container, or in a throwaway one that may
 * change only what is `writable`, where it does not run or an agent has broken what is in it.
 */
export async function runInside(
  deps: Deps,
  instance: InstanceRecord,
  command: string[],
  writable: readonly string[],
  options: Pick<SnapshotOptions, "timeoutMs" | "signal"> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const engine = await deps.engine();
  const running = (await engine.inspect(instance.container))?.running === true;
  const timeoutMs = options.timeoutMs ?? usualTimeoutMs;
  if (running) {
    const result = await engine.exec(instance.container, command, { timeoutMs }).catch(() => undefined);
    if (result?.code === 0) return result;
  }
  const helper = engine.runCommand(await helperSpec(deps, instance, command, { workspace: true, writable }));
  return await runUnchecked(helper, {
    env: { ...deps.env, ...engine.environment },
    timeoutMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

/** As above: by the container's git, or that of a throwaway one. Returns the names of the refs in the hub. */
export async function fetchFromInside(
  deps: Deps,
  instance: InstanceRecord,
  what: { hub: string; refs: string[] },
  options: SnapshotOptions,
): Promise<string[]> {
  const engine = await deps.engine();
  const fetchBy = (uploadPack: string[]): Promise<string[]> =>
    fetchRefsIntoHub(deps.git, {
      ...what,
      instance: instance.id,
      uploadPack,
      env: engine.environment,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  if ((await engine.inspect(instance.container))?.running === true) {
    try {
      return await fetchBy(engine.execCommand(instance.container, uploadPackCommand, { tty: false }));
    } catch {
      options.signal?.throwIfAborted();
    }
  }
  const helper = await helperSpec(deps, instance, uploadPackCommand, { workspace: false });
  return await fetchBy(engine.runCommand(helper));
}

/** Brings the commits home by way of the hub, where they are looked at; what they hold is read there, not believed. */
async function fetchHome(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  pending: Snapshot,
  answer: ScriptAnswer,
  options: SnapshotOptions,
): Promise<Snapshot> {
  const { git } = deps;
  const hub = hubFolder(deps, instance.repoId);
  await ensureHub(git, repository, hub);
  const { number } = pending;
  const refs = [snapshotRef(number), ...(answer.madeStaged ? [stagedRef(number)] : [])];
  const [snapshot = "", staged] = await fetchFromInside(deps, instance, { hub, refs }, options);
  const inHub = async (name: string): Promise<string> =>
    (await git.try(["rev-parse", "--verify", "--quiet", name], { cwd: hub })).stdout.trim();
  const commit = await inHub(snapshot);
  for (const ref of [snapshot, ...(staged === undefined ? [] : [staged])]) {
    const gitlinks = await changedGitlinks(git, hub, instance.baseCommit, ref);
    if (gitlinks.length > 0)
      throw new HeadjackError(`its commits add or move submodules (${gitlinks.slice(0, 5).join(", ")}).`);
  }
  const refspecs = [
    `+${snapshot}:${homeRef(pending)}`,
    ...(staged === undefined ? [] : [`+${staged}:${stagedHomeRef(pending)}`]),
  ];
  const commits = [commit, ...(staged === undefined ? [] : [await inHub(staged)])];
  await bringLfsHome(deps, repository, instance, { hub, commits }, options.signal);
  await bringHome(git, repository, hub, ...refspecs);
  const tree = await inHub(`${commit}^{tree}`);
  const stagedTree = staged === undefined ? answer.staged : await inHub(`${staged}^{tree}`);
  return {
    ...pending,
    commit,
    parent: await inHub(`${commit}^1`),
    tree,
    // Without a commit of its own it must be what the files are.
    staged: staged !== undefined || stagedTree === tree ? stagedTree : "",
    leftOut: answer.leftOut,
  };
}
