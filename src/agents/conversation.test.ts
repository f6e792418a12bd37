import { expect, test } from "bun:test";
import { claudeConversation } from "./claude-conversation.ts";
import { geminiConversation } from "./gemini-conversation.ts";
import type { Json } from "./conversation.ts";
import { agents } from "./index.ts";

/* What is in an agent's files may be anything: readers must neither fail nor pass on what is no text or number. */

const deep = (levels: number): Json =>
  JSON.parse(`${'{"content":'.repeat(levels)}1${"}".repeat(levels)}`) as Json;
const values: unknown[] = [
  null,
  0,
  -1,
  1e308,
  true,
  "",
  "\0\u001b[2J",
  [],
  [[null]],
  {},
  { text: {} },
  deep(300),
];
const types = (
  "user assistant system attachment queue-operation api-request gemini error info " +
  "event_msg response_item turn_context token_usage_record " +
  "user.message assistant.message assistant.turn_start assistant.turn_end session.usage_record " +
  "tool.execution_complete session.error abort prompt reply tool-call tool-result usage turn-start turn-end"
).split(" ");
const fields = (
  "message content payload timestamp isMeta origin error toolCalls tokens $set " +
  "id type subtype operation attachment model usage data agentId at text input output tool status cost queued"
).split(" ");

for (const agent of agents) {
  test(`${agent.name} reads nothing wrong from whatever is in a file`, () => {
    for (const type of types)
      for (const field of fields)
        for (const value of values)
          for (const inner of [
            value,
            { type: "message", role: "assistant", [field]: value, content: value },
          ]) {
            const record = { id: "x", type, [field]: inner };
            for (const entry of agent.conversation?.read([record, record]) ?? []) {
              expect(typeof entry.text).toBe("string");
              expect(entry.at === null || Number.isFinite(entry.at)).toBe(true);
              for (const tokens of Object.values(entry.usage ?? {})) expect(tokens).toBeLessThanOrEqual(1e9);
            }
          }
  });
}

test("input of a tool that is nested deeper than the stack reaches", () => {
  const content = [{ type: "tool_use", name: "x", input: deep(200_000) }];
  expect(claudeConversation.read([{ type: "assistant", message: { content } }])).toHaveLength(1);
});

test("an answer with more calls of tools than fit on the stack", () => {
  const toolCalls = Array.from({ length: 500_000 }, () => 0);
  const records = [{ id: "x", type: "gemini", toolCalls }];
  expect(geminiConversation.read(records)).toHaveLength(toolCalls.length);
});

test("more queued prompts than anybody types", () => {
  const records = Array.from({ length: 100_000 }, (_, index) => ({
    type: "queue-operation",
    operation: index % 2 === 0 ? "enqueue" : "remove",
    content: String(index),
  }));
  expect(claudeConversation.read(records).length).toBeLessThanOrEqual(1000);
});
