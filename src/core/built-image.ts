import { lstat, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { buildFrom, builtImage, devcontainerSource, repositorySource } from "../drivers/built-image.ts";
import type { BuildOptions } from "../drivers/base-image.ts";
import { buildDevcontainer } from "../drivers/devcontainer-cli.ts";
import { labels } from "../drivers/engine/engine.ts";
import { HeadjackError } from "../errors.ts";
import { ensureHub } from "../drivers/git/hub.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { writeTree } from "../drivers/git/tree.ts";
import type { Deps } from "./deps.ts";
import { settingsOf, type ContainerSettings, type Devcontainer } from "./devcontainer.ts";
import { builtOnce, type BuildProgress } from "./image.ts";
import { hubFolder } from "./sync.ts";

/** Whether what is given as an image is a place of files; the name of an image begins otherwise. */
export const isPath = (image: string): boolean => /^(?:\.{1,2}(?:\/|$)|\/)/.test(image);

/** Name of the image that is built from a folder or a Dockerfile. */
export const imageAt = (path: string): string => builtImage(path);

/** Builds the image of a folder or a Dockerfile; that of a Dockerfile has its folder as context. */
export async function ensureImageAt(deps: Deps, path: string, options: BuildProgress): Promise<string> {
  const found = await lstat(path).catch(() => undefined);
  const isFolder = found?.isDirectory() === true;
  const dockerfile = isFolder ? join(path, "Dockerfile") : path;
  if (found === undefined || (isFolder && (await lstat(dockerfile).catch(() => undefined)) === undefined)) {
    throw new HeadjackError(
      found === undefined
        ? `There is nothing at ${path} to build an image from.`
        : `There is no Dockerfile in ${path}.`,
      {
        kind: "not-found",
        hints: ["--image takes a Dockerfile, a folder with one, or the name of an image."],
      },
    );
  }
  const engine = await deps.engine();
  const tag = imageAt(path);
  options.onStep(`building the image of ${path}`);
  // Each time: only the builder knows what of its files has changed, and what has not it does not make again.
  await deps.store.withLock(
    `image:${tag}`,
    () =>
      buildFrom(
        engine,
        { tag, folder: isFolder ? path : dirname(path), dockerfile, source: path, what: path },
        { env: deps.env, signal: options.signal, onLine: options.onBuildLine, store: deps.store.id() },
      ),
    { signal: options.signal, onWait: () => options.onStep("waiting for another hjk that builds the image") },
  );
  return tag;
}

/** What of a repository's files at a commit an image is built from. */
export interface RepositoryImage {
  /** The Dockerfile, by its path in the repository. */
  file: string;
  text: string;
  /** All that the builder gets beside it; undefined for everything. */
  paths: string[] | undefined;
  /** What tells these files from any others. */
  content: string;
}

/** Name of an image that is built from what a repository holds at a commit, built first if it is not there. */
export async function ensureRepositoryImage(
  deps: Deps,
  repository: Repository,
  commit: string,
  image: RepositoryImage,
  options: BuildProgress,
): Promise<string> {
  const engine = await deps.engine();
  const tag = builtImage(JSON.stringify([repository.id, image.file, image.content]));
  await builtOnce(deps, tag, options, {
    what: "the image",
    building: `${tag} from ${image.file} of ${repository.name} (once)`,
    build: (how) =>
      withTree(
        deps,
        repository,
        commit,
        { paths: image.paths && [image.file, ...image.paths], links: true },
        (folder) =>
          buildFrom(
            engine,
            {
              tag,
              folder,
              dockerfile: join(folder, image.file),
              source: repositorySource,
              what: `${image.file} at ${commit.slice(0, 12)}`,
            },
            { ...how, store: deps.store.id() },
          ),
      ),
  });
  return tag;
}

/** A repository's dev container, and what its image is built from. */
export interface DevcontainerImage extends Devcontainer {
  text: string;
  /** All that the builder gets of the repository's files; undefined for everything. */
  paths: string[] | undefined;
  /** What tells these files from any others. */
  content: string;
}

/**
 * Name of the image of a repository's dev container, built first if it is not there, and what is to be done in its
 * containers: what its base image and its features ask for, then what the repository does.
 */
export async function ensureDevcontainerImage(
  deps: Deps,
  repository: Repository,
  commit: string,
  container: DevcontainerImage,
  options: BuildProgress,
): Promise<{ image: string; settings: ContainerSettings }> {
  const engine = await deps.engine();
  const tag = builtImage(JSON.stringify([repository.id, container.file, container.content]));
  await builtOnce(deps, tag, options, {
    what: "the image",
    building: `${tag} from ${container.file} of ${repository.name} (once)`,
    build: (how) =>
      withTree(deps, repository, commit, { paths: container.paths, links: false }, (folder, scratch) =>
        buildDevcontainerImage(deps, container, tag, folder, scratch, how),
      ),
  });
  const label = (await engine.imageLabels(tag))?.["devcontainer.metadata"];
  const below = settingsOf(parsedList(label));
  const own = container.settings;
  return {
    image: tag,
    settings: {
      hooks: {
        create: [...below.hooks.create, ...own.hooks.create],
        start: [...below.hooks.start, ...own.hooks.start],
      },
      environment: { ...below.environment, ...own.environment },
      user: own.user === "" ? below.user : own.user,
    },
  };
}

async function buildDevcontainerImage(
  deps: Deps,
  { file, from, features }: Devcontainer,
  tag: string,
  folder: string,
  scratch: string,
  how: BuildOptions,
): Promise<void> {
  const engine = await deps.engine();
  const store = deps.store.id();
  if (features !== undefined) {
    const labelled = { [labels.source]: devcontainerSource, [labels.setup]: store };
    const config = { ...("image" in from ? from : { build: buildSeenFrom(file, from) }), ...features };
    await buildDevcontainer(engine, { tag, folder, file, config, scratch, labels: labelled }, how);
    return;
  }
  const about = { tag, source: devcontainerSource, what: file };
  if ("dockerfile" in from) {
    const [dockerfile, context] = [join(folder, from.dockerfile), join(folder, from.context)];
    await buildFrom(engine, { ...from, ...about, dockerfile, folder: context }, { ...how, store });
    return;
  }
  // Built rather than named, since the builder fetches an image that is not here.
  const [dockerfile, context] = [join(scratch, "Dockerfile"), join(scratch, "context")];
  await mkdir(context);
  await writeFile(dockerfile, `FROM ${from.image}\n`);
  await buildFrom(engine, { ...about, dockerfile, folder: context }, { ...how, store });
}

/** The `build` section that says the same from where the file lies. */
function buildSeenFrom(
  file: string,
  { dockerfile, context, ...rest }: Exclude<Devcontainer["from"], { image: string }>,
): object {
  const folder = dirname(file);
  return { dockerfile: relative(folder, dockerfile), context: relative(folder, context), ...rest };
}

function parsedList(json: string | undefined): unknown[] {
  try {
    const value: unknown = JSON.parse(json ?? "[]");
    return Array.isArray(value) ? value : [value];
  } catch {
    return [];
  }
}

/** Does something with the files of a commit, as they are in the repository: never those of a workspace. */
async function withTree(
  deps: Deps,
  repository: Repository,
  commit: string,
  files: { paths: readonly string[] | undefined; links: boolean },
  work: (folder: string, scratch: string) => Promise<void>,
): Promise<void> {
  const hub = hubFolder(deps, repository.id);
  await ensureHub(deps.git, repository, hub);
  const scratch = await mkdtemp(join(tmpdir(), "hjk-tree-"));
  try {
    const folder = join(scratch, "files");
    await mkdir(folder);
    await writeTree(deps.git, hub, commit, { folder, index: join(scratch, "index"), ...files });
    await work(folder, scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
