import type { Agent, SeedFile } from "../agents/agent.ts";

/** A program to run in a session. */
export interface Program {
  command: string[];
  environment: Record<string, string>;
}

/** The best shell that the image has; bash is not in all. */
export const shellProgram: Program = {
  command: ["sh", "-c", 'exec "$(command -v bash || echo sh)" -l'],
  environment: {},
};

export interface LaunchRequest {
  prompt?: string;
  instructions: string;
  /** `agents.<name>.base_url` */
  baseUrl?: string;
  /** `agents.<name>.env` */
  environment: Record<string, string>;
  /** What the credential adds; empty when there is none. */
  credential: { environment: Record<string, string>; args: string[] };
}

/** Command line and environment of an agent that starts unattended. */
export function agentProgram(agent: Agent, request: LaunchRequest): Program {
  const base = request.baseUrl === undefined ? {} : agent.baseUrl(request.baseUrl);
  // A credential in the user's own variables comes by its delivery; as it is written there, the agent
  // may not read it, or asks about it.
  const usual = new Set(agent.hostEnv.map((variable) => variable.name));
  const own = Object.entries(request.environment).filter(([name]) => !usual.has(name));
  return {
    command: agent.command({
      instructions: request.instructions,
      args: [...(base.args ?? []), ...request.credential.args],
      ...(request.prompt === undefined ? {} : { prompt: request.prompt }),
    }),
    environment: {
      ...agent.env,
      ...base.env,
      ...Object.fromEntries(own),
      ...request.credential.environment,
    },
  };
}

/** What an agent is told about where it is. */
export function instructionsFor(branch: string): string {
  return [
    `You work alone in a container of your own, in /workspace, on the git branch ${branch}.`,
    "Nobody sees uncommitted work: commit what you make on this branch, in small commits with clear messages.",
    "Stay on this branch, and do not push: your commits reach the user by themselves.",
    "The user looks in only now and then. When you need a decision, ask one short question in plain text and stop.",
  ].join(" ");
}

/** Files for a new instance that let every agent start without a question. */
export function seedFiles(agents: readonly Agent[], branch: string): SeedFile[] {
  const instructions = instructionsFor(branch);
  return agents.flatMap((agent) => agent.seed({ instructions }));
}
