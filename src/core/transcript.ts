import type { ConversationEntry, ErrorKind, TokenUsage } from "../agents/conversation.ts";
import { findAgent } from "../agents/index.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import { homeOnHost, readConversation } from "./conversation.ts";
import type { Deps } from "./deps.ts";

/** Bytes at the end of a conversation's file that are read: more than a long one has. */
const maxBytes = 64 * 1024 * 1024;

/** Levels of a tool's input; what is nested deeper was made to be trouble, and stays text. */
const maxLevels = 50;

/** What was said and done, in a shape that is the same for every agent; hostile, so whoever prints it cleans it. */
export interface TranscriptEntry {
  /** `agent`: the program itself, about an error or an interruption. */
  role: "user" | "assistant" | "tool" | "agent";
  /** Unix time in milliseconds. */
  at: number | null;
  /** Empty for a call of a tool. */
  text: string;
  /** A call of a tool by the assistant; the input is the agent's, usually an object. */
  tool?: { name: string; input: unknown };
  queued?: true;
  error?: ErrorKind;
  retrying?: true;
  interrupted?: true;
  model?: string;
  tokens?: TokenUsage;
  cost?: number;
}

export interface Transcript {
  entries: TranscriptEntry[];
  /** Whether the beginning is there, too. */
  whole: boolean;
}

/** The conversation of an agent's session, also of one that has ended or whose instance is stopped. */
export function transcriptOf(
  deps: Pick<Deps, "folders">,
  instance: InstanceRecord,
  session: SessionRecord,
): Transcript {
  const source = findAgent(session.type)?.conversation;
  if (source === undefined) {
    throw new HeadjackError(`${session.name} is a ${session.type}, which has no conversation.`, {
      kind: "not-found",
      hints: [`What it printed: hjk logs ${instance.branch} ${session.name}`],
    });
  }
  const conversation = readConversation(homeOnHost(deps, session), source, maxBytes);
  if (conversation === undefined) {
    throw new HeadjackError(`${session.name} has recorded no conversation.`, {
      kind: "not-found",
      hints: [
        "An agent records one from its first prompt on, and may throw it away when it was never answered.",
        `What it printed: hjk logs ${instance.branch} ${session.name}`,
      ],
    });
  }
  return { entries: conversation.entries.flatMap(entryOf), whole: conversation.whole };
}

function entryOf(entry: ConversationEntry): TranscriptEntry[] {
  const { at, text } = entry;
  const answer = {
    ...(entry.model === undefined ? {} : { model: entry.model }),
    ...(entry.usage === undefined ? {} : { tokens: entry.usage }),
    ...(entry.cost === undefined ? {} : { cost: entry.cost }),
  };
  switch (entry.kind) {
    case "prompt":
      return [{ role: "user", at, text, ...(entry.queued === true ? { queued: true } : {}) }];
    case "reply":
      return [{ role: "assistant", at, text, ...answer }];
    case "tool-call":
      return [
        {
          role: "assistant",
          at,
          text: "",
          tool: { name: entry.tool ?? "?", input: parsed(text) },
          ...answer,
        },
      ];
    case "tool-result":
      return [{ role: "tool", at, text }];
    case "error":
      return [
        {
          role: "agent",
          at,
          text,
          error: entry.error ?? "other",
          ...(entry.retrying === true ? { retrying: true } : {}),
        },
      ];
    case "interrupt":
      return [{ role: "agent", at, text: "Interrupted.", interrupted: true }];
    default:
      return [];
  }
}

/** The input of a tool: an object where the agent records one, or else its words. */
function parsed(text: string): unknown {
  if (!text.startsWith("{")) return text;
  try {
    const value: unknown = JSON.parse(text);
    return isShallow(value, maxLevels) ? value : text;
  } catch {
    return text;
  }
}

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => isShallow(inner, levels - 1));
}
