import { describe, expect, test } from "bun:test";
import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { loadConfig, setConfig, unsetConfig } from "./config.ts";
import { context, fileWith, full, refusal, temporaryFolder } from "./testing.ts";

const root = temporaryFolder();

describe("setConfig and unsetConfig", () => {
  test("make the file and its folder, private, and leave nothing else", async () => {
    const file = join(root, "new", "deep", "config.yaml");
    await setConfig(file, "default.agent", "claude", context);
    await setConfig(file, "runtime.flags", "--memory=2g --cpus 2", context);
    await setConfig(file, "agents.claude.env.A_B", "yes", context);
    await setConfig(file, "storage.logs", "~/logs", context);
    expect(readFileSync(file, "utf8")).toMatchInlineSnapshot(`
"default:
  agent: claude
runtime:
  flags:
    - --memory=2g
    - --cpus
    - "2"
agents:
  claude:
    env:
      A_B: yes
storage:
  logs: ~/logs
"
`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, "new", "deep")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(root, "new", "deep"))).toEqual(["config.yaml"]);
    expect((await loadConfig({ file, env: {}, ...context })).runtime.flags).toEqual([
      "--memory=2g",
      "--cpus",
      "2",
    ]);
  });

  test("make an agent of the user's own, and take it away again", async () => {
    const file = join(root, "own", "config.yaml");
    expect(await refusal(setConfig(file, "agents.amp.args", "-x", context))).toBe(
      'Unknown configuration key "agents.amp.args".\nAn agent of your own needs agents.amp.command.',
    );
    expect(await refusal(setConfig(file, "agents.Amp.command", "amp", context))).toContain("lower-case");
    await setConfig(file, "agents.amp.command", "amp {prompt}", context);
    await setConfig(file, "agents.amp.env.HOME", "{home}", context);
    await setConfig(file, "default.agent", "amp", context);
    expect((await loadConfig({ file, env: {}, ...context })).agents["amp"]).toMatchObject({
      env: { HOME: "{home}" },
      custom: { command: ["amp", "{prompt}"] },
    });
    expect(await refusal(setConfig(file, "agents.claude.command", "x", context))).toContain(
      "go into agents.claude.args",
    );
    expect(await unsetConfig(file, "default.agent")).toBe(true);
    expect(await unsetConfig(file, "agents.amp")).toBe(true);
    expect(readFileSync(file, "utf8")).toBe("");
  });

  test("keep comments and order", async () => {
    const file = await fileWith(root, `${full}\n# the end\n`);
    await setConfig(file, "default.agent", "codex", context);
    await setConfig(file, "runtime.flags", "--init", context);
    expect(await unsetConfig(file, "agents.claude.env.MY_TOKEN")).toBe(true);
    const expected = full
      .replace("agent: claude #", "agent: codex #")
      .replace('["--cpus", 2, --env, API_KEY=abc]', "[ --init ]")
      .replace("      MY_TOKEN: very-secret\n", "");
    expect(readFileSync(file, "utf8")).toBe(`${expected}\n# the end\n`);
  });

  test("fill sections that hold only comments, and empty them again", async () => {
    const file = await fileWith(root, "# top\n\ndefault: # section\n  # agent: codex\n");
    await setConfig(file, "default.agent", "claude", context);
    expect(readFileSync(file, "utf8")).toMatchInlineSnapshot(`
"# top

default:
  # section
  # agent: codex
  agent: claude
"
`);
    expect(await unsetConfig(file, "default.agent")).toBe(true);
    expect(await unsetConfig(file, "default.agent")).toBe(false);
    expect(readFileSync(file, "utf8")).toBe("# top\n");
    await setConfig(file, "default.agent", "claude", context);
    expect(readFileSync(file, "utf8")).toContain("# top\n");
    expect(await unsetConfig(join(root, "none.yaml"), "default.agent")).toBe(false);
  });

  test("replace the target of a link, not the link", async () => {
    const target = await fileWith(root, "default:\n  agent: claude\n");
    const link = join(root, "link.yaml");
    symlinkSync(target, link);
    await setConfig(link, "default.agent", "codex", context);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, "utf8")).toContain("codex");
  });

  test("refuse bad keys and values, and change nothing then", async () => {
    const file = await fileWith(root, full);
    const set = (key: string, value: string): Promise<string> =>
      refusal(setConfig(file, key, value, context));
    expect(await set("default.agnet", "claude")).toContain('Did you mean "default.agent"?');
    expect(await set("default.agent", "gpt")).toBe("default.agent: expected one of claude, codex, my-agent.");
    expect(await set("default", "x")).toContain("For example: default.agent");
    expect(await set("agents.claude.env", "x")).toContain("For example: agents.claude.env.NAME");
    expect(await set("agents.other.env.X", "x")).toContain("Unknown configuration key");
    expect(await set("agents.claude.env.X-Y", "x")).toContain("expected a variable's name");
    expect(await set("", "x")).toContain("Unknown configuration key");
    expect(readFileSync(file, "utf8")).toBe(full);
  });

  test("repair a file, but do not write into one that stays wrong", async () => {
    const file = await fileWith(root, "default:\n  agent: gpt\n  wrong: 1\n");
    expect(await refusal(setConfig(file, "default.agent", "claude", context))).toContain(
      'unknown key "default.wrong"',
    );
    expect(await unsetConfig(file, "default.wrong")).toBe(true);
    await setConfig(file, "default.agent", "claude", context);
    expect(readFileSync(file, "utf8")).toBe("default:\n  agent: claude\n");
    const aliased = await fileWith(root, "agents:\n  claude: &c\n    env: {A: x}\n  codex: *c\n");
    expect(await refusal(setConfig(aliased, "agents.codex.env.B", "y", context))).toContain("by hand");
  });
});
