import { rm, readdir, lstat } from "node:fs/promises";
import { join } from "node:path";
import { baseImageName, gatewayImage, gatewayImageName } from "../drivers/base-image.ts";
import { builtImageName } from "../drivers/built-image.ts";
import { setupImageName } from "../drivers/setup-image.ts";
import { toolsImageName, toolsImagesOf } from "../drivers/tools-image.ts";
import { labels } from "../drivers/engine/engine.ts";
import { openRepository, type Repository } from "../drivers/git/repository.ts";
import { deleteRef } from "../drivers/git/worktree.ts";
import { exists, removeTree } from "../drivers/instance-files.ts";
import type { RepoRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { oldSessions } from "./leftovers.ts";

/** How long, and how many of each instance, snapshots are kept. */
export interface SnapshotLimits {
  keepMs: number;
  max: number;
}

/** Something that can go. */
export interface Garbage {
  kind: "snapshot" | "image" | "hub" | "sessions";
  /** For people. */
  what: string;
  /** What its removal frees at once; 0 where git frees it in its own time. */
  bytes: number;
  /** False when something uses it after all. */
  remove: () => Promise<boolean>;
}

/** Milliseconds that an image is left alone: one of today may be another user's, or that of a version being tried. */
const freshImageMs = 24 * 3_600_000;

/** Everything that is past its time or of no more use, in every repository. */
export async function findGarbage(
  deps: Deps,
  limits: SnapshotLimits,
  currentImage: string,
): Promise<Garbage[]> {
  const snapshots: Garbage[] = [];
  for (const repo of deps.store.repos()) snapshots.push(...(await oldSnapshots(deps, repo, limits)));
  return [
    ...snapshots,
    ...(await oldKeptSessions(deps, limits)),
    ...(await oldHubs(deps)),
    ...(await oldImages(deps, currentImage)),
    ...(await oldMade(deps)),
  ];
}

/** Removes the snapshots of a repository that are past their time or too many. */
export async function pruneSnapshots(deps: Deps, repoId: string, limits: SnapshotLimits): Promise<void> {
  const repo = deps.store.repo(repoId);
  if (repo === undefined) return;
  for (const old of await oldSnapshots(deps, repo, limits)) await old.remove();
  for (const old of await oldKeptSessions(deps, limits)) await old.remove();
  deps.store.forgetEvents(repoId, deps.now() - limits.keepMs);
}

/** Conversations and recordings of removed instances. */
async function oldKeptSessions(deps: Deps, { keepMs }: SnapshotLimits): Promise<Garbage[]> {
  const old = await oldSessions(deps, keepMs);
  return await Promise.all(
    old.map(async ({ id, folder }): Promise<Garbage> => ({
      kind: "sessions",
      what: `sessions of removed instance ${id}`,
      bytes: await sizeOf(folder),
      remove: () => removeTree(folder),
    })),
  );
}

/** By the refs, which tell the time too, so that those of a lost store are found as well. */
async function oldSnapshots(deps: Deps, repo: RepoRecord, limits: SnapshotLimits): Promise<Garbage[]> {
  if (!exists(repo.gitDir)) return [];
  const repository = await openRepository(deps.git, repo.gitDir, true);
  const listed = await deps.git.run(
    ["for-each-ref", "--format=%(committerdate:unix) %(refname)", "refs/headjack"],
    { cwd: repository.gitDir },
  );
  const found = listed.split("\n").flatMap((line) => {
    const [, seconds, ref, id, number] =
      /^(\d+) (refs\/headjack\/([0-9a-f]+)\/snapshots\/(\d+))$/.exec(line) ?? [];
    if (seconds === undefined || ref === undefined || id === undefined) return [];
    return [{ at: Number(seconds) * 1000, ref, id, number: Number(number) }];
  });
  const newestFirst = found.toSorted((a, b) => b.number - a.number);
  const old = newestFirst.filter((one) => {
    const newer = newestFirst.filter((other) => other.id === one.id && other.number > one.number).length;
    return newer >= limits.max || deps.now() - one.at > limits.keepMs;
  });
  const snapshots = old.map((one) => ({
    kind: "snapshot" as const,
    what: `snapshot ${one.id}/${one.number} of ${repo.name}`,
    bytes: 0,
    remove: () => removeSnapshot(deps, repository, one),
  }));
  return [...snapshots, ...oldKeptRefs(deps, repository, listed.split("\n"), limits)];
}

/** Branches, tags and stashes of removed instances; their names tell when they were kept. */
function oldKeptRefs(
  deps: Deps,
  repository: Repository,
  lines: string[],
  { keepMs }: SnapshotLimits,
): Garbage[] {
  return lines.flatMap((line) => {
    const [, ref, id, seconds, name] =
      /^\d* (refs\/headjack\/([0-9a-f]+)\/kept\/(\d+)\/(.+))$/.exec(line) ?? [];
    if (ref === undefined || deps.now() - Number(seconds) * 1000 <= keepMs) return [];
    return [
      {
        kind: "snapshot",
        what: `${name} of instance ${id} of ${repository.name}`,
        bytes: 0,
        remove: async () => {
          await deleteRef(deps.git, repository, ref);
          return true;
        },
      },
    ];
  });
}

async function removeSnapshot(
  deps: Deps,
  repository: Repository,
  { ref, id, number }: { ref: string; id: string; number: number },
): Promise<boolean> {
  // What is to go is found by its ref, so that goes last.
  deps.store.removeSnapshot(id, number);
  await deleteRef(deps.git, repository, ref.replace("/snapshots/", "/staged/"));
  await deleteRef(deps.git, repository, ref);
  return true;
}

/** Hubs of repositories that are gone and have no instance; what they hold is in the repository, or nowhere. */
async function oldHubs(deps: Deps): Promise<Garbage[]> {
  const names = await readdir(deps.folders.hubs).catch(() => []);
  const inUse = new Set(
    deps.store
      .repos()
      .filter((repo) => exists(repo.gitDir) || deps.store.instances(repo.id).length > 0)
      .map((repo) => `${repo.id}.git`),
  );
  const unused = names.filter((name) => /^[0-9a-f]+\.git$/.test(name) && !inUse.has(name));
  return await Promise.all(
    unused.map(async (name): Promise<Garbage> => {
      const folder = join(deps.folders.hubs, name);
      return {
        kind: "hub",
        what: `hub ${name}, whose repository is gone`,
        bytes: await sizeOf(folder),
        remove: async () => {
          await rm(folder, { recursive: true, force: true });
          return true;
        },
      };
    }),
  );
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map((file) =>
      lstat(join(file.parentPath, file.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Base images and those of gateways that are neither the current one nor that of any instance; their layers may be shared. */
async function oldImages(deps: Deps, current: string): Promise<Garbage[]> {
  const engine = await deps.engine();
  const inUse = new Set([
    current,
    `${baseImageName}:latest`,
    (await gatewayImage(deps.env)).tag,
    ...deps.store.instances().map((instance) => instance.image),
  ]);
  const images = await Promise.all([engine.images(baseImageName), engine.images(gatewayImageName)]);
  return images
    .flat()
    .filter(
      (image) =>
        image.labels[labels.version] !== undefined &&
        deps.now() - image.createdAt > freshImageMs &&
        !image.names.some((name) => inUse.has(name)),
    )
    .flatMap((image) =>
      image.names.map((name, index) => ({
        kind: "image",
        what: `image ${name}`,
        bytes: index === 0 ? image.bytes : 0,
        remove: () => engine.removeImage(name),
      })),
    );
}

/** Images that were made for instances of this store, and that none uses. */
async function oldMade(deps: Deps): Promise<Garbage[]> {
  const engine = await deps.engine();
  const inUse = new Set<string>();
  for (const { image } of deps.store.instances())
    for (let one: string | undefined = image; one !== undefined && !inUse.has(one);) {
      inUse.add(one);
      one = (await engine.imageLabels(one))?.[labels.from];
    }
  const store = deps.store.id();
  // Without the label it is only another name, of an image that lacked nothing; when that is gone, it is looked at again.
  const alike = toolsImagesOf(store);
  // Those on top of others first, or these could not go.
  const names = [setupImageName, toolsImageName, builtImageName];
  const images = (await Promise.all(names.map((name) => engine.images(name)))).flat();
  return images
    .flatMap(({ names: all, labels: found, bytes }) =>
      all
        .filter((name) => found[labels.setup] === store || name.startsWith(alike))
        .map((name) => ({ name, bytes })),
    )
    .filter(({ name }) => names.some((own) => name.startsWith(`${own}:`)) && !inUse.has(name))
    .map(({ name, bytes }) => ({
      kind: "image",
      what: `image ${name}`,
      bytes,
      remove: () => engine.removeImage(name),
    }));
}
