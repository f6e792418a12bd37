import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Json } from "./conversation.ts";
import { opencodeConversation as source } from "./opencode-conversation.ts";
import { HeadjackRecorder } from "./opencode-plugin.js";
import { opencode } from "./opencode.ts";
import { summarize } from "./testing.ts";

/* The recorder gets events in the shape in which the pinned version sends them, and the reader what it writes. */

const home = mkdtempSync(join(tmpdir(), "hjk-opencode-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A recorder in a home of its own, and what it has written there. */
async function recorder() {
  const folder = mkdtempSync(join(home, "data-"));
  const before = { ...process.env };
  process.env["XDG_DATA_HOME"] = folder;
  process.env["XDG_STATE_HOME"] = folder;
  const { event } = await HeadjackRecorder();
  expect(process.env["XDG_DATA_HOME"]).toBeUndefined();
  Object.assign(process.env, before);
  const file = (name: string): string => readFileSync(join(folder, "headjack", name), "utf8");
  return {
    send: (type: string, properties: unknown = {}) => event({ event: { type, properties } }),
    status: () => opencode.signals.status?.read(JSON.parse(file("status.json")) as Json),
    files: () => readdirSync(join(folder, "headjack")).filter((name) => source.file.test(name)),
    records: () =>
      file(`${session}.jsonl`)
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Json),
  };
}

const session = "ses_1aB";
const inSession = (rest: Json): Json => ({ sessionID: session, ...rest });
const message = (id: string, role: string): Json => inSession({ info: { id, role, modelID: "model-x" } });
const part = (id: string, messageID: string, rest: Json): Json =>
  inSession({ part: { id, messageID, sessionID: session, ...rest } });
const status = (type: string, rest: Json = {}): Json => inSession({ status: { type, ...rest } });
const tool = (state: Json): Json => part("p3", "m2", { type: "tool", tool: "bash", state });

test("a turn with a tool that needs a permission", async () => {
  const { send, status: said, records, files } = await recorder();
  expect(said()).toMatchObject({ state: "ready" });
  await send("message.updated", message("m1", "user"));
  await send("message.part.updated", part("p1", "m1", { type: "text", text: "do it" }));
  await send("message.part.updated", part("p0", "m1", { type: "text", text: "a note", synthetic: true }));
  await send("session.status", status("busy"));
  expect(said()).toMatchObject({ state: "working" });
  await send("message.updated", message("m2", "assistant"));
  await send("message.part.updated", part("p2", "m2", { type: "text", text: "I w", time: { start: 1 } }));
  const whole = part("p2", "m2", { type: "text", text: "I will.", time: { start: 1, end: 2 } });
  await send("message.part.updated", whole);
  await send("message.part.updated", whole);
  const input = { command: "ls" };
  await send("message.part.updated", tool({ status: "pending", input: {} }));
  await send("message.part.updated", tool({ status: "running", input }));
  await send("permission.asked", inSession({ permission: "bash" }));
  expect(said()).toMatchObject({ state: "waiting", reason: "permission" });
  await send("permission.replied", inSession({ reply: "once" }));
  expect(said()).toMatchObject({ state: "working" });
  await send("message.part.updated", tool({ status: "completed", input, output: "README.md" }));
  const tokens = { input: 20, output: 5, reasoning: 2, cache: { read: 90, write: 10 } };
  await send("message.part.updated", part("p4", "m2", { type: "step-finish", tokens, cost: 0.5 }));
  await send("session.status", status("idle"));
  expect(said()).toMatchObject({ state: "ready" });
  expect(files()).toEqual([`${session}.jsonl`]);
  expect(source.id(files()[0] ?? "")).toBe(session);
  expect(summarize(source, records())).toEqual([
    "prompt do it",
    "reply I will.",
    'tool-call bash {"command":"ls"}',
    "tool-result README.md",
    "turn-end",
  ]);
  expect(source.read(records())[1]).toMatchObject({ model: "model-x" });
  expect(source.read(records())[2]).toMatchObject({
    usage: { input: 20, output: 7, cacheRead: 90, cacheWrite: 10 },
    cost: 0.5,
  });
});

test("questions, errors, interruptions and a prompt while it is at work", async () => {
  const { send, status: said, records } = await recorder();
  await send("session.status", status("busy"));
  await send("question.asked", inSession({ questions: [] }));
  expect(said()).toMatchObject({ state: "waiting", reason: "question" });
  await send("question.rejected", inSession({}));
  expect(said()).toMatchObject({ state: "working" });
  await send("message.updated", message("m1", "user"));
  await send("message.part.updated", part("p1", "m1", { type: "text", text: "this too" }));
  await send("session.status", status("retry", { attempt: 1, message: "Too Many Requests" }));
  await send("session.error", inSession({ error: { name: "MessageAbortedError", data: {} } }));
  const data = { message: "invalid x-api-key", statusCode: 401 };
  await send("session.error", inSession({ error: { name: "APIError", data } }));
  await send("session.status", status("idle"));
  expect(summarize(source, records())).toEqual([
    "turn-start",
    "prompt this too queued",
    "error Too Many Requests rate-limit retrying",
    "interrupt",
    "error invalid x-api-key login",
    "turn-end",
  ]);
});

test("what was said until an interruption comes before it", () => {
  const types = ["prompt", "turn-start", "error", "turn-end", "reply", "tool-result", "prompt", "reply"];
  const records = types.map((type) => ({ type, text: "x", output: "x", name: "MessageAbortedError" }));
  expect(
    source
      .read(records)
      .map(({ kind }) => kind)
      .join(" "),
  ).toBe("prompt reply tool-result interrupt turn-end prompt reply");
});

test("keeps apart what agents say that the agent has started, and goes on whatever comes", async () => {
  const { send, files, status: said } = await recorder();
  await send("session.created", { sessionID: "ses_2", info: { id: "ses_2", parentID: session } });
  await send("session.status", { sessionID: "ses_2", status: { type: "busy" } });
  expect(said()).toMatchObject({ state: "ready" });
  await send("message.part.updated", { sessionID: session, part: null });
  await send("session.status", null);
  expect(files()).toEqual([]);
});
