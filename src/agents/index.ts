import type { Agent } from "./agent.ts";
import { claude } from "./claude.ts";
import { codex } from "./codex.ts";
import { gemini } from "./gemini.ts";

/** Every agent Headjack knows, in the order in which they are listed. */
export const agents: readonly Agent[] = [claude, codex, gemini];

export function findAgent(name: string): Agent | undefined {
  return agents.find((agent) => agent.name === name);
}
