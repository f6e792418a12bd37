import { expect, test } from "bun:test";
import type { Json } from "./conversation.ts";
import { geminiConversation as source } from "./gemini-conversation.ts";
import { at, summarize, usages } from "./testing.ts";

/* Records in the shape in which the pinned version writes them, without what the reader does not look at. */

const user = (id: string, ...content: Json[]): Json => ({ id, timestamp: at(1), type: "user", content });
const answer = (id: string, content: string, extra: Json = {}): Json => ({
  id,
  timestamp: at(2),
  type: "gemini",
  content,
  tokens: { input: 120, output: 5, cached: 90, thoughts: 2, tool: 0, total: 127 },
  model: "gemini-x",
  ...extra,
});
const call = (status: string): Json => ({
  name: "run_shell_command",
  args: { command: "ls" },
  status,
  timestamp: at(3),
  result: [{ functionResponse: { response: { output: "README.md" } } }],
});
const error = (text: string): Json => ({ id: text, type: "error", content: text });
const cancelled: Json = { id: "i", timestamp: at(3), type: "info", content: "Request cancelled." };

test("two turns with a tool: what is recorded again counts once, as it is last", () => {
  const records = [
    { sessionId: "s", kind: "main" },
    { $set: { messages: [user("c", { text: "<session_context>\nThis is" })] } },
    user("u1", { text: "do it" }),
    answer("a1", ""),
    { $set: { lastUpdated: at(2) } },
    answer("a1", "", { toolCalls: [call("success")] }),
    user("t1", { functionResponse: {} }),
    answer("a2", "Done."),
    // As when it is resumed: the history as the model is to see it, without one prompt and all tokens.
    { $set: { messages: [answer("a2", "Done.", { tokens: undefined, timestamp: at(9) })] } },
    user("u2", { text: "more" }),
    answer("a3", ""),
  ];
  expect(summarize(source, records)).toEqual([
    "prompt do it",
    'tool-call run_shell_command {"command":"ls"}',
    "tool-result README.md",
    "reply Done.",
    "turn-end",
    "prompt more",
  ]);
  const one = { input: 30, output: 7, cacheRead: 90, cacheWrite: 0 };
  expect(usages(source.read(records))).toEqual([one, one, one]);
});

test("errors and interruptions", () => {
  const given = answer("a", "", { tokens: undefined, toolCalls: [call("cancelled")] });
  expect(summarize(source, [user("u", { text: "go" }), cancelled, given])).toEqual([
    "prompt go",
    'tool-call run_shell_command {"command":"ls"}',
    "tool-result README.md",
    "interrupt",
  ]);
  expect(
    summarize(source, [
      error('[API Error: {"error":{"code":401,"status":"UNAUTHENTICATED"}}]'),
      error("API key not valid"),
      error("[API Error: 429 Resource has been exhausted (e.g. check quota).]"),
      error("fetch failed"),
    ]).map((line) => line.split(" ").at(-1)),
  ).toEqual(["login", "login", "rate-limit", "other"]);
});
