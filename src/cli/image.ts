import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Agent } from "../agents/agent.ts";
import { agentVersions } from "../agents/versions.ts";
import type { Config } from "../config/config.ts";
import type { Deps } from "../core/deps.ts";
import { isOnBaseImage } from "../core/dockerfile.ts";
import { ensureImageAt, isPath } from "../core/built-image.ts";
import { agentsOf, ensureBaseImage, imageBelow, isBaseImage, sourceOf } from "../core/image.ts";
import { devcontainerSource, repositorySource } from "../drivers/built-image.ts";
import type { ImageAgents } from "../drivers/base-image.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { buildProgress } from "./progress.ts";

/** Agents that the base image is to hold, and their versions. */
export function imageAgents(config: Config): ImageAgents {
  const versions = config.image.agents.map((name) => [name, config.agents[name]?.version ?? ""] as const);
  return Object.fromEntries(versions);
}

/** Where the image of a container comes from. */
export type ImageChoice =
  /** The user has named it for this instance: an image, or an absolute path to build one from. */
  | { kind: "named"; image: string }
  /** The repository's own, with or without its devcontainer.json, else that of the configuration, else the base image. */
  | { kind: "usual"; devcontainer: boolean }
  /** The base image, whatever else there is. */
  | { kind: "base" };

/** What a user gave as an image, with a path made absolute. */
export function namedImage(context: Context, image: string): string {
  return isPath(image) ? resolve(context.cwd, image) : image;
}

/** Where the image of an instance came from, so that its container can be made anew from there. */
export async function choiceBefore(deps: Deps, instance: InstanceRecord): Promise<ImageChoice> {
  const before = await imageBelow(deps, instance.image);
  if (before === undefined || isBaseImage(before)) return { kind: "base" };
  const source = await sourceOf(deps, before);
  if (source === repositorySource || source === devcontainerSource)
    return { kind: "usual", devcontainer: source === devcontainerSource };
  return { kind: "named", image: source ?? before };
}

/** Makes sure of an image that the user has named, here or in the configuration: builds it where it is a path. */
export async function ensureNamed(context: Context, image: string): Promise<string> {
  if (!isPath(image)) return image;
  const deps = context.deps();
  const text = await readFile(image, "utf8").catch(() =>
    readFile(join(image, "Dockerfile"), "utf8").catch(() => ""),
  );
  await ensureBelow(context, text);
  const built = await ensureImageAt(deps, image, buildProgress(context));
  context.io.stepDone();
  return built;
}

/** Makes sure of the base image where a Dockerfile builds on it. */
export async function ensureBelow(context: Context, dockerfile: string): Promise<void> {
  if (isOnBaseImage(dockerfile)) await ensureOwnBase(context);
}

export async function ensureOwnBase(context: Context): Promise<string> {
  const agents = imageAgents(await context.config());
  return await ensureBaseImage(context.deps(), { ...buildProgress(context), agents });
}

/**
 * Refuses an agent that the base image does not hold: that of the instance, or of the one that would be
 * made. What an image of the user's own holds is for the user to know.
 */
export async function checkInImage(
  context: Context,
  agent: Agent,
  instance: InstanceRecord | undefined,
  imageWanted?: string,
): Promise<void> {
  const config = await context.config();
  const image =
    instance === undefined
      ? (imageWanted ?? config.default.baseImage)
      : await imageBelow(context.deps(), instance.image);
  if (!Object.hasOwn(agentVersions, agent.name) || (image !== undefined && !isBaseImage(image))) return;
  const chosen = config.image.agents;
  const held = image === undefined ? chosen : await agentsOf(context.deps(), instance?.image ?? image);
  if (held === undefined || held.includes(agent.name)) return;
  const hints = [];
  if (!chosen.includes(agent.name))
    hints.push(`Have it put there: hjk config image.agents "${[...chosen, agent.name].join(" ")}"`);
  if (instance !== undefined) {
    const then = hints.length === 0 ? "Make" : "Then make";
    hints.push(`${then} the container anew, files kept: hjk recreate ${instance.branch}`);
  }
  const whose = instance === undefined ? "The base image" : `The image of ${instance.branch}`;
  throw new HeadjackError(
    `${whose} does not hold ${agent.title}; it has ${held.join(", ") || "no agents"}.`,
    {
      kind: "usage",
      hints,
    },
  );
}
