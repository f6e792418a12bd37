import type { ConversationEntry, ConversationSource, Json, TokenUsage } from "./conversation.ts";
import { asText, count, errorKind, name, object, words } from "./fields.ts";

/** Where the recorder that is seeded (opencode-plugin.js) writes, below the home. */
export const recordFolder = "data/headjack";

const file = /^ses_[A-Za-z0-9]{1,64}\.jsonl$/;

/** What the recorder writes: OpenCode's own database is no file that can be read while it is written. */
export const opencodeConversation: ConversationSource = {
  folder: recordFolder,
  depth: 0,
  file,
  id: (fileName) => fileName.slice(0, -".jsonl".length),
  read,
  side: { depth: 1, file, read },
};

function read(records: readonly Json[]): ConversationEntry[] {
  const entries: ConversationEntry[] = [];
  // Where the last turn ended: what it had begun to say when it was interrupted is recorded after that.
  let end: number | undefined;
  for (const record of records) {
    if (record["type"] !== "usage") {
      for (const entry of entryOf(record)) {
        if (entry.kind === "prompt" || entry.kind === "turn-start") end = undefined;
        // Behind a prompt, which is where the turn began.
        if (entry.kind === "turn-start" && entries.at(-1)?.kind === "prompt") continue;
        const isLate = entry.kind === "reply" || entry.kind === "tool-call" || entry.kind === "tool-result";
        if (end !== undefined && isLate) entries.splice(end++, 0, entry);
        else entries.push(entry);
        if (entry.kind === "interrupt" || entry.kind === "turn-end") end ??= entries.length - 1;
      }
      continue;
    }
    // It follows what the answer consists of.
    const answer = entries.findLast((entry) => entry.kind === "reply" || entry.kind === "tool-call");
    if (answer === undefined || answer.usage !== undefined) continue;
    answer.usage = usageOf(object(record["tokens"]));
    const cost = record["cost"];
    if (typeof cost === "number" && cost > 0 && cost < 1e6) answer.cost = cost;
  }
  return entries;
}

function entryOf(record: Json): ConversationEntry[] {
  const at = typeof record["at"] === "number" && Number.isFinite(record["at"]) ? record["at"] : null;
  const text = words(record["text"]);
  switch (record["type"]) {
    case "prompt":
      return [{ kind: "prompt", at, text, ...(record["queued"] === true ? { queued: true } : {}) }];
    case "reply": {
      const model = name(record["model"]);
      return [{ kind: "reply", at, text, ...(model === undefined ? {} : { model }) }];
    }
    case "tool-call":
      return [{ kind: "tool-call", at, text: asText(record["input"]), tool: name(record["tool"]) ?? "?" }];
    case "tool-result":
      return [{ kind: "tool-result", at, text: words(record["output"]) }];
    case "turn-start":
      return [{ kind: "turn-start", at, text: "" }];
    case "turn-end":
      return [{ kind: "turn-end", at, text: "" }];
    case "error": {
      if (record["name"] === "MessageAbortedError") return [{ kind: "interrupt", at, text: "" }];
      const message = words(record["message"]);
      const error = errorKind(`${words(record["name"])} ${message}`, record["status"]);
      return [
        {
          kind: "error",
          at,
          text: message,
          error,
          ...(record["retrying"] === true ? { retrying: true } : {}),
        },
      ];
    }
    default:
      return [];
  }
}

/** What it calls output leaves out what the model thought. */
function usageOf(tokens: Json): TokenUsage {
  const cache = object(tokens["cache"]);
  return {
    input: count(tokens["input"]),
    output: count(tokens["output"]) + count(tokens["reasoning"]),
    cacheRead: count(cache["read"]),
    cacheWrite: count(cache["write"]),
  };
}
