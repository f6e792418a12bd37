import { defaultImageAgents } from "../agents/versions.ts";
import { buildSetupImage, setupImage, setupImageName } from "../drivers/setup-image.ts";
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
  const id = await engine.imageId(from);
  if (id === undefined) {
    throw new HeadjackError(`There is no image ${from} on this machine.`, {
      kind: "not-found",
      hints: ["Pull or build it first, or choose another with --image."],
    });
  }
  const image = setupImage(from, id, lines);
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

/** Whether a name means an image with a repository's setup. */
export const isSetupImage = (image: string): boolean => image.startsWith(`${setupImageName}:`);

/** The image below a repository's setup, or the image itself; undefined where it is gone and nobody knows. */
export async function imageBelow(deps: Deps, image: string): Promise<string | undefined> {
  if (!isSetupImage(image)) return image;
  return (await (await deps.engine()).imageLabels(image))?.[labels.from];
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
