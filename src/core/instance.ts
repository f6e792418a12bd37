import { chmod } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HeadjackError, messageOf } from "../errors.ts";
import { defaultIsolation, defaultProfile, type Hardening } from "../hardening.ts";
import type { SeedFile } from "../agents/agent.ts";
import { listRefs, type Ref, type Repository } from "../drivers/git/repository.ts";
import {
  hasWorkspace,
  instanceFiles,
  noteSetUp,
  prepareInstanceFiles,
  removeStaleLocks,
  removeTree,
  restoreWorkspace,
} from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/records.ts";
import { carryInto, findCarried, type CarriedReport, type CarryRequest } from "./carry.ts";
import { containerSpec, containerUser, repositoryOf } from "./container.ts";
import { instanceFolder, instanceLock, type Deps, type OnStep } from "./deps.ts";
import { imageBelow } from "./image.ts";
import {
  createGateway,
  hasOwnNetwork,
  makeNetwork,
  removeGateway,
  reviveGateway,
  startGateway,
  stopGateway,
} from "./gateway.ts";
import { bringHomesBack, bringSessionsBack } from "./leftovers.ts";
import { checkHardening } from "./hardening.ts";
import { newInstanceId, slug } from "./names.ts";
import { probe } from "./probe.ts";
import { writeRecord } from "./record.ts";
import { endSessions } from "./session.ts";
import { takeSnapshot, type Snapshot } from "./snapshot.ts";
import { syncInstance } from "./sync.ts";
import { checkReadable, findStart, makeWorkspace, type BranchStart } from "./workspace.ts";
import { discard, healed, recordEvent } from "./removal.ts";

/** Seconds that a container's processes get to end by themselves. */
const stopGraceSeconds = 5;

export interface CreateRequest {
  repository: Repository;
  branch: string;
  /** Folder that the user stands in, for `HEAD` and relative names of `from`. */
  folder: string;
  from?: string;
  /** Makes sure of the image, and says how its container is held in; called only when one has to be made. */
  container: (commit: string) => Promise<{ image: string; hardening: Hardening }>;
  /** Image that the user named, to compare with that of an instance that is there already. */
  imageWanted?: string;
  /** Engine flags of the configuration and of the command line. */
  flags: string[];
  /** Whether the command line had flags or limits, which an instance that is there already cannot follow. */
  flagsGiven: boolean;
  /** Folder that holds all workspaces. */
  worktrees: string;
  seed: SeedFile[];
  /** Agents that are to work in it at once. */
  agents?: string[];
  /** Begun once the container is made, while it starts; given up when something fails. */
  alongside?: (instance: InstanceRecord) => Promise<{ abandon: () => Promise<void> }>;
  carry: CarryRequest;
  onStep: OnStep;
  signal: AbortSignal;
  /** Makes an instance again that was removed. */
  again?: {
    instance: InstanceRecord;
    /** Where it begins. */
    start: BranchStart;
    /** Branches and tags that it had beside. */
    refs: readonly Ref[];
    /** Fills it with the files it had, once its container runs. */
    fill: (instance: InstanceRecord) => Promise<void>;
    /** Recorded together with it being whole. */
    done: () => void;
  };
}

export interface EnsuredInstance {
  instance: InstanceRecord;
  outcome: "created" | "started" | "running";
}

/** The instance of a branch, running: made, started or found. Of two calls at once one makes it, the other joins. */
export async function ensureInstance(deps: Deps, request: CreateRequest): Promise<EnsuredInstance> {
  const { store } = deps;
  const key = { repoId: request.repository.id, branch: request.branch };
  return await store.withLock(
    instanceLock(key),
    async () => {
      const found = await healed(deps, store.instance(key.repoId, key.branch));
      if (found === undefined) return { instance: await createInstance(deps, request), outcome: "created" };
      await checkSameSettings(deps, found, request);
      return { instance: found, outcome: await bringUp(deps, found, request.onStep) };
    },
    { signal: request.signal, onWait: () => request.onStep(`waiting for another hjk at ${request.branch}`) },
  );
}

/** Makes an instance again that was removed; refuses when its branch has another one by now. */
export async function reviveInstance(
  deps: Deps,
  request: CreateRequest & Required<Pick<CreateRequest, "again">>,
): Promise<InstanceRecord> {
  const key = { repoId: request.repository.id, branch: request.branch };
  return await deps.store.withLock(
    instanceLock(key),
    async () => {
      const found = await healed(deps, deps.store.instance(key.repoId, key.branch));
      if (found === undefined) return await createInstance(deps, request);
      throw new HeadjackError(`${request.branch} has another instance by now, ${found.id}.`, {
        hints: [
          `Have the files as a branch instead: hjk restore ${request.branch} --to NEW_BRANCH`,
          `Or remove that instance first: hjk rm ${request.branch}`,
        ],
      });
    },
    { signal: request.signal },
  );
}

async function checkSameSettings(
  deps: Deps,
  instance: InstanceRecord,
  request: CreateRequest,
): Promise<void> {
  const { branch } = instance;
  if (request.from !== undefined) {
    throw new HeadjackError(`${branch} has an instance already; --from is for a new branch.`, {
      kind: "usage",
      hints: [`Leave --from out, or remove the instance first: hjk rm ${branch}`],
    });
  }
  const otherImage =
    request.imageWanted !== undefined && request.imageWanted !== (await imageBelow(deps, instance.image));
  if (!otherImage && !request.flagsGiven) return;
  throw new HeadjackError(
    otherImage
      ? `The instance of ${branch} uses the image ${instance.image}.`
      : `The instance of ${branch} exists already; engine flags, limits, the profile and the isolation are for a new one.`,
    {
      kind: "usage",
      hints: [`Make its container anew, files kept: hjk recreate ${branch} [--base IMAGE] [-- FLAGS]`],
    },
  );
}

async function createInstance(deps: Deps, request: CreateRequest): Promise<InstanceRecord> {
  const { store, git } = deps;
  const { repository, branch } = request;
  await checkReadable(deps, repository);
  const [refs, carried] = await Promise.all([
    listRefs(git, repository),
    findCarried(deps, repository, request.carry.wanted),
  ]);
  const start =
    request.again?.start ??
    (await findStart(deps, repository, {
      branch,
      folder: request.folder,
      refs,
      ...(request.from === undefined ? {} : { from: request.from }),
    }));
  const [engine, machine, container] = await Promise.all([
    deps.engine(),
    deps.engine().then((opened) => opened.capacity()),
    request.container(start.commit),
    // Before anything is recorded: it may have to be built.
    hasOwnNetwork(request.flags) ? undefined : deps.gateway.image(),
  ]);
  request.signal.throwIfAborted();
  checkHardening(machine, container.hardening, request.flags);
  store.saveRepo({ id: repository.id, gitDir: repository.gitDir, name: repository.name });
  const instance = recordNew(deps, request, {
    commit: start.commit,
    isNew: start.isNew,
    engine: engine.name,
    ...container,
  });
  let preparing: Promise<{ abandon: () => Promise<void> }> | undefined;
  try {
    request.onStep("making the worktree and the container");
    const files = instanceFiles(instanceFolder(deps, instance));
    await prepareInstanceFiles(files, instance.workspace, request.seed);
    if (request.again !== undefined) await bringHomesBack(deps, instance);
    await noteSetUp(files, "create");
    const [workspace] = await allSettledOrThrow([
      makeWorkspace(deps, repository, instance, {
        refs,
        kept: request.again?.refs ?? [],
        ...(start.upstream === undefined ? {} : { upstream: start.upstream }),
      }),
      makeContainers(deps, repository, instance),
    ]);
    request.signal.throwIfAborted();
    request.onStep("checking out the files and starting the container");
    preparing = request.alongside?.(instance);
    let report: CarriedReport | undefined;
    const filled = workspace.finish(async () => {
      if (carried !== undefined) report = await carryInto(instance.workspace, carried);
    });
    await allSettledOrThrow<unknown[]>([
      filled,
      // What is copied must not meet anything that runs inside.
      (carried === undefined ? Promise.resolve() : filled).then(() =>
        startContainers(deps, instance, request.agents),
      ),
      preparing ?? Promise.resolve(),
    ]);
    request.signal.throwIfAborted();
    if (report !== undefined) request.carry.onCarried(report);
    await request.again?.fill(instance);
    const whole = { state: "ready", baseCommit: request.again?.instance.baseCommit ?? start.commit } as const;
    await writeRecord(deps, { ...instance, ...whole });
    store.together(() => {
      store.updateInstance(instance.id, whole);
      request.again?.done();
    });
    if (request.again !== undefined) await bringSessionsBack(deps, instance);
    return { ...instance, ...whole };
  } catch (error) {
    const prepared = await preparing?.catch(() => undefined);
    // On a full disk this fails, and what it leaves goes with the rest.
    await prepared?.abandon().catch(() => undefined);
    await discard(deps, instance, engine);
    throw error;
  }
}

/** Makes the container of an instance, its network and its gateway. */
async function makeContainers(deps: Deps, repository: Repository, instance: InstanceRecord): Promise<void> {
  const { isolation = defaultIsolation } = instance.hardening;
  // Our filter of system calls does not hold there: a setuid file in the workspace must be in nobody else's reach.
  if (isolation !== defaultIsolation) await chmod(dirname(instance.workspace), 0o700);
  const [engine, gateway] = await Promise.all([deps.engine(), makeNetwork(deps, instance)]);
  await allSettledOrThrow<unknown[]>([
    gateway === undefined ? Promise.resolve() : createGateway(deps, instance, gateway),
    containerSpec(deps, repository, instance).then((spec) => engine.create(spec)),
  ]);
}

/** Starts the container of an instance and its gateway; one whose walls do not hold is stopped again. */
async function startContainers(
  deps: Deps,
  instance: InstanceRecord,
  agents: readonly string[] = [],
): Promise<void> {
  const engine = await deps.engine();
  try {
    const gateway = startGateway(deps, instance, agents);
    await allSettledOrThrow<unknown[]>([
      gateway,
      engine.start(instance.container).then(() => probe(deps, instance, gateway)),
    ]);
  } catch (error) {
    await Promise.allSettled([engine.stop(instance.container, 0), stopGateway(deps, instance)]);
    if (!(error instanceof HeadjackError) || error.kind !== "not-found") throw error;
    // Its network is gone, say.
    throw new HeadjackError(`The container of ${instance.branch} does not start: ${error.message}.`, {
      cause: error,
      hints: [`Make it anew, files kept: hjk recreate ${instance.branch}`],
    });
  }
}

/** Waits for all, also when one fails, so that undoing does not run beside what is still being made. */
async function allSettledOrThrow<T extends readonly unknown[]>(work: {
  [K in keyof T]: Promise<T[K]>;
}): Promise<T> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return await Promise.all(work);
}

/** Records what is about to be made, before anything is. */
function recordNew(
  deps: Deps,
  request: CreateRequest,
  made: { commit: string; isNew: boolean; engine: string; image: string; hardening: Hardening },
): InstanceRecord {
  const { repository, branch } = request;
  for (;;) {
    // The same as before where it is free: its snapshots go by it.
    const before = request.again?.instance.id;
    const id =
      before !== undefined && deps.store.instanceById(before) === undefined ? before : newInstanceId();
    const name = slug(branch);
    const record: InstanceRecord = {
      id,
      repoId: repository.id,
      branch,
      state: "creating",
      engine: made.engine,
      container: `hjk-${name}-${id}`,
      image: made.image,
      flags: request.flags,
      hardening: { profile: defaultProfile, ...made.hardening },
      baseCommit: made.commit,
      branchCreated: made.isNew,
      workspace: join(
        request.worktrees,
        `${slug(repository.name)}-${repository.id.slice(0, 6)}`,
        `${name}-${id}`,
      ),
      user: containerUser(deps),
      head: made.commit,
      fingerprint: "",
      notice: "",
      warning: "",
      refused: [],
      createdAt: deps.now(),
    };
    if (deps.store.addInstance(record)) return record;
  }
}

/** Starts what is stopped and makes again a container that has been removed behind our back. */
async function bringUp(
  deps: Deps,
  instance: InstanceRecord,
  onStep: OnStep,
): Promise<EnsuredInstance["outcome"]> {
  if (!hasWorkspace(instanceFiles(instanceFolder(deps, instance)), instance.workspace))
    throw workspaceGone(instance);
  const engine = await deps.engine();
  const details = await engine.inspect(instance.container);
  if (details?.running === true) {
    await reviveGateway(deps, instance);
    return "running";
  }
  // Its objects are mounted, so without the repository there is nothing to start.
  const repository = await repositoryOf(deps, instance);
  if (details === undefined) {
    onStep("making the container again, which was gone");
    await removeGateway(deps, instance);
    await makeContainers(deps, repository, instance);
  } else onStep("starting the container");
  const files = instanceFiles(instanceFolder(deps, instance));
  await removeStaleLocks(files);
  await noteSetUp(files, details === undefined ? "create" : "start");
  await startContainers(deps, instance);
  return "started";
}

function workspaceGone(instance: InstanceRecord): HeadjackError {
  return new HeadjackError(
    `The workspace of ${instance.branch} is gone: ${instance.workspace} was removed.`,
    {
      hints: [
        `Bring its files back as of its last commit: hjk recreate ${instance.branch}`,
        `Or give it up; the branch stays: hjk rm ${instance.branch}`,
      ],
    },
  );
}

/** Starts the container of a stopped instance. */
export async function startInstance(
  deps: Deps,
  instance: InstanceRecord,
  onStep: OnStep,
): Promise<EnsuredInstance["outcome"]> {
  return await deps.store.withLock(instanceLock(instance), () => bringUp(deps, instance, onStep));
}

/** Brings the commits home, ends the sessions and stops the container; false when it was stopped already. */
export async function stopInstance(deps: Deps, instance: InstanceRecord): Promise<boolean> {
  return await deps.store.withLock(instanceLock(instance), async () => {
    const engine = await deps.engine();
    const details = await engine.inspect(instance.container);
    await endSessions(deps, instance, "stopped", details?.running === true);
    if (details?.running !== true) return false;
    await syncInstance(deps, instance);
    await engine.stop(instance.container, stopGraceSeconds);
    await stopGateway(deps, instance);
    return true;
  });
}

/** Makes the container anew, from the same or another image; workspace, commits and agents' state stay. */
export async function recreateInstance(
  deps: Deps,
  instance: InstanceRecord,
  change: {
    image: string;
    flags?: string[];
    hardening?: Hardening;
    carry: CarryRequest;
    onStep: OnStep;
    onUnsaved: (reason: string) => void;
    isUndo?: true;
  },
): Promise<void> {
  await deps.store.withLock(instanceLock(instance), async () => {
    const engine = await deps.engine();
    const repository = await repositoryOf(deps, instance);
    const next = {
      ...instance,
      image: change.image,
      flags: change.flags ?? instance.flags,
      // One that was made before there were profiles has this one from here on.
      hardening: { profile: defaultProfile, ...(change.hardening ?? instance.hardening) },
    };
    if (!(await engine.imageExists(next.image))) {
      throw new HeadjackError(`There is no image ${next.image} on this machine.`, {
        kind: "not-found",
        hints: ["Nothing was changed. Pull or build the image first, or choose another with --base."],
      });
    }
    checkHardening(await engine.capacity(), next.hardening, next.flags);
    const files = instanceFiles(instanceFolder(deps, instance));
    const filesGone = !hasWorkspace(files, instance.workspace);
    const carried = filesGone ? await findCarried(deps, repository, change.carry.wanted) : undefined;
    change.onStep("removing the old container");
    await endSessions(
      deps,
      instance,
      "stopped",
      (await engine.inspect(instance.container))?.running === true,
    );
    let snapshot: Snapshot | undefined;
    try {
      snapshot = await takeSnapshot(deps, instance, "recreate");
    } catch (error) {
      // The files stay where they are, and a container in which git does not work is a reason to recreate it.
      change.onUnsaved(messageOf(error));
    }
    if (change.isUndo !== true) recordEvent(deps, "recreate", instance, snapshot);
    await engine.remove(instance.container);
    if (filesGone) {
      const owner = deps.user.uid === 0 ? instance.user : undefined;
      const report = await restoreWorkspace(files, instance.workspace, owner, deps.env, async () =>
        carried === undefined ? undefined : await carryInto(instance.workspace, carried, true),
      );
      if (report !== undefined) change.carry.onCarried(report);
    }
    change.onStep("making the container");
    await removeStaleLocks(files);
    await noteSetUp(files, "create");
    await removeGateway(deps, instance);
    await makeContainers(deps, repository, next);
    deps.store.updateInstance(instance.id, {
      image: next.image,
      flags: next.flags,
      hardening: next.hardening,
    });
    await writeRecord(deps, next);
    await startContainers(deps, next);
    if (!filesGone) return;
    const filled = await engine.exec(instance.container, ["git", "reset", "--hard", "--quiet"]);
    if (filled.code !== 0) {
      throw new HeadjackError(`The files could not be brought back: ${filled.stderr.trim()}`, {
        hints: [`Its container runs; look with: hjk git ${instance.branch} status`],
      });
    }
    await removeTree(files.restoring);
  });
}
