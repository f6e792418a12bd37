import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { claudeFile, type Folders, instance, makeFolders, session, writeRecords } from "./testing.ts";
import { transcriptOf } from "./transcript.ts";

let folders: Folders;
beforeEach(async () => {
  folders = await makeFolders();
});
afterEach(async () => {
  await rm(folders.runtime, { recursive: true, force: true });
});

const entries = () => transcriptOf({ folders }, instance, session).entries;
const timestamp = "2027-01-31T12:00:00.000Z";
const prompt = { type: "user", message: { content: "do it" }, timestamp };

test("one shape for what was said, done and went wrong", async () => {
  const usage = { input_tokens: 1, output_tokens: 2 };
  const content = [{ type: "tool_use", name: "Bash", input: { command: "ls" } }];
  await writeRecords(claudeFile(folders), [
    prompt,
    { type: "assistant", timestamp, message: { id: "m", model: "claude-x", content, usage } },
    { type: "user", timestamp, message: { content: [{ type: "tool_result", content: "README.md" }] } },
    {
      type: "assistant",
      timestamp,
      message: { content: [{ type: "text", text: "no" }] },
      error: "rate_limit",
    },
    { type: "system", subtype: "turn_duration", timestamp },
  ]);
  const at = Date.parse(timestamp);
  expect(entries()).toEqual([
    { role: "user", at, text: "do it" },
    {
      role: "assistant",
      at,
      text: "",
      tool: { name: "Bash", input: { command: "ls" } },
      model: "claude-x",
      tokens: { input: 1, output: 2, cacheRead: 0, cacheWrite: 0 },
    },
    { role: "tool", at, text: "README.md" },
    { role: "agent", at, text: "no", error: "rate-limit" },
  ]);
});

test("records between which there is anything else, and one that is still being written", async () => {
  const file = claudeFile(folders);
  await writeRecords(file, [null, "text", [1], 5]);
  await appendFile(file, Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0x7b, 0x0a]));
  await appendFile(file, `${JSON.stringify(prompt)}\n{"type":"user","message":{"con`);
  expect(entries().map((entry) => entry.text)).toEqual(["do it"]);
});

test("the input of a tool that is nested deep stays text", async () => {
  const levels = 1000;
  const input: unknown = JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);
  await writeRecords(claudeFile(folders), [
    { type: "assistant", timestamp, message: { content: [{ type: "tool_use", name: "x", input }] } },
  ]);
  expect(entries()[0]?.tool?.input).toBeString();
});

test("a link to another file is no conversation", async () => {
  const file = claudeFile(folders);
  const outside = `${folders.runtime}/secret.jsonl`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(outside, `${JSON.stringify(prompt)}\n`);
  await symlink(outside, file);
  expect(entries).toThrow("recorded no conversation");
});

test("a shell has none, and says so", () => {
  const shell = { ...session, type: "shell" };
  expect(() => transcriptOf({ folders }, instance, shell)).toThrow("is a shell");
});
