import { describe, expect, test } from "bun:test";
import { isAbsolute, normalize } from "node:path";
import type { CredentialKind } from "./agent.ts";
import { claude } from "./claude.ts";
import { codex } from "./codex.ts";
import { agents, findAgent } from "./index.ts";

const instructions = 'You are on a branch of your own.\nSay "done" at the end.';

const request = { instructions, home: "/a/home", autonomy: "full" } as const;

/** Prompts that a command line could take for something else. */
const trickyPrompts = [
  "-x",
  "--help",
  "--",
  "first line\n\nsecond line",
  'a "quoted" $(id) `id` \\ word',
  "--settings={}",
  "ünïcode 🙂",
];

const kinds: CredentialKind[] = ["subscription", "api-key"];

test("names are found, and no two agents share one", () => {
  expect(new Set(agents.map((agent) => agent.name)).size).toBe(agents.length);
  for (const agent of agents) expect(findAgent(agent.name)).toBe(agent);
  expect(findAgent("nobody")).toBeUndefined();
});

describe.each(agents.map((agent) => [agent.name, agent] as const))("%s", (_name, agent) => {
  test.each(trickyPrompts)("takes %j as its prompt and as nothing else", (prompt) => {
    const argv = agent.command({ ...request, prompt });
    const last = argv.at(-1);
    const option = /^--(?:prompt|interactive|prompt-interactive)=/.exec(last ?? "")?.[0];
    const guarded = argv.at(-2) === "--" ? last === prompt : last === `${option}${prompt}`;
    expect(guarded).toBe(true);
    // Beside the prompt nothing changes, so no part of it can have become an option.
    const rest = agent.command({ ...request, prompt: "harmless" }).slice(0, -1);
    expect(argv.slice(0, -1)).toEqual(rest);
  });

  test("puts further arguments before the prompt", () => {
    const argv = agent.command({ ...request, prompt: "do it", args: ["--extra", "1"] });
    const promptAt = argv.findIndex((word) => word === "--" || /^--(?:prompt|interactive)/.test(word));
    expect(argv.indexOf("--extra")).toBeGreaterThan(0);
    expect(argv.indexOf("1")).toBeLessThan(promptAt);
  });

  test("starts without a prompt", () => {
    const argv = agent.command(request);
    expect(argv[0]).toBe(agent.name);
    expect(argv).not.toContain("--");
    expect(argv.join(" ")).not.toContain("undefined");
  });

  test("keeps its state in its home", () => {
    const folders = Object.values(agent.env("/a/home")).filter(isAbsolute);
    expect(folders.length).toBeGreaterThan(0);
    for (const folder of folders) expect(`${folder}/`).toStartWith("/a/home/");
    for (const { path } of agent.seed({ instructions })) {
      expect(isAbsolute(path) || normalize(path).startsWith("..")).toBe(false);
    }
  });

  test("seeds files that parse", () => {
    for (const { path, content } of agent.seed({ instructions })) {
      if (path.endsWith(".json")) expect(JSON.parse(content)).toBeObject();
      if (path.endsWith(".toml")) expect(Bun.TOML.parse(content)).toBeObject();
      expect(content.endsWith("\n")).toBe(true);
    }
  });

  test("hands its instructions on", () => {
    const seeded = agent.seed({ instructions }).some(({ content }) => content.includes(instructions));
    expect(seeded || agent.command(request).includes(instructions)).toBe(true);
  });

  test("says how to get and deliver each kind of credential that it takes", () => {
    expect(agent.hostEnv.length).toBeGreaterThan(0);
    for (const { kind } of agent.hostEnv) expect(agent.credentials[kind]).toBeDefined();
    for (const kind of kinds) {
      expect(agent.authHelp[kind] === undefined).toBe(agent.credentials[kind] === undefined);
    }
  });
});

test("claude's key goes by a variable that raises no dialog, and no argument holds it", () => {
  const delivery = claude.credentials["api-key"];
  expect(delivery?.env).not.toBe("ANTHROPIC_API_KEY");
  const settings: unknown = JSON.parse(delivery?.args?.[1] ?? "");
  expect(settings).toEqual({ apiKeyHelper: `printenv ${delivery?.env}` });
});

test("codex's base URL names the provider that its seed selects, quoted for TOML", () => {
  const args = codex.baseUrl('http://gate"way:8080/v1').args ?? [];
  const override: unknown = Bun.TOML.parse(args[1] ?? "");
  const config: unknown = Bun.TOML.parse(codex.seed({ instructions })[0]?.content ?? "");
  expect(args[0]).toBe("-c");
  expect(config).toHaveProperty("model_provider", "headjack");
  expect(config).toHaveProperty("model_providers.headjack.env_key", codex.credentials["api-key"]?.env);
  expect(override).toEqual({ model_providers: { headjack: { base_url: 'http://gate"way:8080/v1' } } });
});
