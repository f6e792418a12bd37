import { describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { agentVersions } from "../agents/versions.ts";
import { type Config, getConfig, loadConfig } from "./config.ts";
import { context, fileWith, full, refusal, temporaryFolder } from "./testing.ts";

const root = temporaryFolder();

async function load(text?: string | Uint8Array, env: Record<string, string> = {}): Promise<Config> {
  const file = text === undefined ? join(root, "none", "config.yaml") : await fileWith(root, text);
  return loadConfig({ file, env, ...context });
}

const own = `agents:
  aider:
    env: &env
      HOME: "{home}"
    command: [aider, --message, "{prompt}"]
    resume: aider --restore
  amp:
    command: [amp, --jobs, 2]
    env: *env
default:
  agent: aider
`;

describe("loadConfig", () => {
  test("has defaults without a file, and then loads no parser", async () => {
    const config = await load();
    expect(config).toMatchObject({
      default: { agent: "claude" },
      storage: { worktrees: "/data/worktrees", logs: "/data/logs" },
      runtime: { name: "docker", flags: [] },
      agents: { claude: { env: {} }, codex: { env: {} }, "my-agent": { env: {} } },
    });
    expect(config.entries().map(({ key, value, source }) => [key, value, source])).toEqual([
      ["default.agent", "claude", "default"],
      ["default.base_image", undefined, "default"],
      ["image.agents", ["claude", "codex", "gemini"], "default"],
      ["storage.worktrees", "/data/worktrees", "default"],
      ["storage.logs", "/data/logs", "default"],
      ["runtime.name", "docker", "default"],
      ["runtime.flags", [], "default"],
      ["notify.waiting", ["desktop"], "default"],
      ["notify.done", ["desktop"], "default"],
      ["notify.failed", ["desktop"], "default"],
      ["notify.command", [], "default"],
      ["workspace.copy", [], "default"],
      ["hooks.create", [], "default"],
      ["hooks.start", [], "default"],
      ["security.profile", "strict", "default"],
      ["isolation", "container", "default"],
      ["limits.memory", undefined, "default"],
      ["limits.cpus", undefined, "default"],
      ["limits.pids", undefined, "default"],
      ["limits.disk", undefined, "default"],
      ["network.mode", "allowlist", "default"],
      ["network.allow", [], "default"],
      ["network.proxy", undefined, "default"],
      ["snapshots.keep", "30d", "default"],
      ["snapshots.max", "50", "default"],
      ["snapshots.max_size", "1g", "default"],
      ...context.agentNames.flatMap((agent) => [
        [`agents.${agent}.base_url`, undefined, "default"],
        [`agents.${agent}.autonomy`, "full", "default"],
        [`agents.${agent}.args`, undefined, "default"],
        // Only of those whose subscription is a login of their own.
        ...(/codex|gemini/.test(agent) ? [[`agents.${agent}.token_url`, undefined, "default"]] : []),
        // Only of those that the base image can hold.
        ...(agent === "my-agent" ? [] : [[`agents.${agent}.version`, agentVersions[agent], "default"]]),
      ]),
    ]);
    const script = `
      const { loadConfig } = await import(${JSON.stringify(join(import.meta.dir, "config.ts"))});
      const context = ${JSON.stringify(context)};
      await loadConfig({ file: "/nonexistent/config.yaml", env: {}, ...context });
      process.stdout.write(Object.keys(require.cache).filter((path) => /node_modules/.test(path)).join());
      await loadConfig({ file: process.argv[1], env: {}, ...context });
      process.stdout.write(Object.keys(require.cache).some((path) => /node_modules.yaml/.test(path)) ? "|yaml" : "|");
    `;
    const child = Bun.spawn([process.execPath, "-e", script, await fileWith(root, "")], { stdout: "pipe" });
    expect(await new Response(child.stdout).text()).toBe("|yaml");
  });

  test("reads every key, with its place", async () => {
    const config = await load(full);
    expect(config).toMatchObject({
      default: { agent: "claude", baseImage: "registry.example.com:5000/team/base:1.2@sha256:abc" },
      storage: { worktrees: "/home/ann/trees", logs: "/var/log/hjk" },
      runtime: { name: "docker", flags: ["--cpus", "2", "--env", "API_KEY=abc"] },
      agents: {
        claude: {
          env: { VERSION: "1.10", DEBUG: "true", MY_TOKEN: "very-secret" },
          baseUrl: "https://models.example.com/anthropic",
        },
      },
    });
    expect(config.entries()[0]).toEqual({
      key: "default.agent",
      value: "claude",
      source: "file",
      where: "config.yaml:3:10",
    });
    expect(JSON.stringify(config.entries())).not.toMatch(/very-secret|API_KEY=abc/);
    expect(getConfig(config, "agents.claude.env.MY_TOKEN", context).value).toBe("********");
    expect(getConfig(config, "agents.claude.env.VERSION", context).value).toBe("1.10");
    expect(getConfig(config, "agents.claude.env.OTHER", context)).toEqual({
      key: "agents.claude.env.OTHER",
      source: "default",
    });
  });

  test("takes the agents of the base image in any order and form, and their versions", async () => {
    for (const text of ["[my-agent, claude]", "my-agent  claude", '"my-agent,claude,my-agent"']) {
      const config = await load(`image:\n  agents: ${text}\n`);
      expect(config.image.agents).toEqual(["claude", "my-agent"]);
    }
    expect((await load("image:\n  agents: []\n")).image.agents).toEqual([]);
    const fromEnv = await load(full, {
      HEADJACK_IMAGE_AGENTS: "codex",
      HEADJACK_CLAUDE_VERSION: "9.0.1-rc.1",
    });
    expect(fromEnv.image.agents).toEqual(["codex"]);
    expect(fromEnv.agents["claude"]?.version).toBe("9.0.1-rc.1");
    expect(fromEnv.agents["codex"]?.version).toBe(agentVersions["codex"]);
    expect(fromEnv.agents["my-agent"]?.version).toBeUndefined();
  });

  test("prefers the environment, and ignores empty variables", async () => {
    const config = await load(full, {
      HEADJACK_DEFAULT_AGENT: "codex",
      HEADJACK_BASE_IMAGE: "",
      HEADJACK_WORKTREE_DIR: "~/w",
      HEADJACK_LOG_DIR: "/l",
      HEADJACK_RUNTIME: "docker",
      HEADJACK_RUNTIME_FLAGS: " --cpus  2 ",
      HEADJACK_CLAUDE_BASE_URL: "http://127.0.0.1:8080",
      HEADJACK_MY_AGENT_BASE_URL: "http://[::1]:1/",
    });
    expect(config.default.agent).toBe("codex");
    expect(config.default.baseImage).toContain("registry");
    expect(config.storage).toEqual({ worktrees: "/home/ann/w", logs: "/l" });
    expect(config.runtime.flags).toEqual(["--cpus", "2"]);
    expect(config.agents["claude"]?.baseUrl).toBe("http://127.0.0.1:8080");
    expect(config.agents["my-agent"]?.baseUrl).toBe("http://[::1]:1");
    expect(getConfig(config, "storage.logs", context)).toMatchObject({
      source: "environment",
      where: "HEADJACK_LOG_DIR",
    });
    expect(await refusal(load(undefined, { HEADJACK_DEFAULT_AGENT: "cluade" }))).toBe(
      'HEADJACK_DEFAULT_AGENT (environment): expected one of claude, codex, my-agent.\nDid you mean "claude"?',
    );
  });

  test("accepts what the Go version wrote by itself, and aliases, and a byte order mark", async () => {
    const old =
      'default:\n  agent: ""\nruntime:\n  name: docker\n  flags: {}\nagents:\n  codex:\n    env: {}\n';
    const config = await load(`\uFEFF${old}`);
    expect(getConfig(config, "default.agent", context).source).toBe("default");
    expect(config.runtime.flags).toEqual([]);
    const shared = "agents:\n  claude:\n    env: &e {A: x}\n  codex:\n    env: *e\n";
    expect((await load(shared)).agents["codex"]?.env).toEqual({ A: "x" });
    expect((await load("# nothing\ndefault:\n  # agent: codex\n")).default.agent).toBe("claude");
    const odd = await load("agents:\n  claude:\n    env:\n      __proto__: x\n");
    expect(Object.entries(odd.agents["claude"]?.env ?? {})).toEqual([["__proto__", "x"]]);
  });

  test("takes agents of the user's own", async () => {
    const config = await load(own, { HEADJACK_AIDER_ARGS: "--model x" });
    expect(Object.keys(config.agents)).toEqual([...context.agentNames, "aider", "amp"]);
    expect(config.agents["aider"]).toEqual({
      env: { HOME: "{home}" },
      autonomy: "full",
      args: ["--model", "x"],
      custom: { command: ["aider", "--message", "{prompt}"], resume: ["aider", "--restore"] },
    });
    expect(config.agents["amp"]?.custom).toEqual({ command: ["amp", "--jobs", "2"] });
    expect(config.default.agent).toBe("aider");
    expect(getConfig(config, "agents.aider.resume", context)).toMatchObject({
      value: ["aider", "--restore"],
      where: "config.yaml:6:13",
    });
    expect((await load(own, { HEADJACK_DEFAULT_AGENT: "amp" })).default.agent).toBe("amp");
    const keys = config.entries().map((entry) => entry.key);
    expect(keys.filter((key) => key.startsWith("agents.amp."))).toEqual([
      "agents.amp.command",
      "agents.amp.resume",
      "agents.amp.args",
      "agents.amp.env.HOME",
    ]);
  });

  test("reads how long snapshots are kept, and how large one may be", async () => {
    const { snapshots } = await load("snapshots:\n  keep: 2w\n  max: 5\n  max_size: 500m\n");
    expect(snapshots).toEqual({ keepMs: 14 * 24 * 3_600_000, max: 5, maxBytes: 500 * 1024 ** 2 });
    expect((await load("")).snapshots).toEqual({ keepMs: 30 * 24 * 3_600_000, max: 50, maxBytes: 1024 ** 3 });
    expect(await refusal(load("snapshots:\n  max_size: huge\n"))).toContain(
      "snapshots.max_size: expected a size such as 500m or 2g.",
    );
    expect(await refusal(load("snapshots:\n  keep: forever\n"))).toContain(
      "snapshots.keep: expected a time such as 30d, 2w or 12h.",
    );
    expect(await refusal(load("snapshots:\n  max: 0\n"))).toContain(
      "snapshots.max: expected a number from 1 to 9999.",
    );
  });

  test("reads what a container may do and use", async () => {
    const { hardening } = await load(
      "isolation: gvisor\nsecurity:\n  profile: sudo\nlimits:\n  memory: 1.5g\n  cpus: 2\n  pids: 500\n",
    );
    const limits = { memory: 1.5 * 1024 ** 3, cpus: 2, pids: 500 };
    expect(hardening).toEqual({ profile: "sudo", isolation: "gvisor", ...limits });
    expect((await load("")).hardening).toEqual({ profile: "strict", isolation: "container" });
    // A folder's own .envrc must not decide it.
    const env = {
      HEADJACK_SECURITY_PROFILE: "sudo",
      HEADJACK_LIMITS_MEMORY: "1g",
      HEADJACK_ISOLATION: "vm",
    };
    expect((await load(undefined, env)).hardening).toEqual({ profile: "strict", isolation: "container" });
  });

  test.each([
    ["security:\n  profile: root\n", "security.profile: expected one of strict, sudo."],
    ["isolation: docker\n", "isolation: expected one of container, gvisor, vm."],
    ["network:\n  mode: closed\n", "network.mode: expected one of allowlist, open, none."],
    ["network:\n  allow: [https://example.com]\n", "network.allow: expected names of hosts"],
    ["network:\n  allow: [10.0.0.1]\n", "network.allow: expected names of hosts"],
    ['network:\n  allow: ["*.com"]\n', "network.allow: expected names of hosts"],
    ['network:\n  allow: ["example.com:70000"]\n', "network.allow: expected names of hosts"],
    ["limits:\n  memory: 8\n", "limits.memory: expected a size from 64m, such as 512m or 8g."],
    ["limits:\n  memory: 1m\n", "limits.memory: expected a size from 64m"],
    ["limits:\n  cpus: 0\n", "limits.cpus: expected a number from 0.1"],
    ["limits:\n  pids: 1.5\n", "limits.pids: expected a whole number from 32"],
    ["limits:\n  pids: 99999999\n", "limits.pids: expected a whole number"],
  ])("refuses %p", async (text, expected) => {
    expect(await refusal(load(text))).toContain(expected);
  });

  test("reads how the user is told of things", async () => {
    const { notify } = await load(
      "notify:\n  waiting: [bell, desktop, bell]\n  done: []\n  failed: command\n  command: ~/bin/tell --port 5\n",
    );
    expect(notify).toEqual({
      waiting: ["desktop", "bell"],
      done: [],
      failed: ["command"],
      command: ["/home/ann/bin/tell", "--port", "5"],
    });
    const words = "notify:\n  command: [sh, -c, 'echo $HJK_EVENT', 1]\n";
    expect((await load(words)).notify.command).toEqual(["sh", "-c", "echo $HJK_EVENT", "1"]);
    expect((await load("notify:\n  command: []\n")).notify.command).toEqual([]);
  });

  test.each([
    [
      "waiting: [bell, dekstop]",
      'config.yaml:2:12: notify.waiting: expected a list out of desktop, bell, command.\nDid you mean "desktop"?',
    ],
    ["done: never", "notify.done: expected a list out of desktop, bell, command."],
    [
      "command: bin/tell",
      "config.yaml:2:12: notify.command: expected a program by its name or its absolute path",
    ],
    ["command: --tell", "the first of them a program."],
    ["failure: []", 'unknown key "notify.failure".'],
  ])("refuses to tell by %p", async (text, expected) => {
    expect(await refusal(load(`notify:\n  ${text}\n`))).toContain(expected);
  });

  test.each([
    [
      "command: []",
      "config.yaml:3:14: agents.own.command: expected a list of words, the first of them a pro",
    ],
    ["command: --yes", "agents.own.command: expected a list of words, the first of them a program."],
    ['command: ["{prompt}"]', "the first of them a program."],
    ["command: own -m 'a b'", "agents.own.command: expected words without quotes"],
    ["command: {a: b}", "agents.own.command: expected a list of texts, found a section."],
    ["command:", "config.yaml:3:13: agents.own.command: expected a list of texts, found nothing."],
    ["command: own\n    resume: []", "config.yaml:4:13: agents.own.resume: expected a list of words"],
    [
      "resume: own",
      'config.yaml:2:3: unknown key "agents.own".\nAn agent of your own needs agents.own.command',
    ],
    [
      "command: own\n    base_url: https://x",
      'config.yaml:4:5: unknown key "agents.own.base_url".\nHow own is told of that only you know',
    ],
    ["command: own\n    autonomy: ask", "put it into its command, or into agents.own.env."],
    ["command: own\n    comand: x", 'Did you mean "agents.own.command"?'],
    ["command: own\n    env: {A-B: x}", "expected a variable's name"],
  ])("refuses an agent with %p", async (text, expected) => {
    expect(await refusal(load(`agents:\n  own:\n    ${text}\n`))).toContain(expected);
  });

  test.each(["Own", "shell", "my_agent", "-x", "a b", "__proto__", `a${"b".repeat(32)}`])(
    "refuses an agent named %p",
    async (name) => {
      expect(await refusal(load(`agents:\n  "${name}": {command: x}\n`))).toContain(
        `agents.${name}.command: expected an agent's name of lower-case letters, digits and dashes`,
      );
    },
  );

  test("keeps the command of a built-in agent", async () => {
    const said = await refusal(load("agents:\n  claude:\n    command: claude --verbose\n"));
    expect(said).toBe(
      'config.yaml:3:5: unknown key "agents.claude.command".\n' +
        "Headjack knows how to start claude; further arguments of it go into agents.claude.args.",
    );
  });

  test.each([
    [
      "default:\n  agnet: claude\n",
      'config.yaml:2:3: unknown key "default.agnet".\nDid you mean "default.agent"?',
    ],
    ["defualt:\n  agent: x\n", 'config.yaml:1:1: unknown key "defualt".\nDid you mean "default"?'],
    ["default.agent: claude\n", 'config.yaml:1:1: unknown key "default.agent".\nA dot is no section in YAML'],
    ["default:\n  baseImage: x\n", 'unknown key "default.baseImage".\nDid you mean "default.base_image"?'],
    [
      "image:\n  agents: [claude, cluade]\n",
      "image.agents: expected a list of agents, each one of claude, codex, my-",
    ],
    [
      "agents:\n  claude:\n    version: latest\n",
      "claude.version: expected one exact version, such as 1.2.3.",
    ],
    ["agents:\n  claude:\n    version: ^1.2.3\n", "expected one exact version"],
    ["agents:\n  claude:\n    version: 1.2.3 --registry=x\n", "expected one exact version"],
    ["agents:\n  claude:\n    version: 1.2\n", "expected a text, found a number"],
    ["agents:\n  my-agent:\n    version: 1.2.3\n", 'unknown key "agents.my-agent.version"'],
    ["storage:\n  catalog: /x\n", "config.yaml:2:3: unknown key"],
    ["agents:\n  cluade: {}\n", 'unknown key "agents.cluade".\nDid you mean "agents.claude"?'],
    ["__proto__: 1\n", 'config.yaml:1:1: unknown key "__proto__".\nKnown keys: default.agent,'],
    ["default:\n  agent: gpt\n", "config.yaml:2:10: default.agent: expected one of claude, codex, my-agent."],
    [
      "default:\n  agent: 3\n",
      "config.yaml:2:10: default.agent: expected a text, found a number.\nPut it in quotes.",
    ],
    ["default:\n  agent:\n", "default.agent: expected a text, found nothing."],
    ["default: claude\n", "config.yaml:1:10: default: expected a section of keys, found a string."],
    [
      "default:\n  base_image: --privileged\n",
      "config.yaml:2:15: default.base_image: expected the name of an image",
    ],
    ["storage:\n  logs: logs\n", "config.yaml:2:9: storage.logs: expected an absolute path."],
    ["storage:\n  logs: ~bob/x\n", "expected an absolute path."],
    ["runtime:\n  name: podmn\n", 'config.yaml:2:9: runtime.name: expected "docker".'],
    ["runtime:\n  flags: --label 'a b'\n", "expected flags without quotes"],
    ["runtime:\n  flags: ' [--memory, 4g]'\n", 'As in: hjk config runtime.flags -- "--memory 4g".'],
    [
      "runtime:\n  flags: [--a, [b]]\n",
      "config.yaml:2:16: runtime.flags: expected a text in the list, found a list.",
    ],
    [
      "runtime:\n  flags: {a: b}\n",
      "config.yaml:2:10: runtime.flags: expected a list of texts, found a section.",
    ],
    ["agents:\n  claude:\n    env:\n      A-B: x\n", "expected a variable's name"],
    [
      "agents:\n  claude:\n    env:\n      A: [x]\n",
      "config.yaml:4:10: agents.claude.env.A: expected a text, found a list",
    ],
    [
      "agents:\n  claude:\n    base_url: ftp://x\n",
      "config.yaml:3:15: agents.claude.base_url: expected an address such",
    ],
    ["agents:\n  claude:\n    base_url: https://u:hunter2@x/\n", "without a user name or password in it"],
    ["agents:\n  claude:\n    base_url: https://x/?key=hunter2\n", "without `?` or `#`"],
    [
      "agents:\n  claude:\n    env:\n      K: 'hunter2' hunter2\n",
      "config.yaml:4:20: something does not belong here",
    ],
    [
      "default:\n  agent: claude\n  agent: codex\n",
      "config.yaml:3:3: this key is there twice in its section.",
    ],
    ["default:\n\tagent: claude\n", "config.yaml:2:1: a tab is used to indent"],
    ["a: 'x\n", "a character such as a closing quote, bracket or colon is missing"],
    ["- a\n- b\n", "config.yaml:1:1: the file: expected a section of keys, found a list."],
    ["just text\n", "config.yaml:1:1: the file: expected a section of keys, found a string."],
    ["default: *nowhere\n", "config.yaml:1:10: this alias has no anchor above it."],
    ["? [a]\n: b\n", "config.yaml:1:3: expected a key that is a text."],
    ["1: b\n", "config.yaml:1:1: expected a key that is a text."],
    ["---\na: b\n---\nc: d\n", "begins a second document"],
    [new Uint8Array([0x61, 0x3a, 0xff]), "config.yaml is not valid UTF-8 text."],
    ["#".repeat(1024 * 1024 + 1), "config.yaml is larger than 1 MB"],
    ["[".repeat(20_000), "nested too deeply"],
  ])("refuses %p", async (text, expected) => {
    const said = await refusal(load(text));
    expect(said).toContain(expected);
    expect(said).not.toContain("hunter2");
  });

  test("refuses what is no readable file", async () => {
    const folder = join(root, "folder");
    await mkdir(join(folder, "config.yaml"), { recursive: true });
    expect(await refusal(loadConfig({ file: join(folder, "config.yaml"), env: {}, ...context }))).toContain(
      "is not a file",
    );
    const pipe = join(root, "pipe");
    await Bun.spawn(["mkfifo", pipe]).exited;
    expect(await refusal(loadConfig({ file: pipe, env: {}, ...context }))).toContain("is not a file");
  });

  test.skipIf(process.getuid?.() === 0)("says when permission is missing", async () => {
    const file = await fileWith(root, "");
    chmodSync(file, 0o000);
    expect(await refusal(loadConfig({ file, env: {}, ...context }))).toContain("permission denied");
  });
});
