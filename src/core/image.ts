import { defaultImageAgents } from "../agents/versions.ts";
import { builtImageName } from "../drivers/built-image.ts";
import { buildSetupImage, setupImage, setupImageName } from "../drivers/setup-image.ts";
import { toolsImageName } from "../drivers/tools-image.ts";
import {
  baseImage,
  baseImageName,
  buildBaseImage,
  buildGatewayImage,
  gatewayImage,
  type BuildOptions,
  type ImageAgents,
} from "../drivers/base-image.ts";
import { labels } from "../drivers/engine/engine.ts";
import { HeadjackError } from "../errors.ts";
import { containerUser } from "./container.ts";
import type { Deps, OnStep } from "./deps.ts";
import type { Hooks } from "./set-up.ts";

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
export async function presentImage(deps: Deps, image: string): Promise<string> {
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

/** Lines that the dev container of an instance's image has run in it. */
export async function hooksOf(deps: Deps, image: string): Promise<Hooks> {
  const none = { create: [], start: [] };
  if (!isLayer(image)) return none;
  const found = await (await deps.engine()).imageLabels(image);
  const json = found?.[labels.hooks] ?? "";
  return json === "" ? none : (JSON.parse(json) as Hooks);
}

/** Builds an image that is not there. Of several commands at once one builds and the others wait. */
export async function builtOnce(
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
