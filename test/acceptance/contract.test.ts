import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { eventually, ModelStub, runProgram, Sandbox, Terminal } from "../support/harness.ts";
import { reaches, sessionOf, stateText } from "../support/watching.ts";

/* What Headjack promises of every agent, each with the real CLI: one suite, and the differences as data. */

setDefaultTimeout(90_000);

interface Traits {
  /** Its tool for questions is a dialog, which a message must not go astray in. */
  hasQuestionDialog: boolean;
  /** Under `autonomy: ask` it asks before it runs a command. */
  asksPermission: boolean;
  /** The key that gives permission. */
  yes: string;
  /** While a command runs in the background it is not done. */
  tellsBackground: boolean;
  /** An answer that broke off is asked for again by itself; otherwise it fails. */
  retriesBroken: boolean;
}

const contract: Record<string, Traits> = {
  claude: {
    hasQuestionDialog: true,
    asksPermission: true,
    yes: "1",
    retriesBroken: true,
    tellsBackground: true,
  },
  codex: {
    hasQuestionDialog: false,
    asksPermission: true,
    yes: "y",
    retriesBroken: true,
    tellsBackground: false,
  },
  gemini: {
    hasQuestionDialog: true,
    asksPermission: true,
    yes: "1",
    retriesBroken: false,
    tellsBackground: false,
  },
};

let stub: ModelStub;
let sandbox: Sandbox;

beforeAll(async () => {
  stub = await ModelStub.start({ MODEL_STUB_SLOW_SECONDS: "4" });
  sandbox = await Sandbox.create({ stub });
  Object.assign(sandbox.env, { OPENAI_API_KEY: "sk-stand-in", GEMINI_API_KEY: "stand-in" });
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

async function start(agent: string, branch: string, prompt: string, ask = false): Promise<string> {
  const env = ask ? { [`HEADJACK_${agent.toUpperCase()}_AUTONOMY`]: "ask" } : {};
  const out = await sandbox.ok(["run", branch, "--agent", agent, "-d", prompt], { env });
  return /^Created session (\S+) /m.exec(out)?.[1] ?? "";
}

/** Prompts that begin with the long message, each agent's own once. */
async function longPrompts(): Promise<string[]> {
  const prompts = (await stub.journal()).map((one) => `${one.agent}: ${one.prompt}`);
  return [...new Set(prompts.filter((prompt) => prompt.includes("line 0 of a long message")))];
}

describe.each(Object.entries(contract))("%s", (agent, traits) => {
  const work = `${agent}/work`;

  test("starts unattended, works, commits and is done", async () => {
    await start(agent, work, "SCRIPT:slow SECONDS:2");
    const seen = await reaches(sandbox, work, "done");
    expect(seen.filter((state) => state !== "starting")).toEqual(["working", "done"]);
    const { activity } = await sessionOf(sandbox, work);
    expect(activity).toMatchObject({ source: "agent", reason: null });
    await sandbox.ok(["send", work, "SCRIPT:work"]);
    expect(await sandbox.ok(["wait", work, "--for", "done", "--timeout", "1m"])).toMatch(/\tdone$/m);
    expect(await sandbox.git("show", `${work}:hello.txt`)).toBe("hello from the stand-in model");
  });

  test("a question gives waiting, and the answer is taken", async () => {
    await sandbox.ok(["send", work, "SCRIPT:question"]);
    await reaches(sandbox, work, "waiting: question");
    expect((await sessionOf(sandbox, work)).activity?.message).toBe("Postgres or SQLite?");
    expect(await sandbox.ok(["ps"])).toContain("waiting: question");
    const answer = "Postgres,\nif it is no trouble";
    const said = await sandbox.ok(["send", work, answer, "--wait"]);
    expect(said).toContain(`OK, got: ${answer}`);
    expect(stateText(await sessionOf(sandbox, work))).toBe("done");
  });

  test("a message of many lines and 100 kB arrives whole, as one message", async () => {
    const before = (await longPrompts()).length;
    const lines = Array.from(
      { length: 1500 },
      (_, index) => `line ${index} of a long message, with ! and # and /`,
    );
    const text = `${lines.join("\n").padEnd(100_000, ".")} REPLY: all of it`;
    await sandbox.ok(["send", work, "--file", "-"], { input: text });
    await sandbox.ok(["wait", work, "--for", "done", "--timeout", "1m"]);
    expect(await longPrompts()).toHaveLength(before + 1);
    expect(await stub.bodies()).toContain("line 1499 of a long message, with ! and # and /....");
  });

  test("what looks like a command of the agent's own is a message all the same", async () => {
    for (const text of ["!touch /workspace/shell-ran REPLY: bang", "/clear REPLY: slash", "# REPLY: hash"]) {
      expect(await sandbox.ok(["send", work, text, "--wait"])).toContain("OK, got:");
    }
    expect((await sandbox.inside(work, ["ls", "/workspace"])).stdout).not.toContain("shell-ran");
  });

  test("a message to an agent at work is taken", async () => {
    await sandbox.ok(["send", work, "SCRIPT:slow SECONDS:3"]);
    await reaches(sandbox, work, "working");
    await sandbox.ok(["send", work, "REPLY: while it works"]);
    await eventually(
      async () => (await sandbox.ok(["logs", work, "--full"])).includes("OK, got: while it works"),
      "the message is answered",
    );
    await reaches(sandbox, work, "done");
  });

  test.if(traits.hasQuestionDialog)("a dialog is waited at, refuses words, and takes a key", async () => {
    await sandbox.ok(["send", work, "SCRIPT:asktool"]);
    await reaches(sandbox, work, "waiting: question");
    const refused = await sandbox.hjk(["send", work, "Postgres"]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("shows a dialog (question)");
    expect(refused.stderr).toContain("--key 1");
    await sandbox.ok(["send", work, "--key", "1"]);
    await reaches(sandbox, work, "done");
  });

  test.if(traits.asksPermission)("asking for permission gives waiting, and a key gives it", async () => {
    const branch = `${agent}/ask`;
    await start(agent, branch, "SCRIPT:permission", true);
    await reaches(sandbox, branch, "waiting: permission");
    expect((await sandbox.hjk(["send", branch, "yes"])).stderr).toContain("shows a dialog (permission)");
    expect((await sandbox.inside(branch, ["ls"])).stdout).not.toContain("permitted.txt");
    await sandbox.ok(["send", branch, "--key", traits.yes]);
    await reaches(sandbox, branch, "done");
    expect((await sandbox.inside(branch, ["ls"])).stdout).toContain("permitted.txt");
  });

  test("a refused login gives waiting, with the agent's own words", async () => {
    const branch = `${agent}/login`;
    await start(agent, branch, "SCRIPT:err401");
    await reaches(sandbox, branch, "waiting: login", 60_000);
    expect((await sessionOf(sandbox, branch)).activity?.message).toMatch(/401|log ?in/i);
  });

  test("a rate limit that it sits out itself is work, and nothing else", async () => {
    const branch = `${agent}/limit`;
    await start(agent, branch, "SCRIPT:flaky429 TIMES:2 RETRY_AFTER:1");
    const seen = await reaches(sandbox, branch, "done", 60_000);
    expect(seen.filter((state) => state !== "starting")).toEqual(["working", "done"]);
  });

  test("an answer that breaks off is not done", async () => {
    const branch = `${agent}/die`;
    const end = traits.retriesBroken ? "done" : "failed";
    await start(agent, branch, "SCRIPT:die");
    const seen = await reaches(sandbox, branch, end, 60_000);
    expect(seen.filter((state) => state !== "starting")).toEqual(["working", end]);
    if (traits.retriesBroken) expect(await sandbox.ok(["logs", branch])).toContain("to its very last word");
  });

  test.if(traits.tellsBackground)("a command that still runs in the background is not done", async () => {
    await sandbox.ok(["send", work, "SCRIPT:background SECONDS:4"]);
    await eventually(
      async () => (await sessionOf(sandbox, work)).activity?.message.includes("background") === true,
      "it says that a command runs in the background",
    );
    expect(stateText(await sessionOf(sandbox, work))).toBe("working");
    expect((await sandbox.hjk(["wait", work, "--for", "done", "--timeout", "1s"])).code).toBe(124);
    await reaches(sandbox, work, "done");
  });

  test("Esc gives idle", async () => {
    await sandbox.ok(["send", work, "SCRIPT:slow SECONDS:20"]);
    await reaches(sandbox, work, "working");
    await Bun.sleep(1000);
    await sandbox.ok(["send", work, "--key", "Escape"]);
    await reaches(sandbox, work, "idle");
  });

  test("stopped and started again it goes on with the same conversation", async () => {
    const before = await sessionOf(sandbox, work);
    await sandbox.ok(["stop", work]);
    expect(await sessionOf(sandbox, work)).toMatchObject({
      status: "exited",
      end: "stopped",
      resumable: true,
    });
    expect(await sandbox.ok(["ps", work])).toContain("resumable");
    expect(await sandbox.ok(["start", work])).toContain(`Resumed session ${before.name}`);
    expect(await sandbox.ok(["send", work, "REPLY: after the stop", "--wait"])).toContain("after the stop");
    // The model was sent what came before, too.
    const bodies = await stub.bodies();
    const last = bodies.slice(bodies.lastIndexOf("SCRIPT:question"));
    expect(last).toContain("after the stop");
    expect((await sessionOf(sandbox, work)).name).toBe(before.name);
  });

  test("its process killed gives exited with its code, and attach would bring it back", async () => {
    const killed = await runProgram([
      "docker",
      "exec",
      (await sandbox.instance(work)).container,
      "sh",
      "-c",
      // The agent and nothing of this command's own.
      `for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -qE '(^|/)${agent}( |$)' && kill -KILL \${p#/proc/}; done; true`,
    ]);
    expect(killed.code).toBe(0);
    await eventually(
      async () => (await sessionOf(sandbox, work)).status === "exited",
      "the session has ended",
    );
    const session = await sessionOf(sandbox, work);
    expect(session).toMatchObject({
      end: "exited",
      resumable: true,
      activity: { state: "failed", source: "process" },
    });
    expect(session.exitCode).toBeGreaterThan(0);
    const refused = await sandbox.hjk(["send", work, session.name, "touch /workspace/shell-ran"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("exited with code");
    expect((await sandbox.hjk(["wait", work, "--for", "done"])).code).toBe(1);
    await sandbox.ok(["wait", work, "--for", "exited"]);
  });
});

describe("a run", () => {
  test("is limited by --max-time, which is recorded", async () => {
    const branch = "feat/limited";
    await sandbox.ok([
      "run",
      branch,
      "--agent",
      "claude",
      "-d",
      "--max-time",
      "3s",
      "SCRIPT:slow SECONDS:60",
    ]);
    await eventually(async () => (await sessionOf(sandbox, branch)).end === "limit", "it was ended");
    expect((await sandbox.hjk(["run", "feat/x", "-d", "--max-time", "soon"])).stderr).toContain("90s, 10m");
  });

  test.each(Object.keys(contract))("of %s is limited by --max-turns", async (agent) => {
    const branch = `${agent}/turns`;
    await sandbox.ok(["run", branch, "--agent", agent, "-d", "--max-turns", "2", "REPLY: first turn"]);
    await reaches(sandbox, branch, "done");
    await sandbox.ok(["send", branch, "SCRIPT:sleep SECONDS:60"]);
    await eventually(async () => (await sessionOf(sandbox, branch)).end === "limit", "it was ended");
    const shell = await sandbox.hjk(["run", "feat/x", "-d", "--max-turns", "2"]);
    expect(shell).toMatchObject({ code: 2, stdout: "" });
    expect(shell.stderr).toContain("cannot be counted");
  });
});

describe("an agent comes back with its conversation after", () => {
  const branch = "claude/back";
  beforeAll(async () => {
    await start("claude", branch, "REPLY: remember the word xylophone");
    await reaches(sandbox, branch, "done");
  });

  const losses: [string, () => Promise<unknown>, string][] = [
    [
      "its container was killed, as by a restart of the engine",
      async () => runProgram(["docker", "kill", (await sandbox.instance(branch)).container]),
      "start",
    ],
    [
      "tmux was killed, which leaves it running in the container",
      () => runProgram(["tmux", "-S", join(sandbox.folder, "hjk", "data", "run", "tmux"), "kill-server"]),
      "start",
    ],
    ["its container was made anew", () => Promise.resolve(), "recreate"],
    ["its instance was removed, and that undone", () => sandbox.ok(["rm", "-f", branch]), "undo"],
  ];
  test.each(losses)("%s", async (_what, lose, command) => {
    const { name } = await sessionOf(sandbox, branch);
    await lose();
    if (command === "start") {
      await eventually(async () => (await sessionOf(sandbox, branch)).end === "lost", "the session is lost");
      expect((await sessionOf(sandbox, branch)).resumable).toBe(true);
    }
    expect(await sandbox.ok(command === "undo" ? [command] : [command, branch])).toContain(
      `Resumed session ${name} in instance`,
    );
    const { container } = await sandbox.instance(branch);
    await sandbox.ok(["send", branch, `REPLY: back ${command}`, "--wait"]);
    expect(await sandbox.ok(["transcript", branch])).toContain("xylophone");
    expect(await sandbox.ok(["logs", branch, "--full"])).toContain("xylophone");
    const bodies = await stub.bodies();
    expect(bodies.slice(bodies.lastIndexOf("xylophone"))).toContain(`back ${command}`);
    const agents = await runProgram(["docker", "exec", container, "pgrep", "-xc", "claude"]);
    expect(agents.stdout.trim()).toBe("1");
  });

  test("--fresh starts the container only", async () => {
    await sandbox.ok(["stop", branch]);
    expect(await sandbox.ok(["start", "--fresh", branch])).not.toContain("Resumed");
    expect((await sessionOf(sandbox, branch)).status).toBe("exited");
    const terminal = await Terminal.open(sandbox);
    await terminal.type(`hjk attach ${branch}`);
    await terminal.waitFor("OK, got: back undo");
    await terminal.detach();
    expect((await sessionOf(sandbox, branch)).status).toBe("detached");
    await terminal.close();
  });
});
