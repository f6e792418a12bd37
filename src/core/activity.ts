import { findAgent } from "../agents/index.ts";
import type { Signal, WaitReason } from "../agents/activity.ts";
import type { Agent } from "../agents/agent.ts";
import type { Json } from "../agents/conversation.ts";
import { findFiles, readPart } from "../drivers/agent-files.ts";
import type { TmuxSession } from "../drivers/tmux.ts";
import type { SessionRecord } from "../store/records.ts";
import { homeOnHost } from "./conversation.ts";
import type { Deps } from "./deps.ts";
import { lastEntries, lastTurn, readTurn, type Turn } from "./turn.ts";

export type ActivityState = "starting" | "working" | "waiting" | "idle" | "done" | "failed" | "unknown";

/** What an agent is doing, and how that is known. */
export interface Activity {
  state: ActivityState;
  /** What it waits for; only for `waiting`, and only where the agent tells. */
  reason?: WaitReason;
  /** Who says so: the agent itself, the end of its process, or what its screen does. */
  source: "agent" | "process" | "screen";
  /** Unix time in milliseconds since when; null where nobody tells. */
  since: number | null;
  /** Whether its screen shows a dialog that must be answered with a key; typed words would go astray. */
  dialog: boolean;
  /** Its question, its last words or its error; empty where there are none. Hostile. */
  message: string;
}

const statusBytes = 16 * 1024;

/** An agent that has said nothing for this long after its start is not starting any more. */
const startMs = 60_000;

/** An agent that listens turns to the prompt it was started with within this time. */
const promptComesMs = 15_000;

/** A prompt that was just typed is in the conversation a moment before the agent says that it works. */
const promptSettlesMs = 3000;

/** A screen that has changed this recently is at work; tmux tells whole seconds only. */
const screenMovesMs = 2500;

/** How an agent marks a question to the user (`instructionsFor` in launch.ts asks for it): the last paragraph begins so. */
const questionMark = /^[\s*_>#-]*QUESTION:/;

/**
 * What a session's agent is doing; undefined for one that was ended, and for a shell, whose user is its
 * own judge.
 */
export function activityOf(
  deps: Deps,
  session: SessionRecord,
  screen: TmuxSession | undefined,
): Activity | undefined {
  if (session.type === "shell") return undefined;
  const agent = findAgent(session.type);
  if (session.state === "ended") return ended(session);
  if (session.state === "starting") return starting(session);
  const now = deps.now();
  const home = homeOnHost(deps, session);
  const signal = agent === undefined ? undefined : signalOf(agent, home, session, screen);
  const isYoung = now - session.startedAt < startMs;
  // Its conversation may be that of a time before.
  if (agent !== undefined && signal === undefined && isYoung && hasSignals(agent)) return starting(session);
  const turn = agent === undefined ? undefined : readTurn(deps, agent, session);
  if (signal !== undefined || turn !== undefined) return judge(agent, session, signal, turn, now);
  if (agent?.conversation !== undefined && isYoung) return starting(session);
  return fromScreen(screen, now);
}

const hasSignals = ({ signals }: Agent): boolean =>
  signals.status !== undefined || signals.title !== undefined;

const starting = (session: SessionRecord): Activity => ({
  state: "starting",
  source: "process",
  since: session.startedAt,
  dialog: false,
  message: "",
});

/** An agent that has ended by itself has done its work, or failed; one that was ended has done neither. */
function ended({ endedAt, exitCode }: SessionRecord): Activity | undefined {
  if (exitCode === null) return undefined;
  const state = exitCode === 0 ? "done" : "failed";
  const message = state === "failed" ? `exited with code ${exitCode}` : "";
  return { state, source: "process", since: endedAt, dialog: false, message };
}

function fromScreen(screen: TmuxSession | undefined, now: number): Activity {
  const at = screen?.activityAt ?? 0;
  return {
    state: now - at < screenMovesMs ? "working" : "unknown",
    source: "screen",
    since: at === 0 ? null : at,
    dialog: false,
    message: "",
  };
}

function signalOf(
  agent: Agent,
  home: string,
  session: SessionRecord,
  screen: TmuxSession | undefined,
): Signal | undefined {
  const title = screen?.title === undefined ? undefined : agent.signals.title?.(screen.title);
  if (title !== undefined && title.state !== "waiting") return title;
  const { status } = agent.signals;
  const newest = status && findFiles(home, status.folder, 0, status.file)[0];
  const text = newest && readPart(home, newest.path, "head", statusBytes)?.bytes.toString("utf8");
  const signal = text === undefined ? undefined : status?.read(objectIn(text));
  // A killed process leaves its file behind for the one that goes on.
  const isOld = signal?.at !== undefined && signal.at < session.startedAt;
  return isOld ? title : (signal ?? title);
}

function objectIn(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Json) : {};
  } catch {
    return {};
  }
}

/** What an agent said last in its last turn; empty where it has said nothing in it. */
export function lastReply(deps: Deps, session: SessionRecord): string {
  const agent = findAgent(session.type);
  const entries = agent === undefined ? [] : lastEntries(deps, agent, session);
  const begin = entries.findLastIndex((entry) => entry.kind === "prompt" && entry.queued !== true);
  return entries.slice(begin + 1).findLast((entry) => entry.kind === "reply")?.text ?? "";
}

/** Puts together what the agent says of itself and how its last turn went. */
export function judge(
  agent: Agent | undefined,
  session: Pick<SessionRecord, "startedAt" | "prompted">,
  signal: Signal | undefined,
  recorded: Turn | undefined,
  now: number,
): Activity {
  const turn = recorded ?? lastTurn([]);
  const say = (state: ActivityState, more: { reason?: WaitReason; message?: string } = {}): Activity => ({
    state,
    source: "agent",
    since: plausible(signal?.at ?? turn.at, now),
    dialog: signal?.state === "waiting",
    message: more.message ?? "",
    ...(more.reason === undefined ? {} : { reason: more.reason }),
  });
  if (signal?.state === "waiting") {
    const asks = turn.tool !== undefined && agent?.signals.questionTools?.includes(turn.tool) === true;
    return say("waiting", {
      reason: signal.reason ?? (asks ? "question" : "permission"),
      message: turn.asked,
    });
  }
  const open = signal === undefined ? turn.state === "open" : signal.state === "working";
  if (open) {
    if (turn.error?.retrying === true && turn.error.kind === "rate-limit") {
      return say("waiting", { reason: "rate-limit", message: turn.error.text });
    }
    return say("working");
  }
  switch (turn.state) {
    case "none": {
      const isComing = session.prompted === 1 && now - (signal?.at ?? session.startedAt) < promptComesMs;
      return say(isComing ? "starting" : "idle");
    }
    case "interrupted":
      return say("idle");
    case "failed": {
      const { kind, text } = turn.error ?? { kind: "other", text: "" };
      if (kind === "login" || kind === "rate-limit") return say("waiting", { reason: kind, message: text });
      return say("failed", { message: text });
    }
    case "open":
      if (turn.justPrompted && turn.at !== null && now - turn.at < promptSettlesMs) return say("working");
      // Its process was ended in the middle of it.
      if (turn.at !== null && turn.at < session.startedAt) return say("idle");
      break;
    case "ended":
      break;
  }
  const question = questionIn(turn.reply);
  if (question !== undefined) return say("waiting", { reason: "question", message: question });
  if (signal?.state === "background") return say("working", { message: "a command runs in the background" });
  return say("done", { message: turn.reply });
}

/** A time that an agent wrote may be any number. */
function plausible(at: number | null, now: number): number | null {
  return at !== null && at > 0 && at < now + 60_000 ? at : null;
}

/** The question that a reply ends with, by the mark that agents are told to use. */
function questionIn(reply: string): string | undefined {
  const last =
    reply
      .trim()
      .split(/\n\s*\n/)
      .at(-1) ?? "";
  if (!questionMark.test(last)) return undefined;
  return last
    .replace(questionMark, "")
    .replace(/^[\s*_]+/, "")
    .trim();
}
