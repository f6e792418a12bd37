import type { Reply, Turn } from "./conversation.ts";
import { type Json, record, records, text } from "./json.ts";
import { EventStream, newId, type Protocol, sendWhole, usage } from "./protocol.ts";

/** OpenAI's Responses API, as Codex speaks it. */
export const responses: Protocol = {
  agent: "codex",
  serves: (path) => path.endsWith("/responses"),
  read: (body) => ({
    turns: records(body["input"]).flatMap(turnsOf),
    tools: wantsSchema(body) ? [] : [...toolNames(body), ...records(body["input"]).flatMap(toolNames)],
  }),
  failure: (status, retryAfter) => {
    const request = { "x-request-id": newId("req") };
    if (status === 401) {
      return {
        status,
        headers: request,
        body: failed("invalid_request_error", "invalid_api_key", keyMessage),
      };
    }
    if (status === 429) {
      const message = `Rate limit reached for requests per min (RPM): Limit 60, Used 60, Requested 1. Please try again in ${retryAfter}s.`;
      const limit = {
        "retry-after": String(retryAfter),
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": `${retryAfter}s`,
      };
      return {
        status,
        headers: { ...request, ...limit },
        body: failed("requests", "rate_limit_exceeded", message),
      };
    }
    // Its status for an overload is 503.
    return { status: 503, headers: request, body: failed("service_unavailable_error", null, busyMessage) };
  },
  send: async (response, { body }, reply) => {
    const output = outputItems(reply);
    const head = { id: newId("resp"), object: "response", created_at: seconds(), model: body["model"] };
    const completed = { ...head, status: "completed", output, usage: tokens };
    if (body["stream"] !== true) return sendWhole(response, reply, completed);
    const stream = new EventStream(response);
    let sequence = 0;
    const send = (type: string, data: Json): void =>
      stream.send({ type, sequence_number: sequence++, ...data }, type);
    send("response.created", { response: { ...head, status: "in_progress", output: [] } });
    for (const [index, item] of output.entries()) {
      if (item.type === "message") {
        const place = { output_index: index, item_id: item.id, content_index: 0 };
        const full = item.content[0]?.text ?? "";
        const empty = { type: "output_text", text: "", annotations: [] };
        send("response.output_item.added", { output_index: index, item: { ...item, content: [] } });
        send("response.content_part.added", { ...place, part: empty });
        await stream.words(reply, (word) => send("response.output_text.delta", { ...place, delta: word }));
        send("response.output_text.done", { ...place, text: full });
        send("response.content_part.done", { ...place, part: item.content[0] });
      } else if (item.type === "custom_tool_call") {
        send("response.output_item.added", { output_index: index, item: { ...item, input: "" } });
      } else {
        const place = { output_index: index, item_id: item.id };
        send("response.output_item.added", { output_index: index, item: { ...item, arguments: "" } });
        send("response.function_call_arguments.delta", { ...place, delta: item.arguments });
        send("response.function_call_arguments.done", { ...place, arguments: item.arguments });
      }
      send("response.output_item.done", { output_index: index, item });
    }
    send("response.completed", { response: completed });
    stream.end();
  },
};

const keyMessage = "Incorrect API key provided: stand-in.";
const busyMessage = "The server is overloaded or not ready yet. Please try again later.";

function failed(type: string, code: string | null, message: string): Json {
  return { error: { message, type, param: null, code } };
}

const tokens = {
  input_tokens: usage.input,
  input_tokens_details: { cached_tokens: usage.cacheRead },
  output_tokens: usage.output,
  output_tokens_details: { reasoning_tokens: 5 },
  total_tokens: usage.input + usage.output,
};

function outputItems({ say, call }: Reply) {
  const message = {
    id: newId("msg"),
    type: "message" as const,
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text: say ?? "", annotations: [] }],
  };
  const functionCall = {
    id: newId("fc"),
    type: "function_call" as const,
    status: "completed",
    call_id: newId("call"),
    name: call?.name,
    arguments: JSON.stringify(call?.args),
  };
  const customCall = {
    id: newId("ctc"),
    type: "custom_tool_call" as const,
    status: "completed",
    call_id: newId("call"),
    name: call?.name,
    input: call?.source,
  };
  const said = say === undefined ? [] : [message];
  if (call === undefined) return said;
  return [...said, call.source === undefined ? functionCall : customCall];
}

/** A request for JSON of a given form is one of Codex's own: it wants a title for the session. */
function wantsSchema(body: Json): boolean {
  return record(record(body["text"])["format"])["type"] === "json_schema";
}

/**
 * The tools that a request or one of its items names. With the newer models they come in an item of
 * their own, below a namespace.
 */
function toolNames(holder: Json): string[] {
  return records(holder["tools"]).flatMap((tool) =>
    tool["type"] === "namespace" ? toolNames(tool) : [text(tool["name"])],
  );
}

/** Results of tools are items of their own (`function_call_output` and its like). */
function turnsOf(item: Json): Turn[] {
  if (text(item["type"]).endsWith("_output")) return [{ role: "tool", text: text(item["output"]) }];
  const role = item["role"];
  if (role !== "user" && role !== "assistant") return [];
  if (typeof item["content"] === "string") return [{ role, text: item["content"] }];
  // Part by part: Codex sends its own notes as parts of the same message as the prompt.
  return records(item["content"]).map((part) => ({ role, text: text(part["text"]) }));
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
