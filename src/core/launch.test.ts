import { describe, expect, test } from "bun:test";
import { claude } from "../agents/claude.ts";
import { gemini } from "../agents/gemini.ts";
import { agentProgram } from "./launch.ts";

const request = { instructions: "", autonomy: "full" as const, args: [] };
const home = "/hjk/state/1";

test("a credential among the user's own variables comes by its delivery only", () => {
  const environment = { ANTHROPIC_API_KEY: "k", ANTHROPIC_MODEL: "opus", IS_SANDBOX: "0" };
  const credential = { environment: { HJK_ANTHROPIC_API_KEY: "k" }, args: ["--settings", "{}"] };
  const program = agentProgram(claude, { ...request, args: ["--model", "opus"], environment, credential })(
    home,
  );
  expect(program.environment).toEqual({
    ...claude.env(home),
    ANTHROPIC_MODEL: "opus",
    IS_SANDBOX: "0",
    HJK_ANTHROPIC_API_KEY: "k",
  });
  expect(program.command.slice(-4)).toEqual(["--settings", "{}", "--model", "opus"]);
});

test("the home stands where the user's own variables name it", () => {
  const environment = { HOME: "{home}", LOG: "{home}/log", TEXT: "{prompt}" };
  const credential = { environment: {}, args: [] };
  const program = agentProgram(claude, { ...request, environment, credential })(home);
  expect(program.environment).toMatchObject({ HOME: home, LOG: `${home}/log`, TEXT: "{prompt}" });
});

test("an empty variable does not hide the credential", () => {
  const credential = { environment: { GEMINI_API_KEY: "k" }, args: [] };
  const program = agentProgram(gemini, { ...request, environment: { GEMINI_API_KEY: "" }, credential })(home);
  expect(program.environment["GEMINI_API_KEY"]).toBe("k");
});

describe("behind a gateway", () => {
  const gateway = { token: "hjk-token", subnet: 1, allow: [] };
  const credential = {
    environment: { CLAUDE_CODE_OAUTH_TOKEN: "real" },
    args: [],
    throughGateway: { variable: "CLAUDE_CODE_OAUTH_TOKEN", args: [] },
  };

  test("an agent has the gateway's token and address, and no credential of whatever kind", () => {
    const environment = {
      ANTHROPIC_API_KEY: "real",
      CLAUDE_CODE_OAUTH_TOKEN: "real",
      ANTHROPIC_MODEL: "opus",
    };
    const baseUrl = "https://models.example.com";
    const program = agentProgram(claude, { ...request, baseUrl, environment, credential })(home, gateway);
    expect(program.environment).toMatchObject({
      ANTHROPIC_BASE_URL: "http://hjk-gateway:8080/claude",
      CLAUDE_CODE_OAUTH_TOKEN: "hjk-token",
      ANTHROPIC_MODEL: "opus",
    });
    expect(JSON.stringify(program)).not.toContain("real");
    expect(program.exposed).toBe(false);
  });

  test("what it holds itself is said to be so", () => {
    const started = (environment: Record<string, string>, held: boolean): boolean | undefined => {
      const { throughGateway, ...direct } = credential;
      const how = held ? { ...direct, throughGateway } : direct;
      return agentProgram(claude, { ...request, environment, credential: how })(home, gateway).exposed;
    };
    expect(started({}, true)).toBe(false);
    expect(started({}, false)).toBe(true);
    expect(started({ MY_DATABASE_PASSWORD: "x" }, true)).toBe(true);
    expect(started({ MAX_THINKING_TOKENS: "1000" }, true)).toBe(false);
    // Without a gateway it can be nowhere else.
    expect(agentProgram(claude, { ...request, environment: {}, credential })(home).exposed).toBe(true);
  });
});
