import { expect, test } from "bun:test";
import type { Json } from "./conversation.ts";
import { claudeConversation as source } from "./claude-conversation.ts";
import { at, summarize, usages } from "./testing.ts";

/* Records in the shape in which the pinned version writes them, without what the reader does not look at. */

const prompt = (text: unknown, extra: Json = {}): Json => ({
  type: "user",
  isSidechain: false,
  message: { role: "user", content: text },
  timestamp: at(1),
  origin: { kind: "human" },
  ...extra,
});
const usage = {
  input_tokens: 5,
  output_tokens: 7,
  cache_read_input_tokens: 100,
  cache_creation_input_tokens: 20,
};
const answer = (id: string, part: Json, extra: Json = {}): Json => ({
  type: "assistant",
  isSidechain: false,
  timestamp: at(2),
  message: { id, role: "assistant", model: "claude-x", content: [part], usage },
  ...extra,
});
const queue = (operation: string, content?: string): Json => ({
  type: "queue-operation",
  operation,
  content,
  timestamp: at(1),
});
const turnEnd: Json = { type: "system", subtype: "turn_duration", durationMs: 900, timestamp: at(3) };
const request: Json = { type: "api-request", querySource: "repl_main_thread", timestamp: at(2) };

test("a turn with a tool, the usage of each answer once", () => {
  const records = [
    { type: "mode", mode: "normal" },
    prompt("do it"),
    request,
    answer("m1", { type: "thinking", thinking: "hm" }),
    answer("m1", { type: "text", text: "I will." }),
    answer("m1", { type: "tool_use", name: "Bash", input: { command: "ls" } }),
    prompt([{ type: "tool_result", content: [{ type: "text", text: "README.md" }] }]),
    request,
    answer("m2", { type: "text", text: "Done." }),
    turnEnd,
  ];
  expect(summarize(source, records)).toEqual([
    "prompt do it",
    "reply I will.",
    'tool-call Bash {"command":"ls"}',
    "tool-result README.md",
    "reply Done.",
    "turn-end",
  ]);
  const entries = source.read(records);
  const one = { input: 5, output: 7, cacheRead: 100, cacheWrite: 20 };
  expect(usages(entries)).toEqual([one, one]);
  expect(entries[1]).toMatchObject({ model: "claude-x", at: 2000 });
});

test("what is neither the user's nor the agent's is left out", () => {
  const records = [
    prompt("side", { isSidechain: true }),
    prompt("meta", { isMeta: true }),
    prompt("summary", { isCompactSummary: true }),
    prompt("<local-command-stdout>x</local-command-stdout>"),
    prompt("<command-name>/clear</command-name>\n<command-message>clear</command-message>"),
    prompt("<command-message>init</command-message>\n<command-name>/init</command-name>"),
    prompt("<bash-input>ls</bash-input>"),
    prompt("<bash-stdout>src</bash-stdout><bash-stderr></bash-stderr>"),
    turnEnd,
    prompt("a task has ended", { origin: { kind: "task-notification" } }),
  ];
  expect(summarize(source, records)).toEqual([
    "prompt /init",
    "prompt !ls",
    "tool-result src",
    "turn-end",
    "turn-start",
  ]);
});

test("queued prompts: until they are turned to, then once", () => {
  const taken: Json = {
    type: "attachment",
    attachment: { type: "queued_command", prompt: "three", commandMode: "prompt" },
    timestamp: at(2),
  };
  const records = [queue("enqueue", "one"), queue("enqueue", "two"), queue("enqueue", "three")];
  expect(summarize(source, records)).toEqual([
    "prompt one queued",
    "prompt two queued",
    "prompt three queued",
  ]);
  expect(summarize(source, [...records, queue("dequeue"), prompt("one")])).toEqual([
    "prompt one",
    "prompt two queued",
    "prompt three queued",
  ]);
  expect(summarize(source, [...records, queue("remove", "three"), taken])).toEqual([
    "prompt three",
    "prompt one queued",
    "prompt two queued",
  ]);
  expect(summarize(source, [...records, queue("popAll")])).toEqual([]);
});

test("while agents that it has started are at work, its turn goes on", () => {
  const notice = "<task-notification>\n<task-id>a</task-id>";
  const records = [
    prompt("delegate"),
    answer("m1", { type: "text", text: "Delegated." }),
    { ...turnEnd, pendingBackgroundAgentCount: 1 },
    queue("enqueue", notice),
    queue("dequeue"),
    prompt(notice, { origin: { kind: "task-notification" } }),
    answer("m2", { type: "text", text: "Done." }),
    turnEnd,
  ];
  expect(summarize(source, records.slice(0, 4))).toEqual(["prompt delegate", "reply Delegated."]);
  expect(summarize(source, records)).toEqual([
    "prompt delegate",
    "reply Delegated.",
    "reply Done.",
    "turn-end",
  ]);
  const side = prompt("part of it", { isSidechain: true });
  expect(
    source.side?.read([side, answer("s1", { type: "text", text: "Hi." }, { isSidechain: true })]),
  ).toHaveLength(2);
});

test("errors, retries and interruptions", () => {
  const refused = answer(
    "e",
    { type: "text", text: "Please run /login" },
    { isApiErrorMessage: true, error: "authentication_failed", apiErrorStatus: 401 },
  );
  const again = "error The model gave no answer; the request is made again. other retrying";
  expect(summarize(source, [prompt("go"), request, request, request, refused])).toEqual([
    "prompt go",
    again,
    "error Please run /login login",
  ]);
  const overloaded: Json = {
    type: "system",
    subtype: "api_error",
    error: { status: 529, message: "busy" },
  };
  expect(summarize(source, [overloaded])).toEqual(["error busy rate-limit retrying"]);
  expect(
    summarize(source, [prompt([{ type: "text", text: "[Request interrupted by user for tool use]" }])]),
  ).toEqual(["interrupt"]);
});
