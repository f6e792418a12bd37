import type { Agent } from "../agents/agent.ts";
import { agentVersions } from "../agents/versions.ts";
import type { Config } from "../config/config.ts";
import { agentsOf, imageBelow, isBaseImage } from "../core/image.ts";
import type { ImageAgents } from "../drivers/base-image.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";

/** Agents that the base image is to hold, and their versions. */
export function imageAgents(config: Config): ImageAgents {
  const versions = config.image.agents.map((name) => [name, config.agents[name]?.version ?? ""] as const);
  return Object.fromEntries(versions);
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
