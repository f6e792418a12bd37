import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, Sandbox } from "../support/harness.ts";

/* Agents of the user's own: a program that Headjack knows only from config.yaml. */

setDefaultTimeout(90_000);

/** Does what it is told by committing it; $1 is its home, $2 what every agent is told, $3 the task. */
const work = `
printf '%s\\n' "$3" > TASK.md
printf '%s\\n' "$2" > "$1/told"
git add TASK.md && git commit -qm "$GREETING: $3"
`;

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  const env = { GREETING: "Done", HOME: "{home}" };
  const config = {
    agents: {
      helper: {
        command: ["sh", "-ec", work, "sh", "{home}", "{instructions}", "{prompt}"],
        env,
      },
      idle: { command: "sleep 1000" },
      absent: { command: "no-such-program {prompt}" },
    },
  };
  await writeFile(join(sandbox.folder, "hjk", "config.yaml"), JSON.stringify(config));
});

afterAll(async () => await sandbox[Symbol.asyncDispose]());

async function ended(branch: string, name: string): Promise<number | null | undefined> {
  let code: number | null | undefined;
  await eventually(
    async () => {
      const { sessions } = await sandbox.instance(branch);
      const found = sessions.find((session) => session.name === name);
      code = found?.exitCode;
      return found?.status === "exited";
    },
    async () => `${name} ends; its log:\n${await sandbox.ok(["logs", branch, name])}`,
  );
  return code;
}

test("starts with a task, without a credential, and its commit comes home", async () => {
  const task = `a "quoted" task; $(id) {home}`;
  const made = await sandbox.hjk(["run", "feat/own", "--agent", "helper", "-n", "one", "-d", task]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  expect(await ended("feat/own", "one")).toBe(0);
  expect(await sandbox.git("log", "-1", "--format=%s", "feat/own")).toBe(`Done: ${task}`);
  expect(await sandbox.git("show", "feat/own:TASK.md")).toBe(task);
  const { sessions } = await sandbox.instance("feat/own");
  expect(sessions).toMatchObject([{ name: "one", type: "helper" }]);
  const told = await sandbox.inside("feat/own", ["sh", "-c", "cat /hjk/state/*/told"]);
  expect(told.stdout).toContain("on the git branch feat/own.");
});

test("is the default agent where the configuration says so, and starts without a task", async () => {
  await sandbox.ok(["config", "default.agent", "idle"]);
  await sandbox.ok(["agent", "feat/own", "-n", "two", "-d"]);
  const { sessions } = await sandbox.instance("feat/own");
  expect(sessions).toContainEqual(expect.objectContaining({ name: "two", type: "idle", status: "detached" }));
  await sandbox.ok(["kill", "feat/own/two"]);
  await sandbox.ok(["config", "--unset", "default.agent"]);
});

test("a task for one that takes none is refused, and nothing is made", async () => {
  const refused = await sandbox.hjk(["run", "feat/none", "--agent", "idle", "-d", "Do it"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("idle is started by a command that takes no prompt.");
  expect(refused.stderr).toContain("hint: Put {prompt} into agents.idle.command");
  expect(await sandbox.git("branch", "--list", "feat/none")).toBe("");
});

test("a program that the image has not ends with what the shell says", async () => {
  await sandbox.ok(["agent", "feat/own", "absent", "-n", "three", "-d"]);
  expect(await ended("feat/own", "three")).toBe(127);
  expect(await sandbox.ok(["logs", "feat/own", "three"])).toContain("no-such-program");
});

test("is named wherever agents are", async () => {
  const complete = async (...words: string[]): Promise<string[]> =>
    (await sandbox.ok(["complete", "--", ...words]))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace(/\t.*/, ""));
  const all = ["claude", "codex", "gemini", "opencode", "copilot", "helper", "idle", "absent"];
  expect(await complete("run", "feat/x", "--agent", "")).toEqual(all);
  expect(await complete("agent", "feat/own", "")).toEqual(all);
  expect(await complete("run", "feat/x", "--name", "")).toEqual([]);
  expect(await complete("config", "agents.idle.")).toEqual([
    "agents.idle.command",
    "agents.idle.resume",
    "agents.idle.args",
  ]);
  expect((await sandbox.ok(["config"])).split("\n")).toContainEqual(
    expect.stringMatching(/^agents\.idle\.command\tsleep 1000\tconfig\.yaml:/),
  );
  const unknown = await sandbox.hjk(["agent", "feat/own", "hepler", "-d"]);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("hint: Did you mean helper?");
  expect(unknown.stderr).toContain(
    "hint: Agents: claude, codex, gemini, opencode, copilot, helper, idle, absent",
  );
  const auth = await sandbox.hjk(["auth", "helper"], { input: "key\n" });
  expect(auth.code).toBe(2);
  expect(auth.stderr).toContain("hjk config agents.helper.env.NAME VALUE");
});

test("a configuration that is not in order keeps the built-in ones completing", async () => {
  const env = { HEADJACK_DEFAULT_AGENT: "nobody" };
  const completed = await sandbox.ok(["complete", "--", "agent", "feat/own", ""], { env });
  expect(completed).toBe("claude\t\ncodex\t\ngemini\t\nopencode\t\ncopilot\t\n");
});
