import type { Reply, Turn } from "./conversation.ts";
import { type Json, record, records, text } from "./json.ts";
import { EventStream, newId, type Protocol, sendWhole, usage } from "./protocol.ts";

/** The Messages API, as Claude Code speaks it. */
export const anthropic: Protocol = {
  agent: "claude",
  serves: (path) => path.endsWith("/messages"),
  read: (body) => ({
    turns: records(body["messages"]).flatMap(turnsOf),
    tools: records(body["tools"]).map((tool) => text(tool["name"])),
  }),
  failure: (status, retryAfter) => {
    const { type = "api_error", message = "Internal server error" } = errors[status] ?? {};
    const request = newId("req");
    const limit = {
      "retry-after": String(retryAfter),
      "anthropic-ratelimit-requests-limit": "50",
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": new Date(Date.now() + retryAfter * 1000).toISOString(),
    };
    return {
      status,
      headers: {
        "request-id": request,
        "x-should-retry": String(status !== 401),
        ...(status === 429 ? limit : {}),
      },
      body: { type: "error", error: { type, message }, request_id: request },
    };
  },
  send: async (response, { body }, reply) => {
    const message = answerMessage(text(body["model"]), reply);
    if (body["stream"] !== true) return sendWhole(response, reply, message);
    const stream = new EventStream(response);
    const send = (type: string, data: Json): void => stream.send({ type, ...data }, type);
    send("message_start", {
      message: { ...message, content: [], stop_reason: null, usage: { ...tokens, output_tokens: 1 } },
    });
    for (const [index, block] of message.content.entries()) {
      if (block.type === "text") {
        send("content_block_start", { index, content_block: { type: "text", text: "" } });
        await stream.words(reply, (word) =>
          send("content_block_delta", { index, delta: { type: "text_delta", text: word } }),
        );
      } else {
        const input = JSON.stringify(block.input);
        send("content_block_start", { index, content_block: { ...block, input: {} } });
        send("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: input } });
      }
      send("content_block_stop", { index });
    }
    send("message_delta", {
      delta: { stop_reason: message.stop_reason, stop_sequence: null },
      usage: tokens,
    });
    send("message_stop", {});
    stream.end();
  },
};

const errors: Record<number, { type: string; message: string }> = {
  401: { type: "authentication_error", message: "invalid x-api-key" },
  429: {
    type: "rate_limit_error",
    message: "This request would exceed your organization's rate limit of 50 requests per minute.",
  },
  529: { type: "overloaded_error", message: "Overloaded" },
};

const tokens = {
  input_tokens: usage.input,
  cache_creation_input_tokens: usage.cacheWrite,
  cache_read_input_tokens: usage.cacheRead,
  output_tokens: usage.output,
};

type Block = { type: "text"; text: string } | { type: "tool_use"; id: string; name: string; input: Json };

function answerMessage(model: string, { say, call }: Reply) {
  const content: Block[] = [];
  if (say !== undefined) content.push({ type: "text", text: say });
  if (call !== undefined) {
    content.push({ type: "tool_use", id: newId("toolu"), name: call.name, input: call.args });
  }
  return {
    id: newId("msg"),
    type: "message",
    role: "assistant",
    model,
    content,
    stop_reason: call === undefined ? "end_turn" : "tool_use",
    stop_sequence: null,
    usage: tokens,
  };
}

/**
 * A message may hold several blocks; results of tools come in messages of the user. Claude Code also
 * sends messages of the system in between, which nobody asked.
 */
function turnsOf(message: Json): Turn[] {
  const role = message["role"];
  if (role !== "user" && role !== "assistant") return [];
  if (typeof message["content"] === "string") return [{ role, text: message["content"] }];
  return records(message["content"]).flatMap((block): Turn[] => {
    if (block["type"] === "tool_result") return [{ role: "tool", text: text(record(block)["content"]) }];
    return block["type"] === "text" ? [{ role, text: text(block["text"]) }] : [];
  });
}
