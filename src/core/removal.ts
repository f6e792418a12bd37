import { HeadjackError, messageOf } from "../errors.ts";
import type { Engine } from "../drivers/engine/engine.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { removeTree } from "../drivers/instance-files.ts";
import type { EventRecord, InstanceRecord } from "../store/records.ts";
import { repositoryOf } from "./container.ts";
import { instanceLock, type Deps } from "./deps.ts";
import { removeGateway } from "./gateway.ts";
import { keepRefs } from "./kept.ts";
import { keepSessions, recordingFolders } from "./leftovers.ts";
import { endScreens, endSessions } from "./session.ts";
import { forgetUnfinished, takeLastSnapshot, type Snapshot } from "./snapshot.ts";
import { hubFolder, syncInstance } from "./sync.ts";
import { recordUsage } from "./usage.ts";
import { forgetInHub } from "../drivers/git/hub.ts";
import { asideRef, hasCommitsAside, removeWorkspace, undoBranch } from "./workspace.ts";

/** Milliseconds after its beginning in which a killed `run` may have left children at work, and how long those may take. */
const recentMs = 10_000;
const settleMs = 1000;

/** What stays of an instance that was removed. */
export interface Removed {
  /** Ref of commits that could not go on the branch. */
  aside?: string;
  /** Its uncommitted files. */
  snapshot?: Snapshot;
}

/**
 * Removes an instance: container, workspace, sessions and their recordings. The branch stays, and what is
 * in no commit stays as a snapshot. Where that cannot be made, nothing is removed, unless `onUnsaved`
 * takes the reason.
 */
export async function removeInstance(
  deps: Deps,
  instance: InstanceRecord,
  onUnsaved?: (reason: string) => void,
): Promise<Removed> {
  let snapshot: Snapshot | undefined;
  await deps.store.withLock(instanceLock(instance), async () => {
    // Asked first: with an engine that is down nothing may be begun, or the next command would finish a
    // removal whose commits could not be fetched.
    const details = await (await deps.engine()).inspect(instance.container);
    // What they write until they end is to be kept, too.
    await endSessions(deps, instance, "stopped", details?.running === true);
    await syncInstance(deps, instance);
    const last = deps.store.instanceById(instance.id);
    // Another command was first.
    if (last === undefined) return;
    try {
      snapshot = await takeLastSnapshot(deps, last, "rm");
      await keepRefs(deps, last);
    } catch (error) {
      if (onUnsaved === undefined) throw error;
      // Nothing is given up because the engine has died meanwhile: when it is back, all can be kept.
      await (await deps.engine()).inspect(last.container);
      onUnsaved(messageOf(error));
    }
    recordEvent(deps, "rm", last, snapshot, () => {
      deps.store.updateInstance(instance.id, { state: "removing" });
    });
    await finishRemoval(deps, last);
  });
  const repository = await optionalRepository(deps, instance);
  const aside = repository !== undefined && (await hasCommitsAside(deps, repository, instance));
  return {
    ...(aside ? { aside: asideRef(instance) } : {}),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
}

/** Records what is about to be destroyed, so that it can be undone, and in the same moment that it has begun. */
export function recordEvent(
  deps: Deps,
  command: EventRecord["command"],
  instance: InstanceRecord,
  snapshot: Snapshot | undefined,
  begin: () => void = () => undefined,
): void {
  deps.store.lastingly(() => {
    deps.store.addEvent({
      repoId: instance.repoId,
      branch: instance.branch,
      instanceId: instance.id,
      command,
      snapshot: snapshot?.number ?? null,
      instance,
      at: deps.now(),
    });
    begin();
  });
}

async function finishRemoval(deps: Deps, instance: InstanceRecord): Promise<void> {
  const engine = await deps.engine();
  await endSessions(deps, instance, "killed", false);
  await engine.remove(instance.container);
  await removeGateway(deps, instance);
  try {
    recordUsage(deps, instance);
  } catch {
    // A disk that is full has no room for it, and must not keep what fills it.
  }
  try {
    await keepSessions(deps, instance);
  } catch {
    // The same; files are in the snapshot.
  }
  await removeWorkspace(deps, await optionalRepository(deps, instance), instance, engine);
  await removeRecordings(deps, instance);
  await forgetInHub(deps.git, hubFolder(deps, instance.repoId), instance.id);
  deps.store.removeInstance(instance.id);
  // Of a session that another command was opening while this one was at it.
  await endScreens(deps, instance);
}

async function removeRecordings(deps: Deps, instance: InstanceRecord): Promise<void> {
  for (const folder of recordingFolders(deps.store.sessions(instance.id), instance.id))
    await removeTree(folder);
}

async function optionalRepository(deps: Deps, instance: InstanceRecord): Promise<Repository | undefined> {
  try {
    return await repositoryOf(deps, instance);
  } catch (error) {
    if (error instanceof HeadjackError) return undefined;
    throw error;
  }
}

/** Undoes what a `run` that failed or was killed has made; nothing of an agent's is in it yet. */
export async function discard(deps: Deps, instance: InstanceRecord, engine: Engine): Promise<void> {
  try {
    await engine.remove(instance.container);
    await removeGateway(deps, instance);
    const repository = await optionalRepository(deps, instance);
    // The files before the records, which a full disk may have no room to change.
    await removeWorkspace(deps, repository, instance, engine);
    if (repository !== undefined) await undoBranch(deps, repository, instance);
    await endSessions(deps, instance, "killed", false);
    await removeRecordings(deps, instance);
    deps.store.removeInstance(instance.id);
  } catch (error) {
    throw new HeadjackError(
      `Could not undo the half-made instance of ${instance.branch}: ${messageOf(error)}`,
      {
        cause: error,
        hints: ["The next `hjk` command tries again."],
      },
    );
  }
}

/** An instance that a crash left half made or half removed is undone or finished; any other is returned as it is. */
export async function healed(
  deps: Deps,
  instance: InstanceRecord | undefined,
): Promise<InstanceRecord | undefined> {
  if (instance === undefined || instance.state === "ready") return instance;
  if (instance.state === "creating") {
    // What a killed command had just asked of git and the engine is still being done.
    if (deps.now() - instance.createdAt < recentMs) await Bun.sleep(settleMs);
    await discard(deps, instance, await deps.engine());
  } else await finishRemoval(deps, instance);
  return undefined;
}

/** Undoes or finishes what crashed commands left; instances that another command works on are left alone. */
export async function healInstances(deps: Deps): Promise<void> {
  await forgetUnfinished(deps);
  for (const instance of deps.store.instances()) {
    if (instance.state === "ready" || deps.store.isLocked(instanceLock(instance))) continue;
    await deps.store.withLock(instanceLock(instance), async () => {
      await healed(deps, deps.store.instanceById(instance.id));
    });
  }
}
