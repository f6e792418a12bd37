import type { SeedFile } from "../agents/agent.ts";
import { HeadjackError } from "../errors.ts";
import { inspectHistory } from "../drivers/git/hub.ts";
import { resolveCommit, type Repository } from "../drivers/git/repository.ts";
import { addBranch } from "../drivers/git/worktree.ts";
import { removeStaleLocks, instanceFiles } from "../drivers/instance-files.ts";
import type { EventRecord, InstanceRecord } from "../store/records.ts";
import type { CarryRequest } from "./carry.ts";
import { instanceFolder, instanceLock, type Deps, type OnStep } from "./deps.ts";
import { recreateInstance, reviveInstance } from "./instance.ts";
import { recordEvent } from "./removal.ts";
import { keptRefs } from "./kept.ts";
import { putFilesBack, takeSnapshot, type Snapshot } from "./snapshot.ts";
import { warningOf } from "./sync.ts";
import type { BranchStart } from "./workspace.ts";

/**
 * Puts the files of an instance back as a snapshot has them. What is there now is kept as a snapshot
 * first, which is returned.
 */
export async function restoreInstance(
  deps: Deps,
  instance: InstanceRecord,
  snapshot: Snapshot,
): Promise<Snapshot | undefined> {
  return await deps.store.withLock(instanceLock(instance), async () => {
    const before = await keepPresent(deps, instance, "restore");
    recordEvent(deps, "restore", instance, before);
    await putFilesBack(deps, instance, snapshot);
    return before;
  });
}

async function keepPresent(
  deps: Deps,
  instance: InstanceRecord,
  reason: string,
): Promise<Snapshot | undefined> {
  if ((await (await deps.engine()).inspect(instance.container))?.running !== true)
    await removeStaleLocks(instanceFiles(instanceFolder(deps, instance)));
  return await takeSnapshot(deps, instance, reason, { always: true });
}

/** Makes a branch of the user's repository with the files of a snapshot in one commit on top of its HEAD. */
export async function restoreToBranch(
  deps: Deps,
  repository: Repository,
  snapshot: Snapshot,
  branch: string,
): Promise<{ commit: string; warning: string }> {
  const at = { cwd: repository.gitDir };
  const parent = snapshot.parent === "" ? [] : ["-p", snapshot.parent];
  const message = `Files of ${snapshot.branch}, as of its snapshot ${snapshot.number}`;
  // A user who has set no name can have this commit, too.
  const who = { NAME: "Headjack", EMAIL: "headjack@localhost" };
  const env = Object.fromEntries(
    ["AUTHOR", "COMMITTER"].flatMap((role) =>
      Object.entries(who).map(([key, value]) => [`GIT_${role}_${key}`, value]),
    ),
  );
  const commit = (
    await deps.git.run(
      ["-c", "commit.gpgSign=false", "commit-tree", ...parent, "-m", message, snapshot.tree],
      {
        ...at,
        env,
      },
    )
  ).trim();
  await addBranch(deps.git, repository, branch, commit);
  if (snapshot.parent === "") return { commit, warning: "" };
  return {
    commit,
    warning: warningOf(await inspectHistory(deps.git, repository.gitDir, snapshot.parent, commit)),
  };
}

/** What making an instance again needs of the user's settings. */
export interface ReviveSettings {
  folder: string;
  worktrees: string;
  seed: SeedFile[];
  carry: CarryRequest;
  /** Makes sure of an image that can take the place of one that is gone. */
  image: (wanted: string) => Promise<string>;
  onStep: OnStep;
  signal: AbortSignal;
}

/** Makes an instance again as it was when it was removed, or with the files of another snapshot. */
export async function revive(
  deps: Deps,
  repository: Repository,
  event: EventRecord,
  snapshot: Snapshot | undefined,
  settings: ReviveSettings,
): Promise<InstanceRecord> {
  const before = event.instance;
  const start = await startOf(deps, repository, before, snapshot);
  // Where HEAD was not on the branch, it is put there again.
  const head = snapshot === undefined || snapshot.parent === start.commit ? "" : snapshot.parent;
  const { refs, stashes } = await keptRefs(deps, repository, before.id);
  return await reviveInstance(deps, {
    repository,
    branch: before.branch,
    folder: settings.folder,
    container: async () => ({
      image: await settings.image(before.image),
      hardening: before.hardening,
    }),
    flags: before.flags,
    flagsGiven: false,
    worktrees: settings.worktrees,
    seed: settings.seed,
    carry: settings.carry,
    onStep: settings.onStep,
    signal: settings.signal,
    again: {
      instance: before,
      start,
      refs,
      fill: async (instance) => {
        if (snapshot === undefined && stashes.length === 0) return;
        const files = snapshot ?? { commit: start.commit, staged: "" };
        await putFilesBack(deps, instance, files, { head, stashes });
      },
      done: () => deps.store.undoneEvent(event.id),
    },
  });
}

/** Its last tip, also where the user's branch has gone on or another way: then both are as they were. */
async function startOf(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  snapshot: Snapshot | undefined,
): Promise<BranchStart> {
  const at = (name: string): Promise<string | undefined> => resolveCommit(deps.git, repository.gitDir, name);
  const branch = await at(`refs/heads/${instance.branch}`);
  for (const commit of [instance.head, snapshot?.parent ?? "", instance.baseCommit]) {
    if (commit !== "" && (await at(commit)) !== undefined) return { commit, isNew: branch === undefined };
  }
  if (branch !== undefined) return { commit: branch, isNew: false };
  throw new HeadjackError(`The commits of ${instance.branch} are not in your repository any more.`, {
    kind: "not-found",
  });
}

/** The last command that has destroyed something and was not undone; undefined when there is none. */
export function lastEvent(deps: Deps, repository: Repository): EventRecord | undefined {
  return deps.store.events(repository.id).findLast((event) => !event.undone);
}

/** Brings back what a command has destroyed in an instance that is there. */
export async function undoInPlace(
  deps: Deps,
  event: EventRecord,
  before: Snapshot | undefined,
  steps: { carry: CarryRequest; onStep: OnStep; onUnsaved: (reason: string) => void },
): Promise<void> {
  const instance = deps.store.instanceById(event.instanceId);
  if (instance === undefined) {
    throw new HeadjackError(`The instance of ${event.branch} is not there any more.`, { kind: "not-found" });
  }
  if (event.command === "recreate") {
    await recreateInstance(deps, instance, {
      image: event.instance.image,
      flags: event.instance.flags,
      hardening: event.instance.hardening,
      ...steps,
      isUndo: true,
    });
  } else {
    if (before === undefined) throw snapshotGone(event);
    await deps.store.withLock(instanceLock(instance), async () => {
      await keepPresent(deps, instance, "undo");
      await putFilesBack(deps, instance, before);
    });
  }
  deps.store.undoneEvent(event.id);
}

export function snapshotGone(event: EventRecord): HeadjackError {
  return new HeadjackError(`Snapshot ${event.snapshot} of ${event.branch} is not there any more.`, {
    kind: "not-found",
    hints: [`See what there is: hjk history ${event.branch}`],
  });
}
