import { baseImageName } from "../drivers/base-image.ts";
import { builtImageName } from "../drivers/built-image.ts";
import { setupImageName } from "../drivers/setup-image.ts";
import { toolsImageName } from "../drivers/tools-image.ts";
import { diskUsage, type Size } from "../drivers/disk.ts";
import { labels, type ImageSummary } from "../drivers/engine/engine.ts";
import { openRepository } from "../drivers/git/repository.ts";
import { sizeOfOnly, snapshotTips } from "../drivers/git/snapshot-size.ts";
import { exists, instanceFiles } from "../drivers/instance-files.ts";
import type { InstanceRecord, RepoRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";
import { recordingFolders } from "./leftovers.ts";

/** What an instance takes; undefined where it could not be found out, or not in time. */
export interface Taken {
  worktree: Size | undefined;
  /** What its container has written above its image. */
  container: Size | undefined;
  /** The private git directory. */
  git: Size | undefined;
  homes: Size | undefined;
  recordings: Size | undefined;
  /** What only its snapshots hold in the user's repository. */
  snapshots: Size | undefined;
}

export interface Shared {
  /** Layers that several images have are counted for each. */
  baseImages: Size | undefined;
  /** What images that were made for instances take on top of others. */
  setupImages: Size | undefined;
  hubs: Size | undefined;
  /** Of instances that are gone. */
  removedSnapshots: Size | undefined;
  removedSessions: Size | undefined;
}

/** How many folders are looked at side by side. */
const atOnce = 4;

/** What every instance takes on disk, and what all share; what is not known when `signal` comes is left out. */
export async function takenDisk(
  deps: Deps,
  signal: AbortSignal,
): Promise<{ instances: { instance: InstanceRecord; taken: Taken }[]; shared: Shared }> {
  const how = { env: deps.env, signal };
  const [layers, images, setups, snapshots] = await Promise.all([
    inTime(async () => await (await deps.engine()).layerSizes(labels.store, signal)),
    inTime(async () => await (await deps.engine()).images(baseImageName)),
    inTime(() => madeImages(deps)),
    snapshotSizes(deps, signal),
  ]);
  const records = deps.store.instances();
  const instances: { instance: InstanceRecord; taken: Taken }[] = [];
  const queue = [...records];
  const measure = async (): Promise<void> => {
    for (let instance = queue.shift(); instance !== undefined; instance = queue.shift()) {
      const files = instanceFiles(instanceFolder(deps, instance));
      const layer = layers?.get(instance.container);
      instances.push({
        instance,
        taken: {
          worktree: await diskUsage([instance.workspace], how),
          // One that is gone takes nothing.
          container: layers === undefined ? undefined : whole(layer ?? 0),
          git: await diskUsage([files.git], how),
          homes: await diskUsage([files.state], how),
          recordings: await diskUsage(recordingFolders(deps.store.sessions(instance.id), instance.id), how),
          snapshots: snapshots.get(instance.id),
        },
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, measure));
  return {
    instances: records.flatMap(({ id }) => instances.filter(({ instance }) => instance.id === id)),
    shared: {
      baseImages: images && whole(images.reduce((sum, image) => sum + image.bytes, 0)),
      setupImages: setups && whole(aboveOthers(setups, [...setups, ...(images ?? [])])),
      hubs: await diskUsage([deps.folders.hubs], how),
      removedSnapshots: snapshots.get(""),
      removedSessions: exists(deps.folders.removed) ? await diskUsage([deps.folders.removed], how) : whole(0),
    },
  };
}

async function madeImages(deps: Deps): Promise<ImageSummary[]> {
  const engine = await deps.engine();
  const names = [setupImageName, toolsImageName, builtImageName];
  return (await Promise.all(names.map((name) => engine.images(name)))).flat();
}

/** What images have on top of those that they were made from, where these are among the others. */
function aboveOthers(images: ImageSummary[], others: ImageSummary[]): number {
  const below = ({ labels: { [labels.from]: from = "" } }: ImageSummary): number =>
    others.find(({ names }) => names.includes(from))?.bytes ?? 0;
  return images.reduce((sum, image) => sum + Math.max(0, image.bytes - below(image)), 0);
}

const whole = (bytes: number): Size => ({ bytes, complete: true });

/** The answer, or undefined where it was not to be had. */
async function inTime<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch {
    return undefined;
  }
}

/** By the instance's id; under no id those of instances that are gone. */
async function snapshotSizes(deps: Deps, signal: AbortSignal): Promise<Map<string, Size | undefined>> {
  const sizes = new Map<string, Size | undefined>([["", whole(0)]]);
  for (const repo of deps.store.repos().filter(({ gitDir }) => exists(gitDir))) {
    const found = await inTime(() => snapshotSizesIn(deps, repo, signal));
    for (const { id } of deps.store.instances(repo.id)) sizes.set(id, found && whole(found.get(id) ?? 0));
    const before = sizes.get("");
    sizes.set("", before && found && whole(before.bytes + (found.get("") ?? 0)));
  }
  return sizes;
}

async function snapshotSizesIn(
  deps: Deps,
  repo: RepoRecord,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const { git } = deps;
  const repository = await openRepository(git, repo.gitDir, true);
  const { ofInstance, others } = await snapshotTips(git, repository, signal);
  const sizes = new Map<string, number>();
  const removed: string[] = [];
  for (const [id, of] of ofInstance) {
    const instance = deps.store.instanceById(id);
    if (instance === undefined) removed.push(...of);
    else sizes.set(id, await sizeOfOnly(git, repository, { of, others: [...others, instance.head], signal }));
  }
  return sizes.set("", await sizeOfOnly(git, repository, { of: removed, others, signal }));
}
