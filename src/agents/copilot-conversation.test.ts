import { expect, test } from "bun:test";
import type { Json } from "./conversation.ts";
import { copilotConversation as source } from "./copilot-conversation.ts";
import { at, summarize, usages } from "./testing.ts";

/* Records in the shape in which the pinned version writes them, without what the reader does not look at. */

const event = (type: string, data: Json = {}, second = 1): Json => ({ type, data, timestamp: at(second) });
const usage = event("session.usage_record", {
  usage: { inputTokens: 120, cacheReadTokens: 90, cacheWriteTokens: 10, outputTokens: 7 },
});
const answer = (content: string, ...toolRequests: Json[]): Json =>
  event("assistant.message", { content, model: "gpt-x", toolRequests });

test("a turn of two answers with a tool", () => {
  const records = [
    event("session.start", { sessionId: "x" }),
    event("user.message", { content: "do it", transformedContent: "<now/>do it" }),
    event("system.message", { content: "You are ..." }),
    event("assistant.turn_start", { turnId: "0" }),
    usage,
    answer("I will.", { name: "bash", arguments: { command: "ls" } }),
    event("tool.execution_start", { toolName: "bash" }),
    event("tool.execution_complete", { success: true, result: { content: "README.md" } }),
    event("assistant.turn_end"),
    event("assistant.turn_start", { turnId: "1" }),
    usage,
    answer("", { name: "create", arguments: {} }),
    event("tool.execution_complete", { success: false, error: { message: "no" } }),
    event("assistant.turn_end"),
    event("assistant.turn_start", { turnId: "2" }),
    answer("Done."),
    event("assistant.turn_end", {}, 4),
    event("user.message", { content: "and now?" }),
    event("assistant.turn_start", { turnId: "0" }),
  ];
  expect(summarize(source, records)).toEqual([
    "prompt do it",
    "reply I will.",
    'tool-call bash {"command":"ls"}',
    "tool-result README.md",
    "tool-call create {}",
    "tool-result no",
    "reply Done.",
    "turn-end",
    "prompt and now?",
  ]);
  const one = { input: 20, output: 7, cacheRead: 90, cacheWrite: 10 };
  expect(usages(source.read(records))).toEqual([one, one]);
  expect(source.read(records)[1]).toMatchObject({ model: "gpt-x", at: 1000 });
});

test("errors and interruptions", () => {
  const failed = (errorType: string, statusCode?: number): Json[] => [
    event("assistant.turn_start"),
    event("assistant.turn_end"),
    event("session.error", { errorType, statusCode, message: "no" }),
  ];
  expect(
    summarize(source, [
      ...failed("authentication", 401),
      ...failed("rate_limit", 429),
      ...failed("query"),
      event("assistant.turn_start"),
      event("assistant.turn_end"),
      event("abort", { reason: "user_initiated" }),
    ]),
  ).toEqual([
    "turn-start",
    "error no login",
    "turn-start",
    "error no rate-limit",
    "turn-start",
    "error no other",
    "turn-start",
    "interrupt",
  ]);
});

test("keeps apart what agents say that the agent has started", () => {
  const records = [
    answer("I am the one."),
    ...[usage, answer("I am the other.")].map((one) => ({ ...one, agentId: "a1" })),
  ];
  expect(summarize(source, records)).toEqual(["reply I am the one."]);
  expect(source.side?.read(records)).toMatchObject([{ text: "I am the other.", usage: { output: 7 } }]);
});
