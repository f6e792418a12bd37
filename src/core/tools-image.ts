import { join } from "node:path";
import {
  buildToolsImage,
  lacksCommand,
  readLacks,
  toolsImage,
  type LayerSettings,
} from "../drivers/tools-image.ts";
import { extraCertificates, type ImageAgents } from "../drivers/base-image.ts";
import { labels } from "../drivers/engine/engine.ts";
import { HeadjackError } from "../errors.ts";
import { runUnchecked } from "../drivers/process.ts";
import { workspaceTarget } from "../drivers/instance-files.ts";
import { containerUser } from "./container.ts";
import type { Deps } from "./deps.ts";
import { builtOnce, ensureBaseImage, presentImage, type BuildProgress } from "./image.ts";
import { newInstanceId } from "./names.ts";

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
