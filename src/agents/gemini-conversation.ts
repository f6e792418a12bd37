import type { ConversationEntry, ConversationSource, Json, TokenUsage } from "./conversation.ts";
import {
  addUsage,
  asText,
  count,
  endTurn,
  errorKind,
  list,
  moment,
  name,
  object,
  words,
  wordsOf,
} from "./fields.ts";

/** How Gemini CLI 0.61.0 records its conversation. */
export const geminiConversation: ConversationSource = {
  // A folder for each working directory, in it `chats`, and a session has one of each.
  folder: ".gemini/tmp",
  depth: 2,
  file: /^session-.*\.jsonl$/,
  isMain: (first) => first["kind"] === undefined || first["kind"] === "main",
  // The name holds a part of the id only, and a home has one conversation.
  id: () => "latest",
  read,
};

function read(records: readonly Json[]): ConversationEntry[] {
  const entries: ConversationEntry[] = [];
  for (const message of messagesIn(records)) {
    const at = moment(message["timestamp"]);
    const text = wordsOf(message["content"]);
    if (message["type"] === "user") {
      // Outputs of tools, which the calls have too, and what it tells the model about itself.
      if (text === "" || text.startsWith("<session_context>")) continue;
      // It records no ends of turns, and lets a prompt wait for that of the turn before.
      endTurn(entries);
      entries.push({ kind: "prompt", at, text });
    } else if (message["type"] === "error") {
      entries.push({ kind: "error", at, text, error: errorKind(text) });
    } else if (message["type"] === "info" && text === "Request cancelled.") {
      entries.push({ kind: "interrupt", at, text: "" });
    } else if (message["type"] === "gemini") {
      const calls = list(message["toolCalls"]).map(object);
      // A call that was given up is recorded after the interruption.
      const after = calls.length > 0 && calls.every((call) => call["status"] === "cancelled");
      const interrupt = after && entries.at(-1)?.kind === "interrupt" ? entries.pop() : undefined;
      const answer = answerEntries(message, calls, at, text);
      // A call is recorded when it has ended; until then the answer has nothing to show.
      const first = answer[0] ?? entries.at(-1);
      const tokens = object(message["tokens"]);
      if (first !== undefined && Object.keys(tokens).length > 0) addUsage(first, usageOf(tokens));
      // One by one: a call with more arguments than the stack holds would throw.
      for (const entry of answer) entries.push(entry);
      if (interrupt !== undefined) entries.push(interrupt);
    }
  }
  return entries;
}

/**
 * Each message once, as it was recorded last, in the order in which they began. A `$set` of all of them
 * says what the model is to see: it knows no tokens and other times, and leaves out prompts that failed
 * or were interrupted, which the user has not forgotten.
 */
function messagesIn(records: readonly Json[]): Json[] {
  const messages = new Map<string, Json>();
  for (const record of records) {
    const id = name(record["id"]);
    if (id !== undefined) messages.set(id, record);
    for (const message of list(object(record["$set"])["messages"]).map(object)) {
      const id = name(message["id"]);
      if (id !== undefined && !messages.has(id)) messages.set(id, message);
    }
  }
  return [...messages.values()];
}

function answerEntries(message: Json, calls: Json[], at: number | null, text: string): ConversationEntry[] {
  const model = name(message["model"]);
  const by = model === undefined ? {} : { model };
  const entries: ConversationEntry[] = text === "" ? [] : [{ kind: "reply", at, text, ...by }];
  for (const call of calls) {
    const tool = name(call["name"]) ?? "?";
    entries.push({ kind: "tool-call", at, text: asText(call["args"]), tool, ...by });
    const result = outputOf(call);
    if (result !== undefined)
      entries.push({ kind: "tool-result", at: moment(call["timestamp"]), text: result });
  }
  return entries;
}

function outputOf(call: Json): string | undefined {
  const [result] = list(call["result"]);
  if (result === undefined) return undefined;
  const response = object(object(object(result)["functionResponse"])["response"]);
  return words(response["output"]) || words(response["error"]) || asText(response);
}

/** What it calls input includes what came from the cache; thoughts are output, too. */
function usageOf(tokens: Json): TokenUsage {
  const cacheRead = count(tokens["cached"]);
  return {
    input: Math.max(0, count(tokens["input"]) + count(tokens["tool"]) - cacheRead),
    output: count(tokens["output"]) + count(tokens["thoughts"]),
    cacheRead,
    cacheWrite: 0,
  };
}
