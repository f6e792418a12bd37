import type { Reply, Turn } from "./conversation.ts";
import { type Json, record, records, text } from "./json.ts";
import { EventStream, newId, type Protocol, sendWhole, usage } from "./protocol.ts";
import { responses } from "./responses.ts";

/** OpenAI's Chat Completions API, as Copilot CLI speaks it. */
export const completions: Protocol = {
  agent: "copilot",
  serves: (path) => path.endsWith("/chat/completions"),
  read: (body) => ({
    turns: records(body["messages"]).flatMap(turnsOf),
    tools: records(body["tools"]).map((tool) => text(record(tool["function"])["name"])),
  }),
  // As in its newer API.
  failure: responses.failure,
  send: async (response, { body }, reply) => {
    const calls = callsOf(reply);
    const finish = calls === undefined ? "stop" : "tool_calls";
    const head = {
      id: newId("chatcmpl"),
      created: Math.floor(Date.now() / 1000),
      model: text(body["model"]),
    };
    if (body["stream"] !== true) {
      const message = { role: "assistant", content: reply.say ?? null, ...calls };
      const choices = [{ index: 0, message, finish_reason: finish }];
      return sendWhole(response, reply, { ...head, object: "chat.completion", choices, usage: tokens });
    }
    const stream = new EventStream(response);
    const send = (delta: Json, finish_reason: string | null = null): void =>
      stream.send({
        ...head,
        object: "chat.completion.chunk",
        choices: [{ index: 0, delta, finish_reason }],
      });
    send({ role: "assistant", content: "" });
    await stream.words(reply, (word) => send({ content: word }));
    if (calls !== undefined) send(calls);
    send({}, finish);
    stream.send({ ...head, object: "chat.completion.chunk", choices: [], usage: tokens });
    stream.done();
  },
};

const tokens = {
  prompt_tokens: usage.input,
  completion_tokens: usage.output,
  total_tokens: usage.input + usage.output,
  prompt_tokens_details: { cached_tokens: usage.cacheRead },
};

function callsOf({ call }: Reply): { tool_calls: Json[] } | undefined {
  if (call === undefined) return undefined;
  const called = { name: call.name, arguments: JSON.stringify(call.args) };
  return { tool_calls: [{ index: 0, id: newId("call"), type: "function", function: called }] };
}

/** Results of tools are messages of their own, with the role `tool`. */
function turnsOf(message: Json): Turn[] {
  const role = message["role"];
  if (role === "tool") return [{ role, text: contentText(message["content"]) }];
  if (role !== "user" && role !== "assistant") return [];
  if (typeof message["content"] === "string") return [{ role, text: message["content"] }];
  return records(message["content"]).map((part) => ({ role, text: text(part["text"]) }));
}

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return records(content)
    .map((part) => text(part["text"]))
    .join("");
}
