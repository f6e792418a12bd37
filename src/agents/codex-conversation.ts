import type { ConversationEntry, ConversationSource, Json, TokenUsage } from "./conversation.ts";
import { addUsage, asText, count, errorKind, moment, name, object, words, wordsOf } from "./fields.ts";

/** How Codex 0.169.0 records its conversation. */
export const codexConversation: ConversationSource = {
  folder: "sessions",
  // Year, month and day.
  depth: 3,
  file: /^rollout-.*-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\.jsonl$/,
  // Others are of agents that the agent has started, and of the thread that makes up a title.
  isMain: (first) => object(first["payload"])["thread_source"] === "user",
  id: (fileName) => fileName.slice(-".jsonl".length - 36, -".jsonl".length),
  read,
};

function read(records: readonly Json[]): ConversationEntry[] {
  const entries: ConversationEntry[] = [];
  const counted = new Set<string>();
  let model: string | undefined;
  /** What the model said or did last; its usage follows. */
  let answer: ConversationEntry | undefined;
  for (const record of records) {
    const payload = object(record["payload"]);
    const at = moment(record["timestamp"]);
    if (record["type"] === "turn_context") model = name(payload["model"]) ?? model;
    else if (record["type"] === "event_msg") entries.push(...eventEntry(payload, at));
    else if (record["type"] === "response_item") {
      const item = itemEntry(payload, at, model);
      entries.push(...item);
      answer = item.find((entry) => entry.kind !== "tool-result") ?? answer;
    } else if (record["type"] === "token_usage_record") {
      const id = words(payload["response_id"]);
      if (counted.has(id) || answer === undefined) continue;
      counted.add(id);
      addUsage(answer, usageOf(object(payload["usage"])));
    }
  }
  return entries;
}

function eventEntry(payload: Json, at: number | null): ConversationEntry[] {
  switch (payload["type"]) {
    case "task_started":
      return [{ kind: "turn-start", at, text: "" }];
    case "task_complete": {
      const error = object(payload["error"]);
      const message = words(error["message"]);
      if (Object.keys(error).length === 0) return [{ kind: "turn-end", at, text: "" }];
      const cause = `${asText(error["codex_error_info"])} ${message}`;
      return [{ kind: "error", at, text: message, error: errorKind(cause) }];
    }
    case "turn_aborted":
      return [{ kind: "interrupt", at, text: "" }];
    case "item_completed": {
      const item = object(payload["item"]);
      if (item["type"] !== "UserMessage") return [];
      return [{ kind: "prompt", at, text: wordsOf(item["content"]) }];
    }
    default:
      return [];
  }
}

function itemEntry(payload: Json, at: number | null, model: string | undefined): ConversationEntry[] {
  const by = model === undefined ? {} : { model };
  switch (payload["type"]) {
    case "message":
      if (payload["role"] !== "assistant") return [];
      return [{ kind: "reply", at, text: wordsOf(payload["content"]), ...by }];
    case "function_call":
    case "custom_tool_call": {
      const input = payload["input"] ?? payload["arguments"];
      return [{ kind: "tool-call", at, text: asText(input), tool: name(payload["name"]) ?? "?", ...by }];
    }
    case "local_shell_call":
      return [{ kind: "tool-call", at, text: asText(payload["action"]), tool: "shell", ...by }];
    case "function_call_output":
    case "custom_tool_call_output":
      return [{ kind: "tool-result", at, text: wordsOf(payload["output"]) }];
    default:
      return [];
  }
}

/** What it calls input includes what came from the cache and went there. */
function usageOf(usage: Json): TokenUsage {
  const cacheRead = count(usage["cached_input_tokens"]);
  const cacheWrite = count(usage["cache_write_input_tokens"]);
  return {
    input: Math.max(0, count(usage["input_tokens"]) - cacheRead - cacheWrite),
    output: count(usage["output_tokens"]),
    cacheRead,
    cacheWrite,
  };
}
