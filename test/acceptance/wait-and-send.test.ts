import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { eventually, ModelStub, runProgram, Sandbox } from "../support/harness.ts";
import { reaches, sessionOf } from "../support/watching.ts";

/* What scripts rely on: the exit codes of wait and send, and that neither says what is not so. */

setDefaultTimeout(60_000);

let stub: ModelStub;
let sandbox: Sandbox;

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

const start = (branch: string, prompt: string, ...more: string[]): Promise<string> =>
  sandbox.ok(["run", branch, "--agent", "claude", "-d", ...more, prompt]);

describe("wait", () => {
  const slow = "SCRIPT:slow SECONDS:60";

  test.each([
    ["killed", async (name: string) => sandbox.ok(["kill", `feat/killed/${name}`]), "killed"],
    ["stopped", async () => sandbox.ok(["stop", "feat/stopped"]), "stopped"],
  ])("ends with 1 when the session is %s meanwhile, and says so", async (how, end, said) => {
    const branch = `feat/${how}`;
    await start(branch, slow);
    await reaches(sandbox, branch, "working");
    const waiting = sandbox.hjk(["wait", branch]);
    await Bun.sleep(1000);
    await end((await sessionOf(sandbox, branch)).name);
    const { name } = await sessionOf(sandbox, branch);
    expect(await waiting).toMatchObject({ code: 1, stdout: `${branch}\t${name}\t${said}\n`, stderr: "" });
    // The same afterwards.
    expect((await sandbox.hjk(["wait", branch, "--for", "done"])).code).toBe(1);
  });

  test("counts every branch that is named, and refuses one without an agent", async () => {
    await start("feat/done", "REPLY: done");
    await sandbox.ok(["wait", "feat/done"]);
    const both = await sandbox.hjk(["wait", "feat/done", "feat/killed"]);
    expect(both.code).toBe(1);
    expect(both.stdout).toMatch(/^feat\/done\t\S+\tdone\nfeat\/killed\t\S+\tkilled\n$/);
    await sandbox.ok(["run", "feat/shell", "-d"]);
    const none = await sandbox.hjk(["wait", "feat/done", "feat/shell"]);
    expect(none).toMatchObject({ code: 3, stdout: "" });
    expect(none.stderr).toContain("No agent has been started on feat/shell.");
    // Without names: those that live.
    expect(await sandbox.ok(["wait"])).toMatch(/^feat\/done\t\S+\tdone\n$/);
  });

  test("says what it cannot wait away, and what is missing when the time is up", async () => {
    await start("feat/login", "SCRIPT:err401");
    const { code, stderr } = await sandbox.hjk([
      "wait",
      "feat/done",
      "feat/login",
      "--for",
      "done",
      "--timeout",
      "8s",
    ]);
    expect(code).toBe(124);
    expect(stderr).toMatch(/^feat\/login\/\S+ is waiting: login$/m);
    expect(stderr).toMatch(
      /^error: Timed out before all was done: feat\/login\/\S+ is waiting \(login\)\.$/m,
    );
    expect((await sandbox.hjk(["wait", "--any", "--all"])).code).toBe(2);
  });
});

describe("send", () => {
  test("--wait prints what was said in this turn only, and fails where nothing could be", async () => {
    await start("feat/turns", "REPLY: the first answer");
    await sandbox.ok(["wait", "feat/turns"]);
    const refused = await sandbox.hjk(["send", "feat/turns", "--wait", "SCRIPT:err401"]);
    expect(refused.code).toBe(1);
    expect(refused.stdout).not.toContain("the first answer");
    expect(refused.stderr).toMatch(/feat\/turns\/\S+ is waiting: login: /);
  });

  test("a draft in the input is told, and the message counts as taken", async () => {
    await start("feat/draft", "REPLY: ready");
    await sandbox.ok(["wait", "feat/draft"]);
    await sandbox.ok(["send", "feat/draft", "--key", "d", "r", "a", "f", "t"]);
    const sent = await sandbox.hjk(["send", "feat/draft", "REPLY: with a draft"]);
    expect(sent.code).toBe(0);
    expect(sent.stderr).toContain("Something stood in the input");
    await eventually(
      async () => (await sandbox.ok(["transcript", "feat/draft"])).includes("OK, got: with a draft"),
      "it is answered",
    );
  });

  test("refuses what is no key, no file and no text", async () => {
    const fifo = join(sandbox.folder, "fifo");
    await runProgram(["mkfifo", fifo]);
    for (const [args, said] of [
      [["--key", "Nonsense"], '"Nonsense" is not a key.'],
      [["--file", fifo], "is not a file."],
      [["--file", "/dev/zero"], "/dev/zero is not a file."],
      [["--file", "/nope"], "/nope is not there."],
      [["--file", "/"], "/ is not a file."],
      [["some text", "--file", "/etc/hostname"], "Give one of a text, --file and --key."],
      [["   "], "There is nothing to send."],
    ] as const) {
      const result = await sandbox.hjk(["send", "feat/draft", ...args], { timeoutMs: 10_000 });
      expect({ args, ...result }).toMatchObject({ code: 2, stdout: "" });
      expect(result.stderr).toContain(said);
    }
  });
});
