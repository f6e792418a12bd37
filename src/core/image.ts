import { defaultImageAgents } from "../agents/versions.ts";
import { buildSetupImage, setupImage, setupImageName } from "../drivers/setup-image.ts";
import {
  baseImage,
  baseImageName,
  buildBaseImage,
  buildGatewayImage,
  gatewayImage,
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
 * inputs have changed. Of several commands at once one builds and the others wait.
 */
export async function ensureBaseImage(
  deps: Deps,
  options: BuildProgress & { agents: ImageAgents },
): Promise<string> {
  const engine = await deps.engine();
  const image = await baseImage(deps.env, containerUser(deps), options.agents);
  // The plain name follows the image in use, also back to an older one.
  const named = (): Promise<void> => engine.tagImage(image.tag, baseImageName);
  if (await engine.imageExists(image.tag)) {
    await named();
    return image.tag;
  }
  await deps.store.withLock(
    `image:${image.tag}`,
    async () => {
      if (await engine.imageExists(image.tag)) return;
      options.onStep(`building the base image ${image.tag} (first use or new inputs; takes a few minutes)`);
      await buildBaseImage(engine, image, {
        env: deps.env,
        version: deps.version,
        signal: options.signal,
        onLine: options.onBuildLine,
      });
      await named();
    },
    {
      signal: options.signal,
      onWait: () => options.onStep("waiting for another hjk that builds the base image"),
    },
  );
  return image.tag;
}

/** Name of the image that gateways run in, built first if it is not there. */
export async function ensureGatewayImage(deps: Deps, options: BuildProgress): Promise<string> {
  const engine = await deps.engine();
  const image = await gatewayImage(deps.env);
  if (await engine.imageExists(image.tag)) return image.tag;
  await deps.store.withLock(
    `image:${image.tag}`,
    async () => {
      if (await engine.imageExists(image.tag)) return;
      options.onStep(`building the image of the gateways ${image.tag} (once)`);
      await buildGatewayImage(engine, image, {
        env: deps.env,
        version: deps.version,
        signal: options.signal,
        onLine: options.onBuildLine,
      });
    },
    {
      signal: options.signal,
      onWait: () => options.onStep("waiting for another hjk that builds the image of the gateways"),
    },
  );
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
  if (await engine.imageExists(image.tag)) return image.tag;
  await deps.store.withLock(
    `image:${image.tag}`,
    async () => {
      if (await engine.imageExists(image.tag)) return;
      options.onStep(`building ${image.tag} with the repository's setup (once)`);
      await buildSetupImage(engine, image, {
        env: deps.env,
        store: deps.store.id(),
        signal: options.signal,
        onLine: options.onBuildLine,
      });
    },
    { signal: options.signal, onWait: () => options.onStep("waiting for another hjk that builds the image") },
  );
  return image.tag;
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
