import { expect, test } from "bun:test";
import type { Json } from "./conversation.ts";
import { codexConversation as source } from "./codex-conversation.ts";
import { at, summarize, usages } from "./testing.ts";

/* Records in the shape in which the pinned version writes them, without what the reader does not look at. */

const event = (payload: Json, second = 1): Json => ({ type: "event_msg", timestamp: at(second), payload });
const item = (payload: Json): Json => ({ type: "response_item", timestamp: at(2), payload });
const usage = (id: string): Json => ({
  type: "token_usage_record",
  payload: {
    response_id: id,
    usage: { input_tokens: 120, cached_input_tokens: 90, cache_write_input_tokens: 10, output_tokens: 7 },
  },
});
const ended = (error?: Json): Json => event({ type: "task_complete", error }, 4);

test("a turn with a tool", () => {
  const records = [
    { type: "session_meta", payload: { thread_source: "user" } },
    event({ type: "task_started" }),
    { type: "turn_context", payload: { model: "gpt-x" } },
    item({ type: "message", role: "user", content: [{ type: "input_text", text: "# AGENTS.md" }] }),
    item({ type: "message", role: "user", content: [{ type: "input_text", text: "do it" }] }),
    event({ type: "item_completed", item: { type: "UserMessage", content: [{ text: "do it" }] } }),
    item({ type: "message", role: "assistant", content: [{ type: "output_text", text: "I will." }] }),
    item({ type: "custom_tool_call", name: "exec", input: "ls" }),
    usage("r1"),
    item({ type: "custom_tool_call_output", output: [{ text: "Output:" }, { text: "README.md" }] }),
    item({ type: "function_call", name: "wait", arguments: '{"cell":5}' }),
    item({ type: "function_call_output", output: "ok" }),
    usage("r2"),
    usage("r2"),
    ended(),
  ];
  expect(summarize(source, records)).toEqual([
    "turn-start",
    "prompt do it",
    "reply I will.",
    "tool-call exec ls",
    "tool-result Output:\nREADME.md",
    'tool-call wait {"cell":5}',
    "tool-result ok",
    "turn-end",
  ]);
  const one = { input: 20, output: 7, cacheRead: 90, cacheWrite: 10 };
  expect(usages(source.read(records))).toEqual([one, one]);
  expect(source.read(records)[2]).toMatchObject({ model: "gpt-x", at: 2000 });
});

test("errors and interruptions", () => {
  const failed = (status: number): Json =>
    ended({ message: "no", codex_error_info: { http_connection_failed: { http_status_code: status } } });
  expect(summarize(source, [failed(401), failed(429), failed(529), failed(500)])).toEqual([
    "error no login",
    "error no rate-limit",
    "error no rate-limit",
    "error no other",
  ]);
  expect(summarize(source, [ended({ message: "limit", codex_error_info: "usage_limit_exceeded" })])).toEqual([
    "error limit rate-limit",
  ]);
  expect(summarize(source, [event({ type: "turn_aborted", reason: "interrupted" })])).toEqual(["interrupt"]);
});

test("only the user's thread is the conversation", () => {
  const isMain = source.isMain;
  expect(isMain?.({ payload: { thread_source: "user" } })).toBe(true);
  expect(isMain?.({ payload: { thread_source: "subagent" } })).toBe(false);
  expect(isMain?.({ payload: [1] })).toBe(false);
});
