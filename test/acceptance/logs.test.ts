import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { eventually, ModelStub, type Output, runProgram, Sandbox } from "../support/harness.ts";

/** How long each agent draws; more shows what a long session does. */
const redrawSeconds = Number(process.env["HEADJACK_TEST_REDRAW_SECONDS"] ?? 15);

let stub: ModelStub;
let sandbox: Sandbox;

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
  await sandbox.ok(["run", "work", "-d", "--name", "first"]);
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

async function logs(name: string, ...options: string[]): Promise<string[]> {
  return (await sandbox.ok(["logs", "work", name, ...options])).split("\n").slice(0, -1);
}

describe("logs --since", () => {
  test("shows what came since, of a living session and of one that has ended", async () => {
    const waiting = "until [ -e /tmp/goes-on ]; do sleep 0.1; done";
    await sandbox.ok([
      "exec",
      "-d",
      "-n",
      "goes-on",
      "work",
      "bash",
      "-c",
      `seq 1 50; ${waiting}; seq 51 60; read`,
    ]);
    await eventually(async () => (await logs("goes-on")).includes("50"), "it has printed");
    // Until its screen has come to rest, which is noted.
    await eventually(async () => (await logs("goes-on", "--since", "1s")).length === 0, "nothing is new");
    const then = new Date().toISOString();
    const following = sandbox.hjk(["logs", "work", "goes-on", "--since", then, "-f"]);
    await sandbox.inside("work", ["touch", "/tmp/goes-on"]);
    const news = Array.from({ length: 10 }, (_, index) => String(51 + index));
    await eventually(async () => (await logs("goes-on")).includes("60"), "it goes on");
    expect(await logs("goes-on", "--since", then)).toEqual(news);
    expect(await logs("goes-on", "--since", then, "-n", "2")).toEqual(["59", "60"]);
    expect(await logs("goes-on", "--since", "1h")).toHaveLength(60);
    await sandbox.ok(["kill", "work/goes-on"]);
    expect((await following).stdout.split("\n").slice(0, -1)).toEqual(news);
    expect(await logs("goes-on", "--since", then)).toEqual(news);
    const raw = await sandbox.ok(["logs", "work", "goes-on", "--since", then, "--raw"]);
    expect(raw).toStartWith(news.map((line) => `${line}\r\n`).join(""));
  });

  test.each([
    ["yesterday", "It takes a length of time"],
    ["10", "It takes a length of time"],
    ["2026-02-30", "It takes a length of time"],
    ["9999-01-01", "That time has yet to come"],
  ])("refuses %s", async (time, why) => {
    const { code, stderr } = await sandbox.hjk(["logs", "work", "first", "--since", time]);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
  });
});

/** What tmux shows of a session, wrapped lines joined and all that scrolled by included. */
async function shown(agent: string): Promise<string> {
  const socket = join(sandbox.folder, "hjk", "data", "run", "tmux");
  const target = `=${(await sandbox.instance(agent)).id}/drawing:`;
  const all = ["-S", "-20000"];
  return (await runProgram(["tmux", "-u", "-S", socket, "capture-pane", "-p", "-J", "-t", target, ...all]))
    .stdout;
}

describe("an agent that redraws its screen all the time", () => {
  const agents = ["claude", "codex", "gemini"];
  const following = new Map<string, Promise<Output>>();

  beforeAll(async () => {
    const env = { OPENAI_API_KEY: "stand-in", GEMINI_API_KEY: "stand-in" };
    const prompt = `SCRIPT:redraw SECONDS:${redrawSeconds}`;
    const timeoutMs = redrawSeconds * 10_000 + 120_000;
    for (const agent of agents) {
      await sandbox.ok(["run", agent, "--agent", agent, "-d", "--name", "drawing", prompt], { env });
      following.set(agent, sandbox.hjk(["logs", agent, "-f"], { timeoutMs }));
    }
  });

  test.each(agents)(
    "%s: the log is what tmux shows, and -f prints each line once",
    async (agent) => {
      let before = "";
      await eventually(
        async () => {
          const now = await shown(agent);
          const isDone = now.includes("REDRAW DONE") && now === before;
          before = now;
          if (!isDone) await Bun.sleep(2000);
          return isDone;
        },
        () => Promise.resolve(`${agent} is done; it shows:\n${before}`),
        redrawSeconds * 10_000 + 60_000,
      );
      const onScreen = trimmed(await shown(agent));
      await sandbox.ok(["kill", `${agent}/drawing`]);
      const full = trimmed(await sandbox.ok(["logs", agent, "--full"]));
      // What comes after is what it says on leaving.
      expect(full.slice(0, onScreen.length)).toEqual(onScreen);
      expect(full.length - onScreen.length).toBeLessThan(10);
      // From the prompt on: what a start shows for seconds depends on how fast it is.
      const followed = conversation(trimmed((await following.get(agent))?.stdout ?? ""));
      const lines = conversation(full);
      if (agent !== "claude") return expect(followed).toEqual(lines);
      // Claude Code now and then draws over lines that have just left its screen, and they are lost on
      // every terminal. -f has printed them before.
      const isShown = (line: string): boolean => lines.includes(line);
      expect(followed.filter((line) => !isShown(line) && !isNamed(line))).toEqual([]);
      expect(followed.filter((line) => isNamed(line) && isShown(line))).toEqual(lines.filter(isNamed));
    },
    redrawSeconds * 10_000 + 120_000,
  );
});

/** Lines without the white space around them that nobody sees. */
function trimmed(text: string): string[] {
  const lines = text.split("\n").map((line) => line.trimEnd());
  return lines.slice(lines.findIndex(isText), lines.findLastIndex(isText) + 1);
}

function isText(line: string): boolean {
  return line !== "";
}

/** From the prompt on, without empty lines: how many there are between two others may change. */
function conversation(lines: string[]): string[] {
  const prompt = lines.findIndex((line) => line.includes("SCRIPT:redraw"));
  expect(prompt).toBeGreaterThanOrEqual(0);
  return lines.slice(prompt).filter(isText);
}

/** Whether a line names the step of the script that it comes from, so that there is one like it. */
function isNamed(line: string): boolean {
  return /\b(step|row|point|of) \d|value\d/i.test(line);
}
