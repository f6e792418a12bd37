import { findAgent } from "../agents/index.ts";
import type { Signal, WaitReason } from "../agents/activity.ts";
import type { Agent } from "../agents/agent.ts";
import type { ConversationEntry, Json } from "../agents/conversation.ts";
import { findFiles, readPart } from "../drivers/agent-files.ts";
import type { TmuxSession } from "../drivers/tmux.ts";
import type { SessionRecord } from "../store/store.ts";
import { homeOnHost, readConversation } from "./conversation.ts";
import type { Deps } from "./deps.ts";

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

/** Bytes of a conversation's end that tell how its last turn went; more only where they hold no turn. */
const tailBytes = [256 * 1024, 4 * 1024 * 1024];
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
  const entries = agent === undefined ? [] : lastEntries(agent, home);
  if (signal !== undefined || entries.length > 0) return judge(agent, session, signal, entries, now);
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

/** The last entries of a session's conversation: as many as tell how its last turn went. */
function lastEntries(agent: Agent, home: string): ConversationEntry[] {
  if (agent.conversation === undefined) return [];
  for (const bytes of tailBytes) {
    const found = readConversation(home, agent.conversation, bytes);
    if (found === undefined) return [];
    if (found.whole || found.entries.some((entry) => entry.kind === "prompt")) return found.entries;
  }
  return [];
}

/** The last thing that an agent said to the user; empty where there is none. */
export function lastReply(deps: Deps, session: SessionRecord): string {
  const agent = findAgent(session.type);
  const entries = agent === undefined ? [] : lastEntries(agent, homeOnHost(deps, session));
  return entries.findLast((entry) => entry.kind === "reply")?.text ?? "";
}

/** Puts together what the agent says of itself and how its last turn went. */
export function judge(
  agent: Agent | undefined,
  session: Pick<SessionRecord, "startedAt" | "prompted">,
  signal: Signal | undefined,
  entries: readonly ConversationEntry[],
  now: number,
): Activity {
  const turn = lastTurn(entries);
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
    if (turn.error?.retrying === true && turn.error.error === "rate-limit") {
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
      const { error, text } = turn.error ?? { error: "other", text: "" };
      if (error === "login" || error === "rate-limit")
        return say("waiting", { reason: error, message: text });
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

interface Turn {
  state: "none" | "open" | "ended" | "failed" | "interrupted";
  /** Time of its last entry. */
  at: number | null;
  /** Nothing has come after the prompt yet. */
  justPrompted: boolean;
  reply: string;
  error: ConversationEntry | undefined;
  /** The last tool that was called, and what with. */
  tool: string | undefined;
  asked: string;
}

/** How the last turn of a conversation went, as far as it is recorded. */
function lastTurn(entries: readonly ConversationEntry[]): Turn {
  const begin = entries.findLastIndex((entry) => entry.kind === "prompt" && entry.queued !== true);
  const turn: Turn = {
    state: begin === -1 ? "none" : "open",
    at: entries.at(-1)?.at ?? null,
    justPrompted: true,
    reply: "",
    error: undefined,
    tool: undefined,
    asked: "",
  };
  for (const entry of entries.slice(begin + 1)) {
    switch (entry.kind) {
      case "reply":
      case "tool-call":
      case "tool-result":
        turn.state = "open";
        turn.error = undefined;
        turn.justPrompted = false;
        if (entry.kind === "reply") turn.reply = entry.text;
        if (entry.kind !== "tool-call") break;
        turn.tool = entry.tool;
        turn.asked = entry.text;
        break;
      case "error":
        turn.error = entry;
        turn.justPrompted = false;
        if (entry.retrying !== true) turn.state = "failed";
        break;
      case "interrupt":
        turn.state = "interrupted";
        break;
      case "turn-end":
        if (turn.state === "open") turn.state = "ended";
        break;
      case "prompt":
      case "turn-start":
        break;
    }
  }
  return turn;
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
