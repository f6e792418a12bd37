import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, ModelStub, runProgram, Sandbox, Terminal } from "../support/harness.ts";
import { reaches, sessionOf } from "../support/watching.ts";

/* What the user is told of while no hjk runs: by the command of theirs, and by the bell of their terminal. */

setDefaultTimeout(90_000);

let stub: ModelStub;
let sandbox: Sandbox;
let told: string;

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
  told = join(sandbox.folder, "told");
  await writeFile(told, "");
  const program = join(sandbox.folder, "tell");
  const line =
    '"$HJK_EVENT $HJK_REASON|$HJK_BRANCH|$HJK_SESSION_NAME|$HJK_AGENT|$HJK_REPOSITORY|$HJK_MESSAGE"';
  await writeFile(program, `#!/bin/sh\necho ${line} >> ${told}\n`);
  await chmod(program, 0o755);
  const file = join(sandbox.folder, "hjk", "config.yaml");
  const ways = ["command", "bell"];
  const notify = { waiting: ways, done: ways, failed: ["command"], command: [program] };
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), notify }));
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

/** What was told of a branch: the event and its reason. */
async function eventsOf(branch: string): Promise<string[]> {
  const lines = (await readFile(told, "utf8")).split("\n").map((line) => line.split("|"));
  return lines.filter(([, name]) => name === branch).map(([event = ""]) => event.trim());
}

async function toldOf(branch: string, events: string[]): Promise<void> {
  await eventually(
    async () => (await eventsOf(branch)).length >= events.length,
    async () => `${branch}: ${events.join(", ")}; told: ${await readFile(told, "utf8")}`,
  );
  expect(await eventsOf(branch)).toEqual(events);
}

const start = (branch: string, prompt: string): Promise<string> =>
  sandbox.ok(["run", branch, "--agent", "claude", "-d", prompt]);

test("each event once, however often hjk looks and the screen comes to rest", async () => {
  await start("feat/a", "SCRIPT:question");
  await toldOf("feat/a", ["waiting question"]);
  const [line = ""] = (await readFile(told, "utf8")).split("\n");
  const { name } = await sessionOf(sandbox, "feat/a");
  expect(line.split("|").slice(1)).toEqual(["feat/a", name, "claude", sandbox.repo, "Postgres or SQLite?"]);
  // The screen changes and rests again; nothing new has happened.
  await sandbox.ok(["send", "feat/a", "--key", "x"]);
  await sandbox.ok(["send", "feat/a", "--key", "BSpace"]);
  for (let look = 0; look < 5; look += 1) await sandbox.ok(["ps"]);
  await Bun.sleep(5000);
  expect(await eventsOf("feat/a")).toEqual(["waiting question"]);
  await sandbox.ok(["send", "feat/a", "REPLY: one"]);
  await toldOf("feat/a", ["waiting question", "done"]);
  await sandbox.ok(["send", "feat/a", "REPLY: two"]);
  await toldOf("feat/a", ["waiting question", "done", "done"]);
  // An agent that is done and then ends has done nothing new.
  await sandbox.ok(["send", "feat/a", "/exit", "--verbatim", "--timeout", "2s"]).catch(() => undefined);
  await eventually(async () => (await sessionOf(sandbox, "feat/a")).status === "exited", "it ends");
  await Bun.sleep(1000);
  expect(await eventsOf("feat/a")).toEqual(["waiting question", "done", "done"]);
});

test("a refused login, an agent that dies, and a limit that is reached", async () => {
  await start("feat/login", "SCRIPT:err401");
  await toldOf("feat/login", ["waiting login"]);
  await start("feat/dies", "SCRIPT:slow SECONDS:60");
  await reaches(sandbox, "feat/dies", "working");
  const { container } = await sandbox.instance("feat/dies");
  await runProgram(["docker", "exec", container, "pkill", "-KILL", "claude"]);
  await toldOf("feat/dies", ["failed"]);
  await sandbox.ok([
    "run",
    "feat/long",
    "--agent",
    "claude",
    "-d",
    "--max-time",
    "3s",
    "SCRIPT:slow SECONDS:60",
  ]);
  await toldOf("feat/long", ["failed"]);
  expect(await readFile(told, "utf8")).toContain("it has reached a limit of its run");
});

test("nobody is told of what they look at, nor of what they ended themselves", async () => {
  const terminal = await Terminal.open(sandbox);
  await terminal.type('hjk run feat/seen --agent claude "REPLY: seen"');
  await terminal.waitFor("OK, got: seen");
  await Bun.sleep(5000);
  expect(await eventsOf("feat/seen")).toEqual([]);
  await terminal.detach();
  await sandbox.ok(["stop", "feat/seen"]);
  await start("feat/killed", "SCRIPT:slow SECONDS:60");
  await sandbox.ok(["kill", `feat/killed/${(await sessionOf(sandbox, "feat/killed")).name}`]);
  await Bun.sleep(1000);
  expect([...(await eventsOf("feat/seen")), ...(await eventsOf("feat/killed"))]).toEqual([]);
  await terminal.close();
});

test("the bell rings at the terminal that the agent was started from", async () => {
  const terminal = await Terminal.open(sandbox);
  await terminal.run('hjk run feat/bell --agent claude -d "REPLY: ring"');
  const bytes = await terminal.tap();
  await toldOf("feat/bell", ["done"]);
  await eventually(async () => (await bytes()).includes("\u0007"), "the bell rings");
  expect((await bytes()).replaceAll("\u0007", "")).toBe("");
  await terminal.close();
});

test("a screen that rests is one event, also while somebody looks at it", async () => {
  const terminal = await Terminal.open(sandbox);
  await terminal.type('hjk run feat/watched --agent claude "REPLY: watched"');
  await terminal.waitFor("OK, got: watched");
  const { id, sessions } = await sandbox.instance("feat/watched");
  const socket = join(sandbox.folder, "hjk", "data", "run", "tmux");
  const screen = `=${id}/${sessions[0]?.name}:`;
  /** Whether tmux would tell of another silence. */
  const listens = async (): Promise<boolean> => {
    const shown = await runProgram([
      "tmux",
      "-S",
      socket,
      "show-options",
      "-wAv",
      "-t",
      screen,
      "monitor-silence",
    ]);
    return shown.stdout.trim() !== "0";
  };
  await eventually(async () => !(await listens()), "the first rest was told");
  await Bun.sleep(4000);
  expect(await listens()).toBe(false);
  await terminal.type("REPLY: again");
  await eventually(listens, "output makes it listen again");
  await eventually(async () => !(await listens()), "the next rest was told");
  await terminal.detach();
  await terminal.close();
});
