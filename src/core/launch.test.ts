import { expect, test } from "bun:test";
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
