import { repositoryOf } from "../core/container.ts";
import { listSnapshots, type Snapshot } from "../core/snapshot.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { HeadjackError } from "../errors.ts";
import type { EventRecord, InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { lookForInstance } from "./find.ts";

/** What there is and was of a branch. */
export interface Past {
  repository: Repository;
  branch: string;
  /** Undefined when there is none now. */
  instance: InstanceRecord | undefined;
  /** The snapshots of the instance that is there, or of the last that was, come last. */
  snapshots: NamedSnapshot[];
  /** The removal of the last instance, where there is none now. */
  removal: EventRecord | undefined;
}

export interface NamedSnapshot {
  /** `3`; of an earlier instance of the branch `abc123/3`. */
  name: string;
  snapshot: Snapshot;
}

/** Finds what there is of a branch of this repository, or of an instance's id; also when it was removed. */
export async function findPast(context: Context, name: string): Promise<Past> {
  const { store } = context.deps();
  const instance = await lookForInstance(context, name);
  const byId = store.snapshots().find((one) => one.instanceId === name);
  const repository = await openRepositoryOf(context, instance, byId?.repoId);
  const events = store.events(repository.id);
  const branch =
    instance?.branch ?? byId?.branch ?? events.find((one) => one.instanceId === name)?.branch ?? name;
  const removal =
    instance === undefined
      ? events.findLast((one) => one.branch === branch && one.command === "rm" && !one.undone)
      : undefined;
  const records = store.snapshots(repository.id).filter((one) => one.branch === branch);
  const current = instance?.id ?? removal?.instanceId ?? records.at(-1)?.instanceId;
  if (current === undefined) {
    throw new HeadjackError(`There is and was no instance for branch ${name} here.`, {
      kind: "not-found",
      hints: ["`hjk ps -a` lists all instances, `hjk undo --list` what was removed."],
    });
  }
  const ids = [...new Set([...records.map((one) => one.instanceId).filter((id) => id !== current), current])];
  const snapshots: NamedSnapshot[] = [];
  for (const id of ids) {
    for (const snapshot of await listSnapshots(context.deps(), repository, id)) {
      snapshots.push({ name: `${id === current ? "" : `${id}/`}${snapshot.number}`, snapshot });
    }
  }
  return { repository, branch, instance, snapshots, removal };
}

async function openRepositoryOf(
  context: Context,
  instance: InstanceRecord | undefined,
  repoId: string | undefined,
): Promise<Repository> {
  if (instance !== undefined) return await repositoryOf(context.deps(), instance);
  const gitDir = repoId === undefined ? undefined : context.deps().store.repo(repoId)?.gitDir;
  if (gitDir === undefined) return await context.repository();
  const { openRepository } = await import("../drivers/git/repository.ts");
  return await openRepository(context.git, gitDir, true);
}

/** The snapshot of a name; the newest without one. */
export function chooseSnapshot(past: Past, name: string | undefined): Snapshot {
  const { branch, snapshots } = past;
  const found = name === undefined ? snapshots.at(-1) : snapshots.find((one) => one.name === name);
  if (found !== undefined) return found.snapshot;
  throw new HeadjackError(
    name === undefined ? `${branch} has no snapshot.` : `${branch} has no snapshot ${name}.`,
    {
      kind: "not-found",
      hints: snapshots.length === 0 ? [] : [`See what there is: hjk history ${branch}`],
    },
  );
}
