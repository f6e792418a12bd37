import type { Agent } from "../agents/agent.ts";
import type { ConversationEntry, ErrorKind } from "../agents/conversation.ts";
import type { SessionRecord } from "../store/records.ts";
import { conversationsFingerprint, homeOnHost, readConversation } from "./conversation.ts";
import type { Deps } from "./deps.ts";

/** How the last turn of a conversation went, as far as it is recorded. */
export interface Turn {
  state: "none" | "open" | "ended" | "failed" | "interrupted";
  /** Time of its last entry; null where there is none. */
  at: number | null;
  /** Nothing has come after the prompt yet. */
  justPrompted: boolean;
  /** What the agent said last in it. */
  reply: string;
  error: { kind: ErrorKind; text: string; retrying: boolean } | undefined;
  /** The last tool that was called, and what with. */
  tool: string | undefined;
  asked: string;
}

/** Bytes of a conversation's end that tell how its last turn went; more only where they hold no turn. */
const tailBytes = [256 * 1024, 4 * 1024 * 1024];

/** Characters of its texts that are kept: the end of a reply is where a question stands. */
const maxText = 4000;

/**
 * The last turn of a session's agent; undefined where it records none, or has not begun to. What was
 * found is kept with the session, since `ps` asks again and again and a conversation takes 2 ms to read.
 */
export function readTurn(deps: Deps, agent: Agent, session: SessionRecord): Turn | undefined {
  if (agent.conversation === undefined) return undefined;
  const key = conversationsFingerprint(homeOnHost(deps, session), agent.conversation);
  if (key === "") return undefined;
  if (key === session.turnKey) return JSON.parse(session.turn) as Turn;
  const turn = lastTurn(lastEntries(deps, agent, session));
  deps.store.updateSession(session.id, { turnKey: key, turn: JSON.stringify(turn) });
  return turn;
}

/** The last entries of a session's conversation: as many as tell how its last turn went. */
export function lastEntries(deps: Deps, agent: Agent, session: SessionRecord): ConversationEntry[] {
  if (agent.conversation === undefined) return [];
  const home = homeOnHost(deps, session);
  for (const bytes of tailBytes) {
    const found = readConversation(home, agent.conversation, bytes);
    if (found === undefined) return [];
    if (found.whole || found.entries.some((entry) => entry.kind === "prompt")) return found.entries;
  }
  return [];
}

export function lastTurn(entries: readonly ConversationEntry[]): Turn {
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
        if (entry.kind === "reply") turn.reply = entry.text.slice(-maxText);
        if (entry.kind !== "tool-call") break;
        turn.tool = entry.tool;
        turn.asked = entry.text.slice(0, maxText);
        break;
      case "error":
        turn.error = {
          kind: entry.error ?? "other",
          text: entry.text.slice(0, maxText),
          retrying: entry.retrying === true,
        };
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
