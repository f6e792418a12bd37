import type { ConversationEntry, ConversationSource, Json, TokenUsage } from "./conversation.ts";
import { asText, count, errorKind, list, moment, name, object, words, wordsOf } from "./fields.ts";

/** Stands for the conversation of a home whose id is the name of a folder, which a reader is not told. */
export const lastConversation = "latest";

const file = /^events\.jsonl$/;

/** How Copilot CLI 1.0.102 records its conversation. */
export const copilotConversation: ConversationSource = {
  folder: "session-state",
  // One folder a conversation.
  depth: 1,
  file,
  id: () => lastConversation,
  read: (records) => read(records, (helper) => helper === undefined),
  // Agents that the agent has started stand in the same file.
  side: { depth: 1, file, read: (records) => read(records, (helper) => helper !== undefined) },
};

function read(
  records: readonly Json[],
  isWanted: (agentId: string | undefined) => boolean,
): ConversationEntry[] {
  const entries: ConversationEntry[] = [];
  let inTurn = false;
  // What it calls a turn is one answer of the model: the last one calls no tool.
  let isLast = false;
  let usage: TokenUsage | undefined;
  for (const record of records) {
    if (!isWanted(name(record["agentId"]))) continue;
    const data = object(record["data"]);
    const at = moment(record["timestamp"]);
    switch (record["type"]) {
      case "user.message":
        entries.push({ kind: "prompt", at, text: wordsOf(data["content"]) });
        break;
      case "assistant.turn_start":
        // Behind a prompt, which is where the turn began.
        if (!inTurn && entries.at(-1)?.kind !== "prompt") entries.push({ kind: "turn-start", at, text: "" });
        inTurn = true;
        isLast = false;
        break;
      case "session.usage_record":
        usage = usageOf(object(data["usage"]));
        break;
      case "assistant.message": {
        const answer = answerEntries(data, at);
        if (answer[0] !== undefined && usage !== undefined) answer[0].usage = usage;
        usage = undefined;
        entries.push(...answer);
        isLast = list(data["toolRequests"]).length === 0;
        break;
      }
      case "tool.execution_complete": {
        const text = object(data["result"])["content"] ?? object(data["error"])["message"];
        entries.push({ kind: "tool-result", at, text: words(text) });
        break;
      }
      case "assistant.turn_end":
        if (isLast) entries.push({ kind: "turn-end", at, text: "" });
        if (isLast) inTurn = false;
        break;
      case "session.error": {
        const text = words(data["message"]);
        const error = errorKind(`${words(data["errorType"])} ${text}`, data["statusCode"]);
        entries.push({ kind: "error", at, text, error });
        inTurn = false;
        break;
      }
      case "abort":
        entries.push({ kind: "interrupt", at, text: "" });
        inTurn = false;
        break;
      default:
    }
  }
  return entries;
}

function answerEntries(data: Json, at: number | null): ConversationEntry[] {
  const text = words(data["content"]);
  const model = name(data["model"]);
  const by = model === undefined ? {} : { model };
  const calls = list(data["toolRequests"]).map((value): ConversationEntry => {
    const call = object(value);
    return { kind: "tool-call", at, text: asText(call["arguments"]), tool: name(call["name"]) ?? "?", ...by };
  });
  return text === "" ? calls : [{ kind: "reply", at, text, ...by }, ...calls];
}

/** What it calls input includes what came from the cache and went there. */
function usageOf(usage: Json): TokenUsage {
  const cacheRead = count(usage["cacheReadTokens"]);
  const cacheWrite = count(usage["cacheWriteTokens"]);
  return {
    input: Math.max(0, count(usage["inputTokens"]) - cacheRead - cacheWrite),
    output: count(usage["outputTokens"]),
    cacheRead,
    cacheWrite,
  };
}
