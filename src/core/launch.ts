import { HeadjackError } from "../errors.ts";
import { accessThrough, type GatewayState } from "./gateway.ts";
import { type Agent, type Autonomy, seedDir, type SeedFile, stateDir } from "../agents/agent.ts";

/** What a session runs. */
export interface Program {
  command: string[];
  environment: Record<string, string>;
  /** Whether it holds a credential itself, where whatever runs beside it can read it. */
  exposed?: boolean;
}

/** Makes the program of a session, whose home in the container is given, and the gateway if it has one. */
export type ProgramFor = (home: string, gateway?: GatewayState) => Program;

/** Where a session's agent keeps what it keeps, in the container. */
export const homeOf = (sessionId: string): string => `${stateDir}/${sessionId}`;

/** The best shell that the image has; bash is not in all. */
export const shellProgram: ProgramFor = () => ({
  command: ["sh", "-c", 'exec "$(command -v bash || echo sh)" -l'],
  environment: {},
});

export interface LaunchRequest {
  prompt?: string;
  instructions: string;
  /** Conversation to go on with. */
  resume?: string;
  autonomy: Autonomy;
  /** `agents.<name>.args` */
  args: string[];
  /** `agents.<name>.base_url` */
  baseUrl?: string;
  /** `agents.<name>.env`; `{home}` in a value stands for the session's home. */
  environment: Record<string, string>;
  /** What the credential adds; empty when there is none. */
  credential: LaunchCredential;
}

export interface LaunchCredential {
  environment: Record<string, string>;
  args: string[];
  /**
   * Where a gateway has the credential: in which variable the agent shows the gateway's token in its place. Absent
   * for an agent that cannot work so.
   */
  throughGateway?: { variable: string; args: string[]; settings?: Record<string, string> };
  /** What it is, where it is given to gateways alone. */
  gatewayOnly?: string;
}

/** Command line and environment of an agent that starts unattended. */
export function agentProgram(agent: Agent, request: LaunchRequest): ProgramFor {
  // A credential in the user's own variables comes by its delivery; as it is written there, the agent
  // may not read it, or asks about it.
  const usual = new Set(
    agent.hostEnv
      .filter(({ name, kind, env }) => (env ?? agent.credentials[kind]?.env) !== name)
      .map(({ name }) => name),
  );
  const own = Object.entries(request.environment).filter(([name]) => !usual.has(name));
  return (home, state) => {
    const { throughGateway } = request.credential;
    const access =
      state === undefined || throughGateway === undefined ? undefined : accessThrough(state, agent.name);
    if (access === undefined && request.credential.gatewayOnly !== undefined) {
      throw new HeadjackError(`${request.credential.gatewayOnly} works only through a gateway.`, {
        kind: "auth",
        hints: [
          "This instance has none, since its engine flags choose a network of their own.",
          `Use an API key there: hjk auth ${agent.name} --api-key`,
        ],
      });
    }
    const url = access?.url ?? request.baseUrl;
    const base = url === undefined ? {} : agent.baseUrl(url);
    const credential =
      access === undefined || throughGateway === undefined
        ? request.credential
        : {
            environment: { ...throughGateway.settings, [throughGateway.variable]: access.token },
            args: throughGateway.args,
          };
    // What is a credential stays outside.
    const inside = access === undefined ? own : own.filter(([name]) => !isCredential(agent, name));
    const command = agent.command({
      instructions: request.instructions,
      home,
      autonomy: request.autonomy,
      // The user's last, so that they win.
      args: [...(base.args ?? []), ...credential.args, ...request.args],
      ...(request.prompt === undefined ? {} : { prompt: request.prompt }),
      ...(request.resume === undefined ? {} : { resume: request.resume }),
    });
    return {
      exposed:
        (access === undefined && Object.keys(credential.environment).length > 0) ||
        inside.some(([name]) => secretName.test(name)),
      command: ["sh", "-c", furnishScript, "sh", home, `${seedDir}/${agent.name}`, ...command],
      environment: {
        ...agent.env(home),
        ...base.env,
        ...Object.fromEntries(inside.map(([name, value]) => [name, value.replaceAll("{home}", home)])),
        ...credential.environment,
      },
    };
  };
}

/** Names of variables that hold what nobody else should know. */
const secretName = /(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD)$/i;

const isCredential = (agent: Agent, variable: string): boolean =>
  agent.hostEnv.some(({ name, env }) => variable === name || variable === env) ||
  Object.values(agent.credentials).some(({ env }) => variable === env);

/**
 * Furnishes the home ($1) from what is prepared for the agent ($2), once, and runs the rest. Done inside:
 * what lies below the state folder is the agent's, and the host must not write there by name. An agent
 * of the user's own has nothing prepared.
 */
const furnishScript =
  '[ -d "$1" ] || { mkdir "$1.new" && { [ ! -d "$2" ] || cp -R "$2/." "$1.new/"; } && mv "$1.new" "$1"; } || exit 1; ' +
  'shift 2; exec "$@"';

/** What an agent is told about where it is. */
export function instructionsFor(branch: string): string {
  return [
    `You work alone in a container of your own, in /workspace, on the git branch ${branch}.`,
    "Nobody sees uncommitted work: commit what you make on this branch, in small commits with clear messages.",
    "Stay on this branch, and do not push: your commits reach the user by themselves.",
    "The user looks in only now and then. When you cannot go on without a decision of theirs, do not use a question tool:",
    "end your message with one short paragraph that begins with QUESTION: and stop.",
  ].join(" ");
}

/** Files that let every agent start without a question, each agent's in a folder of its name. */
export function seedFiles(agents: readonly Agent[], branch: string): SeedFile[] {
  const instructions = instructionsFor(branch);
  return agents.flatMap((agent) =>
    agent.seed({ instructions }).map((file) => ({ ...file, path: `${agent.name}/${file.path}` })),
  );
}
