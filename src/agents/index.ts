import type { Agent } from "./agent.ts";
import { claude } from "./claude.ts";
import { codex } from "./codex.ts";
import { copilot } from "./copilot.ts";
import { gemini } from "./gemini.ts";
import { opencode } from "./opencode.ts";

/**
 * The agents that are built in, in the order in which they are listed. Those of the user's own come
 * after them: all of them are `Context.agents`.
 */
export const agents: readonly Agent[] = [claude, codex, gemini, opencode, copilot];

/** A built-in agent. */
export function findAgent(name: string): Agent | undefined {
  return agents.find((agent) => agent.name === name);
}
