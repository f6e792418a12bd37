import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { eventually, ModelStub, runProgram, Sandbox } from "../support/harness.ts";

/* What the real agents record of their conversations, and what is made of it. */

setDefaultTimeout(120_000);

interface Entry {
  role: string;
  at: string | null;
  text: string;
  tool: { name: string; input: unknown } | null;
  model: string | null;
  tokens: Record<string, number> | null;
  costUsd: number | null;
  error: string | null;
  retrying: boolean;
  queued: boolean;
  interrupted: boolean;
}

interface UsageRow {
  branch: string | null;
  agent: string | null;
  turns: number;
  seconds: number;
  tokens: Record<string, number>;
  costUsd: number | null;
}

let stub: ModelStub;
let sandbox: Sandbox;

beforeAll(async () => {
  stub = await ModelStub.start({ MODEL_STUB_SLOW_SECONDS: "60" });
  sandbox = await Sandbox.create({ stub });
  Object.assign(sandbox.env, { OPENAI_API_KEY: "sk-stand-in", GEMINI_API_KEY: "stand-in" });
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

async function start(branch: string, agent: string, name: string, prompt: string): Promise<void> {
  await sandbox.ok(["run", branch, "--agent", agent, "--name", name, "-d", prompt]);
}

/** The entries of a session; none as long as it has no record. */
async function entriesOf(branch: string, session: string): Promise<Entry[]> {
  const { code, stdout } = await sandbox.hjk(["transcript", branch, session, "--json"]);
  return code === 0 ? (JSON.parse(stdout) as { entries: Entry[] }).entries : [];
}

/** Waits for an entry, and returns all of them. */
async function until(branch: string, session: string, what: string, wanted: (entry: Entry) => boolean) {
  let entries: Entry[] = [];
  await eventually(
    async () => {
      entries = await entriesOf(branch, session);
      return entries.some(wanted);
    },
    async () =>
      `${session}: ${what}; its entries: ${JSON.stringify(entries)}\n${await sandbox.ok(["logs", branch, session])}`,
    60_000,
  );
  return entries;
}

/** Presses keys as somebody who is attached would. */
async function press(branch: string, session: string, ...keys: string[]): Promise<void> {
  const { id } = await sandbox.instance(branch);
  const socket = join(sandbox.folder, "hjk", "data", "run", "tmux");
  const target = `=${id}/${session}:`;
  const result = await runProgram(["tmux", "-S", socket, "send-keys", "-t", target, ...keys]);
  if (result.code !== 0) throw new Error(result.stderr);
}

async function usageBy(what: string): Promise<UsageRow[]> {
  return (JSON.parse(await sandbox.ok(["usage", "--by", what, "--json"])) as { rows: UsageRow[] }).rows;
}

describe.each(["claude", "codex", "gemini"])("%s", (agent) => {
  const branch = `talk/${agent}`;
  let whole: Entry[];

  test("a task: prompt, words, calls, outputs and tokens, in order", async () => {
    await start(branch, agent, "work", "SCRIPT:work please");
    whole = await until(branch, "work", "it is done", (entry) => entry.text.startsWith("All done"));
    expect(whole.map(({ role, tool }) => (tool === null ? role : "call"))).toEqual([
      "user",
      "assistant",
      "call",
      "tool",
      "call",
      "tool",
      "assistant",
    ]);
    expect(whole[0]).toMatchObject({ text: "SCRIPT:work please", queued: false, error: null });
    expect(whole[1]?.text).toBe("I will write hello.txt first.");
    expect(JSON.stringify(whole[2]?.tool)).toContain("hello.txt");
    expect(whole[5]?.text).toContain("Add hello.txt");
    expect(whole.filter((entry) => entry.tokens !== null)).toHaveLength(3);
    expect(whole[6]?.tokens).toMatchObject({ output: 56, cacheRead: 1000 });
    expect(whole[6]?.model).toBeString();
    const times = whole.map((entry) => Date.parse(entry.at ?? ""));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test("for a person, and a line for each entry", async () => {
    const text = await sandbox.ok(["transcript", branch, "work"]);
    expect(text).toStartWith("You  ");
    expect(text).toContain("\n  SCRIPT:work please\n");
    expect(text).toContain("\n  All done: hello.txt is written and committed.\n");
    const lines = (await sandbox.ok(["transcript", branch, "work", "--jsonl", "-n", "2"]))
      .trimEnd()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line) as Entry)).toEqual(whole.slice(-2));
  });

  test("a key that is refused", async () => {
    await start(branch, agent, "refused", "SCRIPT:err401 please");
    const entries = await until(
      branch,
      "refused",
      "the refusal",
      (entry) => entry.error !== null && !entry.retrying,
    );
    expect(entries.at(-1)).toMatchObject({ role: "agent", error: "login" });
    expect(entries[0]).toMatchObject({ role: "user", text: "SCRIPT:err401 please" });
  });

  test("an interruption", async () => {
    await start(branch, agent, "stopped", "SCRIPT:slow please");
    await eventually(
      async () => (await sandbox.ok(["logs", branch, "stopped"])).includes("word1"),
      "it streams",
    );
    await press(branch, "stopped", "Escape");
    const entries = await until(branch, "stopped", "the interruption", (entry) => entry.interrupted);
    expect(entries.at(-1)).toMatchObject({ role: "agent", interrupted: true });
  });

  test("the same when the instance is stopped; what was used outlives it", async () => {
    const used = async () => (await usageBy("branch")).find((row) => row.branch === branch);
    const before = await used();
    expect(before).toMatchObject({ turns: 3, costUsd: null });
    expect(before?.tokens["cacheRead"]).toBeGreaterThanOrEqual(3000);
    await sandbox.ok(["stop", branch]);
    expect(await entriesOf(branch, "work")).toEqual(whole);
    // Gemini CLI has thrown away the conversations that have no answer.
    expect(await used()).toEqual(before);
    await sandbox.ok(["rm", "-f", branch]);
    expect(await used()).toEqual(before);
  });
});

const isLater = (entry: Entry): boolean => entry.text === "REPLY: later";

test("a prompt that waits for the agent, until it is turned to", async () => {
  const branch = "talk/queue";
  await start(branch, "claude", "busy", "SCRIPT:slow please");
  await eventually(async () => (await sandbox.ok(["logs", branch, "busy"])).includes("word1"), "it streams");
  await press(branch, "busy", "REPLY: later", "Enter");
  const waiting = await until(branch, "busy", "the prompt waits", isLater);
  expect(waiting.at(-1)).toMatchObject({ role: "user", queued: true });
  await press(branch, "busy", "Escape");
  const turned = await until(branch, "busy", "the answer", (entry) =>
    entry.text.startsWith("OK, got: later"),
  );
  expect(turned.filter(isLater)).toMatchObject([{ queued: false }]);
});

test("what an instance has used is counted when it is removed, though nobody has asked before", async () => {
  await start("talk/gone", "claude", "last", "SCRIPT:work please");
  await until("talk/gone", "last", "it is done", (entry) => entry.text.startsWith("All done"));
  await sandbox.ok(["rm", "-f", "talk/gone"]);
  const branches = await usageBy("branch");
  const row = branches.find((one) => one.branch === "talk/gone");
  expect(row).toMatchObject({ turns: 1, tokens: { cacheRead: 3000 } });
  const all = branches.reduce((sum, one) => sum + one.turns, 0);
  for (const by of ["session", "agent", "day"])
    expect((await usageBy(by)).reduce((sum, one) => sum + one.turns, 0)).toBe(all);
  const table = (await sandbox.ok(["usage", "talk/gone", "--since", "1d"])).trimEnd().split("\n");
  expect(table.map((line) => line.split("\t").slice(0, 2))).toEqual([
    ["BRANCH", "TURNS"],
    ["talk/gone", "1"],
  ]);
});

test("what has no record says so", async () => {
  const shell = await sandbox.hjk(["run", "talk/queue", "--name", "shell", "-d"]);
  expect(shell.code).toBe(0);
  const { code, stderr } = await sandbox.hjk(["transcript", "talk/queue", "shell"]);
  expect(code).toBe(3);
  expect(stderr).toContain("shell is a shell, which has no conversation");
  expect((await sandbox.hjk(["usage", "no/such"])).code).toBe(3);
});
