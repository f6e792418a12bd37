import { findAgent } from "../agents/index.ts";
import type { Agent } from "../agents/agent.ts";
import { configureGateway } from "../core/gateway.ts";
import { agentProgram, instructionsFor, shellProgram, type ProgramFor } from "../core/launch.ts";
import {
  defaultSize,
  prepareSession,
  refreshSessions,
  screenName,
  type PreparedSession,
} from "../core/session.ts";
import { HeadjackError } from "../errors.ts";
import { runInteractive } from "../drivers/process.ts";
import { recordSize } from "../drivers/recording.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import { didYouMean } from "../config/nearest.ts";
import { cleanText } from "../ui/clean.ts";
import type { Context } from "./context.ts";
import { credentialFor } from "./credential.ts";
import { briefSyncMs, syncAndTell } from "./find.ts";
import { ChildExit } from "./report-error.ts";

/** tmux's own line at the bottom. */
const statusRows = 1;

/** Terminals smaller than this are not taken as a session's size: agents draw badly on them. */
const minSize = { cols: 80, rows: 24 };

/** A session that ended this soon after its start has probably failed, and its last words say why. */
const suspiciouslyShortMs = 3000;

/**
 * tmux discards what the terminal has not read yet when it takes it over, and nothing tells when it
 * has: what was printed before gets this time to be read.
 */
const terminalReadsMs = 30;

/** Lines shown of a command that has ended, and of a program that failed at once. */
const outputLines = 200;
const failureLines = 15;

/** The agent of a name, or `default.agent`. */
export async function chooseAgent(context: Context, name: string | true): Promise<Agent> {
  const wanted = name === true ? ((await context.config()).default.agent ?? "") : name;
  const builtIn = findAgent(wanted);
  if (builtIn !== undefined) return builtIn;
  const all = await context.agents();
  const agent = all.find((one) => one.name === wanted);
  if (agent !== undefined) return agent;
  const names = all.map((one) => one.name);
  const near = didYouMean(wanted, names);
  throw new HeadjackError(`There is no agent named ${JSON.stringify(wanted)}.`, {
    kind: "usage",
    hints: [...(near === undefined ? [] : [`Did you mean ${near}?`]), `Agents: ${names.join(", ")}`],
  });
}

/** Turns are counted in the record that an agent keeps of its conversation. */
export function checkCountsTurns(agent: Agent | undefined, maxTurns: number | undefined): void {
  if (maxTurns === undefined || agent?.conversation !== undefined) return;
  throw new HeadjackError(`The turns of ${agent?.title ?? "a shell"} cannot be counted.`, {
    kind: "usage",
    hints: ["Limit its time: --max-time 30m"],
  });
}

/** The program of a session: an agent with its credential, or a shell. */
export async function programFor(
  context: Context,
  branch: string,
  agent: Agent | undefined,
  begin: { prompt?: string; resume?: string } = {},
): Promise<ProgramFor> {
  if (agent === undefined) return shellProgram;
  if (begin.prompt !== undefined && agent.promptless === true) {
    throw new HeadjackError(`${agent.title} is started by a command that takes no prompt.`, {
      kind: "usage",
      hints: [`Put {prompt} into agents.${agent.name}.command, or start it without one.`],
    });
  }
  const config = (await context.config()).agents[agent.name];
  return agentProgram(agent, {
    instructions: instructionsFor(branch),
    autonomy: config?.autonomy ?? "full",
    args: config?.args ?? [],
    environment: config?.env ?? {},
    credential: (await credentialFor(context, agent, (text) => context.io.note(text))).launch,
    ...begin,
    ...(config?.baseUrl === undefined ? {} : { baseUrl: config.baseUrl }),
  });
}

export interface OpenRequest {
  type: string;
  program: ProgramFor;
  name?: string;
  detached: boolean;
  /** Whether its agent begins with a prompt. */
  prompted?: boolean;
  /** Milliseconds after which it is ended. */
  maxMs?: number;
  /** Answers of the model after which it is ended. */
  maxTurns?: number;
  /** A command with an end: what it printed is shown again then, since its screen goes with it. */
  showOutput?: boolean;
}

/** Prepares a session with the user's settings. */
export async function prepareFor(
  context: Context,
  instance: InstanceRecord,
  request: OpenRequest,
): Promise<PreparedSession> {
  return await prepareSession(context.deps(), instance, {
    type: request.type,
    program: request.program,
    ...(request.prompted === undefined ? {} : { prompted: request.prompted }),
    ...(request.maxMs === undefined ? {} : { maxMs: request.maxMs }),
    ...(request.maxTurns === undefined ? {} : { maxTurns: request.maxTurns }),
    ...(context.io.terminal === undefined ? {} : { terminal: context.io.terminal }),
    ...(request.name === undefined ? {} : { name: request.name }),
    logs: (await context.config()).storage.logs,
    size: sessionSize(context),
  });
}

/** Starts a session and says so, or puts the user's terminal on it. */
export async function openSession(
  context: Context,
  instance: InstanceRecord,
  request: OpenRequest,
  prepared?: PreparedSession,
): Promise<void> {
  const { io } = context;
  io.step(`starting ${request.type}`);
  // A new instance has been told at its start who works in it.
  if (prepared === undefined && request.type !== "shell") {
    const login = await configureGateway(context.deps(), instance, [request.type]);
    if (login?.problem !== undefined) io.note(`warning: ${login.problem}`);
  }
  const session = await (prepared ?? (await prepareFor(context, instance, request))).begin();
  io.stepDone();
  io.out(
    `Created session ${session.name} in instance ${instance.id}${request.detached ? " (detached)" : ""}`,
  );
  if (!request.detached) await attachTo(context, instance, session, request.showOutput === true);
}

function sessionSize(context: Context): { cols: number; rows: number } {
  const size = context.io.size;
  if (size === undefined) return defaultSize;
  return { cols: Math.max(size.cols, minSize.cols), rows: Math.max(size.rows - statusRows, minSize.rows) };
}

/** Refuses to go on without a terminal, before anything is made. */
export function requireTerminal(context: Context, instead: string): void {
  if (context.io.isInteractive) return;
  throw new HeadjackError("There is no terminal here to attach to.", { kind: "usage", hints: [instead] });
}

/** Notes the size of the user's terminal, which is the session's while they are attached, and its changes. */
async function noteSizes(context: Context, session: SessionRecord): Promise<() => void> {
  const note = async (): Promise<void> => {
    const { size } = context.io;
    if (size !== undefined) await recordSize(session.log, { cols: size.cols, rows: size.rows - statusRows });
  };
  const onResize = (): void => void note();
  await note();
  process.on("SIGWINCH", onResize);
  return () => process.off("SIGWINCH", onResize);
}

/** Puts the user's terminal on a session until they detach or it ends; its exit code becomes ours. */
export async function attachTo(
  context: Context,
  instance: InstanceRecord,
  session: SessionRecord,
  showOutput = false,
): Promise<void> {
  const deps = context.deps();
  deps.store.updateSession(session.id, { accessedAt: deps.now() });
  const started = deps.now();
  await Bun.sleep(terminalReadsMs);
  const stopNoting = await noteSizes(context, session);
  await runInteractive(deps.tmux.attachCommand(screenName(instance.id, session.name)), {
    env: deps.tmux.environment,
  });
  stopNoting();
  await refreshSessions(deps);
  await syncAndTell(context, instance, briefSyncMs);
  const now = deps.store.session(session.id);
  if (now === undefined || now.state !== "ended") {
    deps.store.updateSession(session.id, { accessedAt: deps.now() });
    return;
  }
  const failedAtOnce =
    now.exitCode !== null && now.exitCode !== 0 && deps.now() - started < suspiciouslyShortMs;
  const shown = showOutput ? outputLines : failedAtOnce ? failureLines : 0;
  if (shown > 0) {
    const { lastLines } = await import("../core/logs.ts");
    for (const line of await lastLines(deps, now, shown)) context.io.out(cleanText(line));
  }
  const how =
    now.exitCode === null ? `was ended (${now.end ?? "unknown"})` : `exited with code ${now.exitCode}`;
  context.io.note(`Session ${session.name} ${how}.`);
  if (now.exitCode !== null && now.exitCode !== 0) throw new ChildExit(now.exitCode);
}
