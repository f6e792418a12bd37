import { defaultImageAgents } from "../agents/versions.ts";
import { lstat, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import {
  buildFrom,
  builtImage,
  builtImageName,
  devcontainerSource,
  repositorySource,
} from "../drivers/built-image.ts";
import { buildSetupImage, setupImage, setupImageName } from "../drivers/setup-image.ts";
import {
  buildToolsImage,
  lacksCommand,
  readLacks,
  toolsImage,
  toolsImageName,
  type LayerSettings,
} from "../drivers/tools-image.ts";
import {
  baseImage,
  baseImageName,
  buildBaseImage,
  buildGatewayImage,
  extraCertificates,
  gatewayImage,
  type BuildOptions,
  type ImageAgents,
} from "../drivers/base-image.ts";
import { buildDevcontainer } from "../drivers/devcontainer-cli.ts";
import { labels } from "../drivers/engine/engine.ts";
import { HeadjackError } from "../errors.ts";
import { ensureHub } from "../drivers/git/hub.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { writeTree } from "../drivers/git/tree.ts";
import { runUnchecked } from "../drivers/process.ts";
import { workspaceTarget } from "../drivers/instance-files.ts";
import { containerUser } from "./container.ts";
import type { Deps, OnStep } from "./deps.ts";
import { settingsOf, type ContainerSettings, type Devcontainer } from "./devcontainer.ts";
import type { Hooks } from "./set-up.ts";
import { newInstanceId } from "./names.ts";
import { hubFolder } from "./sync.ts";

/** How the building of an image is shown, and ended. */
export interface BuildProgress {
  signal: AbortSignal;
  onStep: OnStep;
  onBuildLine: (line: string) => void;
}

/**
 * Name of the base image for this machine, built first if it is not there: on first use, and when its
 * inputs have changed.
 */
export async function ensureBaseImage(
  deps: Deps,
  options: BuildProgress & { agents: ImageAgents },
): Promise<string> {
  const engine = await deps.engine();
  const image = await baseImage(deps.env, containerUser(deps), options.agents);
  await builtOnce(deps, image.tag, options, {
    what: "the base image",
    building: `the base image ${image.tag} (first use or new inputs; takes a few minutes)`,
    build: (how) => buildBaseImage(engine, image, { ...how, version: deps.version }),
  });
  // The plain name follows the image in use, also back to an older one.
  await engine.tagImage(image.tag, baseImageName);
  return image.tag;
}

/** Name of the image that gateways run in, built first if it is not there. */
export async function ensureGatewayImage(deps: Deps, options: BuildProgress): Promise<string> {
  const engine = await deps.engine();
  const image = await gatewayImage(deps.env);
  await builtOnce(deps, image.tag, options, {
    what: "the image of the gateways",
    building: `the image of the gateways ${image.tag} (once)`,
    build: (how) => buildGatewayImage(engine, image, { ...how, version: deps.version }),
  });
  return image.tag;
}

/** Name of an image with the lines of a repository's setup on top of another, built first if it is not there. */
export async function ensureSetupImage(
  deps: Deps,
  from: string,
  lines: readonly string[],
  options: BuildProgress,
): Promise<string> {
  const engine = await deps.engine();
  const image = setupImage(from, await presentImage(deps, from), lines);
  await builtOnce(deps, image.tag, options, {
    what: "the image",
    building: `${image.tag} with the repository's setup (once)`,
    build: async (how) => {
      const registries = await deps.gateway.registries();
      await buildSetupImage(engine, image, { ...how, store: deps.store.id(), registries });
    },
  });
  return image.tag;
}

/** What an image is; refuses one that is not there. */
async function presentImage(deps: Deps, image: string): Promise<string> {
  const id = await (await deps.engine()).imageId(image);
  if (id !== undefined) return id;
  throw new HeadjackError(`There is no image ${image} on this machine.`, {
    kind: "not-found",
    hints: [
      `Get it with \`docker pull ${image}\` or build it, or choose another with --image.`,
      `For a folder or a Dockerfile, give a path: --image ./${image}`,
    ],
  });
}

/**
 * Name of an image that has what an agent needs: the image itself, or one with a layer on top of it for what it lacks,
 * built first if it is not there.
 */
export async function ensureToolsImage(
  deps: Deps,
  from: string,
  options: BuildProgress & { agents: ImageAgents; settings?: LayerSettings },
): Promise<string> {
  const engine = await deps.engine();
  const id = await presentImage(deps, from);
  const image = toolsImage(from, id, { ...options, user: containerUser(deps), store: deps.store.id() });
  const found = await engine.imageId(image.tag);
  if (found !== undefined) return found === id ? from : image.tag;
  await checkVolumes(deps, from);
  const lacks = await lacksOf(deps, from, image.agents);
  const needed = lacks.filter((word) => word !== "glibc");
  if (needed.length === 0 && options.settings === undefined) {
    // So that it is known the next time.
    await engine.tagImage(id, image.tag);
    return from;
  }
  const withAgents = needed.some((word) => word.startsWith("agent:"));
  const base = withAgents ? await ensureBaseImage(deps, options) : from;
  await builtOnce(deps, image.tag, options, {
    what: "the image",
    building: `${image.tag}, which adds to ${from}: ${needed.join(", ").replaceAll("agent:", "") || "its settings"} (once)`,
    build: async (how) => {
      const plain = `${image.tag}-plain`;
      const triggers = (await engine.imageTraits(from))?.triggers === true;
      if (triggers) await engine.dropTriggers(from, plain);
      const certificates = await extraCertificates(deps.env);
      await buildToolsImage(engine, image, { image: triggers ? plain : from, base, certificates }, lacks, {
        ...how,
        store: deps.store.id(),
      });
      if (triggers) await engine.removeImage(plain);
    },
  });
  return image.tag;
}

/** Below the workspace a volume would hide the files that are there, from us and from git. */
async function checkVolumes(deps: Deps, image: string): Promise<void> {
  const volumes = (await (await deps.engine()).imageTraits(image))?.volumes ?? [];
  const within = [`${workspaceTarget}/`, "/hjk/"];
  const bad = volumes.find((path) => within.some((folder) => join("/", path).startsWith(folder)));
  if (bad === undefined) return;
  throw new HeadjackError(
    `The image ${image} asks for a volume at ${bad}, where an instance has its own files.`,
    {
      kind: "usage",
      hints: ["Take the VOLUME out of its Dockerfile, or choose another with --image."],
    },
  );
}

/** What an image lacks of what an agent needs. It is asked in a container that can reach nothing. */
async function lacksOf(deps: Deps, image: string, agents: readonly string[]): Promise<string[]> {
  const engine = await deps.engine();
  const command = engine.runCommand({
    name: `hjk-look-${newInstanceId()}`,
    image,
    labels: { [labels.version]: deps.version, [labels.helper]: deps.store.id() },
    environment: {},
    mounts: [],
    user: containerUser(deps),
    workingDir: "/",
    command: lacksCommand(agents),
    network: "none",
    profile: "strict",
    limits: { pids: lookPids },
    flags: [],
  });
  const result = await runUnchecked(command, {
    env: { ...deps.env, ...engine.environment },
    timeoutMs: lookMs,
    maxOutputBytes: lookBytes,
  });
  const lacks = readLacks(result.stdout);
  if (lacks !== undefined) return lacks;
  throw new HeadjackError(`The image ${image} cannot be used: nothing can be run in it.`, {
    kind: "failed",
    hints: [result.stderr.trim().split("\n")[0] ?? "", "An image needs at least a shell, as /bin/sh."],
  });
}

/** For a look into an image: processes, milliseconds, bytes of its answer. */
const lookPids = 64;
const lookMs = 60_000;
const lookBytes = 64 * 1024;

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
  const onImage = "image" in from;
  const store = deps.store.id();
  if (features !== undefined) {
    const relativeTo = join(folder, dirname(file));
    const build = onImage
      ? from
      : {
          build: {
            dockerfile: relative(relativeTo, join(folder, from.dockerfile)),
            context: relative(relativeTo, join(folder, from.context)),
            args: from.args,
            ...(from.target === undefined ? {} : { target: from.target }),
          },
        };
    const labelled = { [labels.source]: devcontainerSource, [labels.setup]: store };
    const config = { ...build, ...features };
    await buildDevcontainer(engine, { tag, folder, file, config, scratch, labels: labelled }, how);
    return;
  }
  const dockerfile = onImage ? join(scratch, "Dockerfile") : join(folder, from.dockerfile);
  const context = onImage ? join(scratch, "context") : join(folder, from.context);
  if (onImage) {
    await mkdir(context);
    // Built rather than named, since the builder fetches an image that is not here.
    await writeFile(dockerfile, `FROM ${from.image}\n`);
  }
  const build = onImage
    ? {}
    : { args: from.args, ...(from.target === undefined ? {} : { target: from.target }) };
  await buildFrom(
    engine,
    { tag, folder: context, dockerfile, ...build, source: devcontainerSource, what: file },
    { ...how, store },
  );
}

function parsedList(json: string | undefined): unknown[] {
  try {
    const value: unknown = JSON.parse(json ?? "[]");
    return Array.isArray(value) ? value : [value];
  } catch {
    return [];
  }
}

/** Lines that the dev container of an instance's image has run in it. */
export async function hooksOf(deps: Deps, image: string): Promise<Hooks> {
  const none = { create: [], start: [] };
  if (!isLayer(image)) return none;
  const found = await (await deps.engine()).imageLabels(image);
  const json = found?.[labels.hooks] ?? "";
  return json === "" ? none : (JSON.parse(json) as Hooks);
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

/** Builds an image that is not there. Of several commands at once one builds and the others wait. */
async function builtOnce(
  deps: Deps,
  tag: string,
  { signal, onStep, onBuildLine }: BuildProgress,
  image: { what: string; building: string; build: (how: BuildOptions) => Promise<void> },
): Promise<void> {
  const engine = await deps.engine();
  if (await engine.imageExists(tag)) return;
  await deps.store.withLock(
    `image:${tag}`,
    async () => {
      if (await engine.imageExists(tag)) return;
      onStep(`building ${image.building}`);
      await image.build({ env: deps.env, signal, onLine: onBuildLine });
    },
    { signal, onWait: () => onStep(`waiting for another hjk that builds ${image.what}`) },
  );
}

/** Whether a name means an image that was made on top of another one, for instances. */
const isLayer = (image: string): boolean =>
  [setupImageName, toolsImageName].some((name) => image.startsWith(`${name}:`));

/** Whether a name means an image that was made for instances, and can be made again. */
export const isMadeImage = (image: string): boolean =>
  isLayer(image) || isBaseImage(image) || image.startsWith(`${builtImageName}:`);

/** The image below all of our layers, or the image itself; undefined where it is gone and nobody knows. */
export async function imageBelow(deps: Deps, image: string): Promise<string | undefined> {
  if (!isLayer(image)) return image;
  const from = (await (await deps.engine()).imageLabels(image))?.[labels.from];
  return from === undefined ? undefined : await imageBelow(deps, from);
}

/** What an image was built from: a path of the user's, or `repositorySource`; undefined for any other. */
export async function sourceOf(deps: Deps, image: string): Promise<string | undefined> {
  if (!image.startsWith(`${builtImageName}:`)) return undefined;
  return (await (await deps.engine()).imageLabels(image))?.[labels.source];
}

/** Name of the base image that this machine needs now, whether it is there or not. */
export async function currentBaseImage(deps: Deps, agents: ImageAgents): Promise<string> {
  return (await baseImage(deps.env, containerUser(deps), agents)).tag;
}

/** Whether a name means the built-in base image of some version or inputs. */
export const isBaseImage = (image: string): boolean => image.startsWith(`${baseImageName}:`);

/** Agents that a base image holds; undefined when there is no such image. */
export async function agentsOf(deps: Deps, image: string): Promise<readonly string[] | undefined> {
  const found = await (await deps.engine()).imageLabels(image);
  if (found === undefined) return undefined;
  // Those without the label were built before there was a choice.
  return found[labels.agents]?.split(" ").filter((name) => name !== "") ?? defaultImageAgents;
}
