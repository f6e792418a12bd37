import { expect, test } from "bun:test";
import { customAgent } from "./custom.ts";

const request = { instructions: "Be brief.", home: "/a/home", autonomy: "full" } as const;

test.each([
  [["aider", "--yes", "--message", "{prompt}"], "do it", "aider|--yes|--message|do it"],
  [["aider", "--yes", "--message", "{prompt}"], undefined, "aider|--yes"],
  [["qwen", "--prompt={prompt}", "--yolo"], "-x", "qwen|--prompt=-x|--yolo"],
  [["qwen", "--prompt={prompt}", "--yolo"], undefined, "qwen|--yolo"],
  // An option that comes before a whole word with more in it is one of its own.
  [["crush", "run", "-q", "Task: {prompt}"], undefined, "crush|run|-q"],
  [["tool", "--", "{prompt}"], undefined, "tool"],
  [["tool", "{prompt}", "--log={home}/log"], undefined, "tool|--log=/a/home/log"],
  [["tool", "--system", "{instructions}"], "do it", "tool|--system|Be brief."],
  [["tool", "{prompt}"], "{home} {instructions} $& {prompt}", "tool|{home} {instructions} $& {prompt}"],
  [["tool", "{other}", "${x}"], undefined, "tool|{other}|${x}"],
])("%j with the prompt %j", (command, prompt, expected) => {
  const agent = customAgent({ name: "mine", command });
  const argv = agent.command({ ...request, ...(prompt === undefined ? {} : { prompt }) });
  expect(argv.join("|")).toBe(expected);
});

test("goes on with its last conversation by its own command", () => {
  const agent = customAgent({ name: "mine", command: ["a", "{prompt}"], resume: ["a", "-c", "{home}"] });
  expect(agent.resumesLast).toBe(true);
  expect(agent.command({ ...request, resume: "", args: ["--x"] })).toEqual(["a", "-c", "/a/home", "--x"]);
  expect(customAgent({ name: "mine", command: ["a"] }).resumesLast).toBeUndefined();
});

test("tells when it can take no prompt", () => {
  expect(customAgent({ name: "mine", command: ["amp"] }).promptless).toBe(true);
  expect(customAgent({ name: "mine", command: ["amp", "-x={prompt}"] }).promptless).toBeUndefined();
});
