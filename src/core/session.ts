import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HeadjackError } from "../errors.ts";
import { removeRecording } from "../drivers/recording.ts";
import { EnvironmentPipe } from "../drivers/environment-pipe.ts";
import type { TmuxSession } from "../drivers/tmux.ts";
import type { InstanceRecord, SessionEnd, SessionRecord } from "../store/records.ts";
import { isProcessAlive } from "../store/alive.ts";
import { instanceLock, type Deps } from "./deps.ts";
import { gatewayState } from "./gateway.ts";
import { nextCheckMs } from "./limits.ts";
import { homeOf, type Program, type ProgramFor } from "./launch.ts";
import { removeSessionCopy, writeSessionCopy } from "./session-copy.ts";
import { checkSessionName, newSessionId, newSessionName } from "./names.ts";

/** Marks every process of a session inside the container, so that all of them can be found and ended. */
export const sessionVariable = "HJK_SESSION";

const beginPollMs = 20;

/** Size of a session's screen while nobody looks, when `hjk` was started without a terminal. */
export const defaultSize = { cols: 120, rows: 40 };

export interface SessionRequest {
  /** `shell`, or the agent's name. */
  type: string;
  /** Chosen by the user; otherwise one is made up. */
  name?: string;
  /** What it runs, credentials included in its environment. */
  program: ProgramFor;
  /** Whether its agent begins with a prompt. */
  prompted?: boolean;
  /** Terminal device of whoever starts it. */
  terminal?: string;
  /** Milliseconds after which it is ended. */
  maxMs?: number;
  /** Answers of the model after which it is ended. */
  maxTurns?: number;
  /** Folder for recordings. */
  logs: string;
  size: { cols: number; rows: number };
}

/** Name of a session's screen in our tmux; also what its clients show when they detach. */
export const screenName = (instanceId: string, name: string): string => `${instanceId}/${name}`;

/** A session whose screen and engine client are there, waiting to be let go. */
export interface PreparedSession {
  record: SessionRecord;
  /** Starts its program; the container must run by now. */
  begin: () => Promise<SessionRecord>;
  /** Gives it up; nothing of it is left. */
  abandon: () => Promise<void>;
}

/**
 * Prepares a session, which may be done while its container still starts: the engine's client begins
 * by reading the environment from a pipe, and that is what lets it go.
 */
export async function prepareSession(
  deps: Deps,
  instance: InstanceRecord,
  request: SessionRequest,
): Promise<PreparedSession> {
  const gateway = await gatewayState(deps, instance);
  const session = recordNew(deps, instance, request);
  const program = request.program(homeOf(session.id), gateway);
  return await prepareScreen(deps, instance, session, program, () => forgetSession(deps, session));
}

/** Whether a session is an agent's that has ended and may go on with its conversation. */
export function isResumable(session: SessionRecord): boolean {
  return session.type !== "shell" && session.state === "ended" && session.end !== "killed";
}

/** Starts a session again that has ended: same name, home and recording. Its container must run. */
export async function resumeSession(
  deps: Deps,
  instance: InstanceRecord,
  ended: SessionRecord,
  program: ProgramFor,
): Promise<SessionRecord> {
  const gateway = await gatewayState(deps, instance);
  const startedAt = deps.now();
  if (!deps.store.reopenSession(ended.id, process.pid, startedAt)) {
    throw new HeadjackError(`Session ${ended.name} of ${instance.branch} is in use already.`, {
      hints: [`See: hjk ps ${instance.branch}`],
    });
  }
  const left = ended.endsAt === null ? 0 : ended.endsAt - startedAt;
  // What has reached a limit and is wanted back all the same has none any more.
  const limits = {
    endsAt: left > 0 ? ended.endsAt : null,
    maxTurns: ended.end === "limit" ? null : ended.maxTurns,
  };
  const session: SessionRecord = { ...ended, ...limits, startedAt };
  deps.store.updateSession(session.id, limits);
  // What a lost tmux server or a killed command has left running.
  await endProcesses(deps, instance, session.id);
  const started = program(homeOf(session.id), gateway);
  const prepared = await prepareScreen(deps, instance, session, started, () => closeSession(deps, session));
  return await prepared.begin();
}

async function prepareScreen(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  program: Program,
  giveUp: () => Promise<void>,
): Promise<PreparedSession> {
  const screen = screenName(instance.id, session.name);
  const orGiveUp = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      await giveUp();
      throw error;
    }
  };
  const pipe = await orGiveUp(() => EnvironmentPipe.make(deps.folders.runtime, pipeName(session), deps.env));
  await orGiveUp(async () => {
    const engine = await deps.engine();
    const command = engine.execCommand(instance.container, program.command, {
      tty: true,
      environmentFile: pipe.path,
    });
    await deps.tmux.start({
      name: screen,
      command: [
        "env",
        ...Object.entries(engine.environment).map(([name, value]) => `${name}=${value}`),
        ...command,
      ],
      cols: session.cols,
      rows: session.rows,
      log: session.log,
      title: `${instance.branch}  ${session.name} (${session.type})`,
      checkInMs: nextCheckMs(session, deps.now()),
    });
    await writeSessionCopy(deps, session);
    // Another command may have removed the instance, and with it the record, before there was a screen to end.
    if (deps.store.session(session.id) === undefined) throw removedMeanwhile(instance);
  });
  const begin = async (): Promise<SessionRecord> => {
    const environment = {
      TERM: "xterm-256color",
      COLORTERM: "truecolor",
      LANG: "C.UTF-8",
      [sessionVariable]: session.id,
      ...program.environment,
    };
    try {
      await pipe.send(environment, () => deps.tmux.isDead(screen));
    } catch (error) {
      throw (await endedMeanwhile(deps, instance, session)) ?? error;
    }
    await pipe.remove();
    const renewAt = (await gatewayState(deps, instance))?.login?.renewAt;
    if (renewAt !== undefined) await deps.tmux.checkIn(screen, Math.max(1000, renewAt - deps.now()), "renew");
    const live = { state: "live", exposed: program.exposed === true ? 1 : 0 } as const;
    deps.store.updateSession(session.id, live);
    return { ...session, ...live };
  };
  return { record: session, begin: () => orGiveUp(begin), abandon: giveUp };
}

/**
 * Waits until a session that is being started has begun: `refreshSessions` leaves it to its starter
 * until then, also when its program has ended already.
 */
export async function sessionBegun(deps: Deps, screen: string): Promise<void> {
  const starting = (): SessionRecord | undefined =>
    deps.store
      .sessions()
      .find(
        (session) => session.state === "starting" && screenName(session.instanceId, session.name) === screen,
      );
  for (let session = starting(); session !== undefined; session = starting()) {
    if (!isProcessAlive(session.starter)) return;
    await Bun.sleep(beginPollMs);
  }
}

const pipeName = (session: SessionRecord): string => `${session.id}.env`;

/** Leaves nothing of a session that has not begun. */
async function forgetSession(deps: Deps, session: SessionRecord): Promise<void> {
  await removeScreen(deps, session);
  await removeRecording(session.log);
  await removeSessionCopy(deps, session);
  deps.store.removeSession(session.id);
}

/** Gives up starting a session again; what it was before stays. */
async function closeSession(deps: Deps, session: SessionRecord): Promise<void> {
  await removeScreen(deps, session);
  endSession(deps, session, "lost", null);
}

async function removeScreen(deps: Deps, session: SessionRecord): Promise<void> {
  await deps.tmux.kill(screenName(session.instanceId, session.name));
  await rm(join(deps.folders.runtime, pipeName(session)), { force: true });
}

function recordNew(deps: Deps, instance: InstanceRecord, request: SessionRequest): SessionRecord {
  if (request.name !== undefined) checkSessionName(request.name);
  for (;;) {
    if (deps.store.instanceById(instance.id) === undefined) throw removedMeanwhile(instance);
    const taken = new Set(deps.store.sessions(instance.id).map((session) => session.name));
    const id = newSessionId();
    const now = deps.now();
    const session: SessionRecord = {
      id,
      instanceId: instance.id,
      name: request.name ?? newSessionName(taken),
      type: request.type,
      state: "starting",
      starter: process.pid,
      createdAt: now,
      startedAt: now,
      accessedAt: now,
      endedAt: null,
      exitCode: null,
      end: null,
      prompted: request.prompted === true ? 1 : 0,
      told: "",
      exposed: 0,
      terminal: request.terminal ?? "",
      endsAt: request.maxMs === undefined ? null : now + request.maxMs,
      maxTurns: request.maxTurns ?? null,
      turnKey: "",
      turn: "",
      log: join(request.logs, instance.id, `${id}.log`),
      ...request.size,
    };
    if (deps.store.addSession(session)) return session;
    if (request.name === undefined) continue;
    throw new HeadjackError(`${instance.branch} has a session named ${request.name} already.`, {
      kind: "usage",
      hints: [`Attach to it: hjk attach ${instance.branch} ${request.name}`, "Or choose another --name."],
    });
  }
}

/** Why a session could not begin, where another command has taken its instance away. */
async function endedMeanwhile(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
): Promise<HeadjackError | undefined> {
  const now = deps.store.instanceById(instance.id);
  if (now === undefined || now.state === "removing") return removedMeanwhile(instance);
  // Stopped, it may have been started again by now.
  const wasEnded = deps.store.session(session.id)?.state === "ended";
  if (!wasEnded && (await containerRuns(deps, session))) return undefined;
  return new HeadjackError(`The instance of ${instance.branch} was stopped meanwhile, by another command.`, {
    hints: [`Start it again: hjk start ${instance.branch}`],
  });
}

function removedMeanwhile(instance: InstanceRecord): HeadjackError {
  return new HeadjackError(`The instance of ${instance.branch} was removed meanwhile, by another command.`, {
    hints: ["Nothing of the session is left. Run the command again to make a new instance."],
  });
}

/**
 * Brings the records up to date with tmux: what has ended is recorded with its exit code, and what is
 * gone without one is called lost. What a killed command was about to start is given up. Returns the
 * screens that live.
 */
export async function refreshSessions(deps: Deps): Promise<Map<string, TmuxSession>> {
  const open = deps.store.sessions().filter((session) => session.state !== "ended");
  if (open.length === 0) return new Map();
  const screens = new Map((await deps.tmux.list()).map((screen) => [screen.name, screen]));
  for (const session of open) {
    const name = screenName(session.instanceId, session.name);
    const screen = screens.get(name);
    if (session.state === "starting") {
      if (isProcessAlive(session.starter)) continue;
      // Asked again: the starter may have finished its work before it ended.
      if (deps.store.session(session.id)?.state !== "starting") continue;
      await endProcessesIfRunning(deps, session).catch(() => undefined);
      await (session.startedAt > session.createdAt ? closeSession : forgetSession)(deps, session);
      screens.delete(name);
      continue;
    }
    if (screen === undefined) endSession(deps, session, "lost", null);
    else if (screen.dead) {
      const exitCode = screen.exitCode ?? null;
      const lost = exitCode !== 0 && !(await containerRuns(deps, session));
      endSession(deps, session, lost ? "lost" : "exited", lost ? null : exitCode);
      await deps.tmux.killListed(screen);
      screens.delete(name);
    }
  }
  await endForgottenScreens(deps, screens);
  return screens;
}

/** Without its container a program has not ended by itself. */
async function containerRuns(deps: Deps, session: SessionRecord): Promise<boolean> {
  const instance = deps.store.instanceById(session.instanceId);
  if (instance === undefined) return false;
  return (await (await deps.engine()).inspect(instance.container))?.running === true;
}

/** Ends the screens of sessions that are over: a command was killed after it had said so and before it had done it. */
async function endForgottenScreens(deps: Deps, screens: Map<string, TmuxSession>): Promise<void> {
  // Asked after tmux was: whoever starts a session records it first.
  const sessions = deps.store.sessions();
  const open = sessions.filter((session) => session.state !== "ended");
  const wanted = new Set(open.map((session) => screenName(session.instanceId, session.name)));
  for (const [name, screen] of screens) {
    if (wanted.has(name)) continue;
    const over = sessions.findLast((session) => screenName(session.instanceId, session.name) === name);
    const instance = over === undefined ? undefined : deps.store.instanceById(over.instanceId);
    // Another command is at it: stopping, making anew, removing.
    if (instance !== undefined && deps.store.isLocked(instanceLock(instance))) continue;
    if (over !== undefined) await endProcessesIfRunning(deps, over).catch(() => undefined);
    await deps.tmux.killListed(screen);
    screens.delete(name);
  }
}

function endSession(deps: Deps, session: SessionRecord, end: SessionEnd, exitCode: number | null): void {
  deps.store.endSession(session.id, { end, exitCode, endedAt: deps.now() });
}

/** Ends one session: first its processes in the container, then its screen. */
export async function killSession(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  end: SessionEnd = "killed",
): Promise<void> {
  endSession(deps, session, end, null);
  try {
    await endProcessesIfRunning(deps, session);
  } finally {
    await deps.tmux.kill(screenName(instance.id, session.name));
  }
}

async function endProcessesIfRunning(deps: Deps, session: SessionRecord): Promise<void> {
  const instance = deps.store.instanceById(session.instanceId);
  if (instance !== undefined && (await containerRuns(deps, session)))
    await endProcesses(deps, instance, session.id);
}

/** Ends every session of an instance whose container is about to be stopped or removed. */
export async function endSessions(
  deps: Deps,
  instance: InstanceRecord,
  end: SessionEnd,
  containerRuns: boolean,
): Promise<void> {
  await refreshSessions(deps);
  const open = deps.store.sessions(instance.id).filter((session) => session.state !== "ended");
  for (const session of open) endSession(deps, session, end, null);
  // A container that does not answer must not keep itself from being stopped.
  if (containerRuns && open.length > 0) await endProcesses(deps, instance, "").catch(() => undefined);
  await endScreens(deps, instance);
}

/** Ends the screens of an instance, all that tmux has, whatever the records say; without tmux there are none. */
export async function endScreens(deps: Deps, instance: Pick<InstanceRecord, "id">): Promise<void> {
  const screens = await deps.tmux.list().catch(() => []);
  for (const { name } of screens)
    if (name.startsWith(screenName(instance.id, ""))) await deps.tmux.kill(name);
}

/**
 * Ends the processes of a session in the container, or of all sessions. They outlive the engine's
 * client, so ending the screen on the host is not enough. Asked first, forced after 3 seconds. They get
 * HUP too, as from a terminal that is closed: shells that a person types into ignore TERM.
 */
export async function endProcesses(deps: Deps, instance: InstanceRecord, sessionId: string): Promise<void> {
  const engine = await deps.engine();
  await engine.exec(instance.container, ["sh", "-c", endScript, "sh", `${sessionVariable}=${sessionId}`], {
    timeoutMs: 10_000,
  });
}

/** $1 is how the marking variable begins; processes of other users are left alone by the kernel. */
const endScript = `
marked() {
  for folder in /proc/[0-9]*; do
    if tr '\\0' '\\n' < "$folder/environ" 2>/dev/null | grep -q "^$1"; then echo "\${folder#/proc/}"; fi
  done
}
kill -TERM $(marked "$1") 2>/dev/null
kill -HUP $(marked "$1") 2>/dev/null
for wait in 0.02 0.05 0.1 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2; do
  [ -z "$(marked "$1")" ] && exit 0
  sleep $wait
done
kill -KILL $(marked "$1") 2>/dev/null
exit 0
`;
