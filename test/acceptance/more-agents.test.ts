import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { eventually, ModelStub, Sandbox } from "../support/harness.ts";

/* The agents that are not in the base image by default, in one that holds these and no others. */

setDefaultTimeout(120_000);

/** The first `hjk run` builds the image; what it is built on is there. */
const buildMs = 600_000;

const agents = [
  { name: "opencode", asks: "question" },
  { name: "copilot", asks: "ask_user" },
] as const;

let stub: ModelStub;
let sandbox: Sandbox;

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create();
  await sandbox.ok(["config", "image.agents", "copilot opencode"]);
  for (const { name } of agents) await sandbox.ok(["config", `agents.${name}.base_url`, `${stub.url}/v1`]);
  await sandbox.ok(["config", "agents.opencode.env.ANTHROPIC_API_KEY", "key-of-opencode"]);
  await sandbox.ok(["auth", "copilot", "--api-key"], { input: "key-of-copilot" });
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

interface Entry {
  role: string;
  text: string;
  tool: { name: string } | null;
  tokens: Record<string, number> | null;
}

async function transcript(branch: string): Promise<Entry[]> {
  return (JSON.parse(await sandbox.ok(["transcript", branch, "--json"])) as { entries: Entry[] }).entries;
}

interface Activity {
  state: string;
  reason: string | null;
  source: string;
}

/** What the newest session of a branch is doing. */
async function activity(branch: string): Promise<Activity | undefined> {
  const listed = JSON.parse(await sandbox.ok(["ps", branch, "--json"])) as {
    sessions: { activity: Activity }[];
  };
  return listed.sessions.at(-1)?.activity;
}

/** Waits until the agent of a branch is in this state by its own word; fails with what it shows. */
async function comesTo(branch: string, state: string, reason: string | null = null): Promise<void> {
  let seen: Activity | undefined;
  await eventually(
    async () => {
      seen = await activity(branch);
      return seen?.state === state && seen.reason === reason && seen.source === "agent";
    },
    async () =>
      `${branch} is ${state}, not ${JSON.stringify(seen)}; it shows:\n${await sandbox.ok(["logs", branch])}`,
    60_000,
  );
}

test("an agent that the image does not hold is refused, and nothing is made", async () => {
  const result = await sandbox.hjk(["run", "feat/none", "--agent", "claude", "-d", "Do it"], {
    env: { ANTHROPIC_API_KEY: "x" },
  });
  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr).toBe(
    "error: The base image does not hold Claude Code; it has opencode, copilot.\n" +
      'hint: Have it put there: hjk config image.agents "opencode copilot claude"\n',
  );
  expect(await sandbox.instances()).toEqual([]);
  expect(await sandbox.git("branch", "--list", "feat/none")).toBe("");
});

test(
  "they start unattended, do their work and commit it, and what was said is read",
  async () => {
    await sandbox.ok(["run", "feat/shell", "-d"], { timeoutMs: buildMs });
    await Promise.all(
      agents.map(({ name }) => sandbox.ok(["run", `feat/${name}`, "--agent", name, "-d", "SCRIPT:work now"])),
    );
    for (const { name } of agents) {
      const branch = `feat/${name}`;
      await comesTo(branch, "done");
      expect(await sandbox.git("log", "-1", "--format=%s", branch)).toBe("Add hello.txt");
      expect(await sandbox.git("show", `${branch}:hello.txt`)).toBe("hello from the stand-in model");
      const entries = await transcript(branch);
      const said = entries.filter(({ role, tool }) => role !== "tool" && tool === null);
      expect(said.map(({ role, text }) => `${role}: ${text}`)).toEqual([
        "user: SCRIPT:work now",
        "assistant: I will write hello.txt first.",
        "assistant: All done: hello.txt is written and committed.",
      ]);
      expect(entries.filter(({ role }) => role === "tool")).toHaveLength(2);
      const used = JSON.parse(await sandbox.ok(["usage", branch, "--json"])) as { rows: { turns: number }[] };
      expect(used.rows.map(({ turns }) => turns)).toEqual([1]);
      expect(entries.filter(({ tokens }) => tokens !== null)).toHaveLength(3);
      const { stdout } = await sandbox.inside(branch, ["ps", "-eo", "uid,args"], "root");
      expect(stdout).toMatch(new RegExp(`^ *1000 .*\\b${name}\\b`, "m"));
      expect(stdout).not.toContain("key-of-");
    }
    const requests = await stub.requests();
    const values = new Set(
      requests.flatMap(({ headers }) => [headers["x-api-key"], headers["authorization"]]),
    );
    expect([...values].filter((value) => value !== undefined).toSorted()).toEqual([
      "Bearer key-of-copilot",
      "key-of-opencode",
    ]);
    const bodies = await stub.bodies();
    for (const { name } of agents) expect(bodies).toContain(`on the git branch feat/${name}.`);
    // Nothing but the address that was given has been asked for, and by `hjk auth` whether the key is good.
    const ofAgents = requests.filter(({ headers }) => headers["user-agent"]?.startsWith("Bun/") !== true);
    expect(
      ofAgents.filter(({ url }) => !/\/(messages|chat\/completions)$/.test(new URL(url, stub.url).pathname)),
    ).toEqual([]);
  },
  buildMs,
);

describe.each(agents)("$name", ({ name, asks }) => {
  const branch = `feat/${name}`;

  test("waits for an answer to its question", async () => {
    await sandbox.ok(["send", branch, "SCRIPT:asktool please"]);
    await comesTo(branch, "waiting", "question");
    expect((await transcript(branch)).findLast((entry) => entry.tool !== null)?.tool?.name).toBe(asks);
  });

  test("goes on with its conversation after a stop", async () => {
    const before = await transcript(branch);
    await sandbox.ok(["stop", branch]);
    const started = await sandbox.ok(["start", branch]);
    expect(started).toContain("Resumed session");
    await eventually(
      async () => (await sandbox.ok(["logs", branch])).includes("All done: hello.txt"),
      async () => `the conversation is shown:\n${await sandbox.ok(["logs", branch])}`,
      60_000,
    );
    await comesTo(branch, "idle");
    await sandbox.ok(["send", branch, "REPLY: still there"]);
    await comesTo(branch, "done");
    const after = await transcript(branch);
    expect(after.slice(0, before.length).map(({ text }) => text)).toEqual(before.map(({ text }) => text));
    expect(after.at(-1)?.text).toContain("OK, got: still there");
  });

  test("is idle after it was interrupted", async () => {
    await sandbox.ok(["send", branch, "SCRIPT:slow please SECONDS:300"]);
    await comesTo(branch, "working");
    await eventually(
      async () => (await sandbox.ok(["logs", branch])).includes("word1"),
      "the answer comes in",
    );
    // Both want it twice, and at once the two would be one key to them.
    await eventually(
      async () => {
        if ((await activity(branch))?.state === "idle") return true;
        await sandbox.ok(["send", branch, "--key", "Escape"]);
        return false;
      },
      async () => `${branch} is interrupted; it is ${JSON.stringify(await activity(branch))}`,
    );
  });

  test("says that its key is refused", async () => {
    await sandbox.ok(["send", branch, "SCRIPT:err401 now"]);
    await comesTo(branch, "waiting", "login");
  });

  test("asks before it does something, where the user wants that", async () => {
    const prompt = ["agent", branch, name, "-d", "-n", "asking", "-p", "SCRIPT:permission please"];
    await sandbox.ok(prompt, { env: { [`HEADJACK_${name.toUpperCase()}_AUTONOMY`]: "ask" } });
    await comesTo(branch, "waiting", "permission");
    expect((await sandbox.inside(branch, ["ls", "/workspace"])).stdout).not.toContain("permitted.txt");
  });
});

test("an instance that lacks an agent gets it when its container is made anew", async () => {
  const inOldImage = { HEADJACK_IMAGE_AGENTS: "claude codex gemini" };
  await sandbox.ok(["run", "feat/old", "-d"], { env: inOldImage, timeoutMs: buildMs });
  const refused = await sandbox.hjk(["agent", "feat/old", "copilot", "-d"]);
  expect(refused).toMatchObject({
    code: 2,
    stdout: "",
    stderr:
      "error: The image of feat/old does not hold GitHub Copilot CLI; it has claude, codex, gemini.\n" +
      "hint: Make the container anew, files kept: hjk recreate feat/old\n",
  });
  await sandbox.ok(["recreate", "feat/old"]);
  await sandbox.ok(["agent", "feat/old", "copilot", "-d"]);
  await comesTo("feat/old", "idle");
});

test("hjk agents says what is in the image, and where each credential comes from", async () => {
  const { agents: listed } = JSON.parse(
    await sandbox.ok(["agents", "--json"], { env: { OPENAI_API_KEY: "not-shown" } }),
  ) as { agents: Record<string, unknown>[] };
  const named = (name: string) => listed.find((agent) => agent["name"] === name);
  expect(named("claude")).toMatchObject({ inImage: false, credential: { source: "none", kind: null } });
  expect(named("codex")).toMatchObject({ credential: { source: "environment", where: "OPENAI_API_KEY" } });
  expect(named("opencode")).toMatchObject({
    inImage: true,
    credential: { source: "configuration", where: "agents.opencode.env.ANTHROPIC_API_KEY" },
    supports: { resume: true, transcript: true, activity: "status-file", questions: true, permissions: true },
  });
  expect(named("copilot")).toMatchObject({
    inImage: true,
    credential: { source: "stored", kind: "api-key" },
  });
  expect(JSON.stringify(listed)).not.toMatch(/not-shown|key-of-/);
});
