import { describe, expect, test } from "bun:test";
import {
  childEnvironment,
  ProcessError,
  run,
  runStreaming,
  runUnchecked,
  shellQuote,
  type RunOptions,
} from "./process.ts";

const env = { PATH: process.env["PATH"] };
const sh = (script: string): string[] => ["sh", "-c", script];

async function failure(command: string[], options: Partial<RunOptions> = {}): Promise<ProcessError> {
  const error: unknown = await run(command, { env, ...options }).catch((reason: unknown) => reason);
  if (error instanceof ProcessError) return error;
  throw new Error(`no ProcessError but ${String(error)}`);
}

describe("run", () => {
  test("gives back output, exit code and signal", async () => {
    expect(await run(sh("echo out; echo err >&2"), { env })).toEqual({
      code: 0,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect(await runUnchecked(sh("exit 7"), { env })).toMatchObject({ code: 7 });
    expect(await runUnchecked(sh("kill -9 $$"), { env })).toMatchObject({ code: 137 });
    expect(await runUnchecked(sh("kill -TERM $$"), { env })).toMatchObject({ code: 143 });
  });

  test("passes input, folder and exactly the given environment", async () => {
    const text = "ä".repeat(100_000);
    expect((await run(["cat"], { env, input: text })).stdout === text).toBe(true);
    const seen = await run(["env"], { env: { ...env, A: "1", B: undefined }, cwd: "/" });
    expect(seen.stdout.split("\n").toSorted().join("|")).toContain("|A=1|");
    expect(seen.stdout).not.toContain("HOME=");
    expect(seen.stdout).not.toMatch(/^B=/m);
    expect((await run(["pwd"], { env, cwd: "/usr" })).stdout).toBe("/usr\n");
  });

  test("does not cut characters that two reads share", async () => {
    const { stdout } = await run(sh("printf '\\303'; sleep 0.1; printf '\\244'"), { env });
    expect(stdout).toBe("ä");
  });

  test("a failure names the program and its last words", async () => {
    const error = await failure(sh("seq 1 9 >&2; exit 3"));
    expect(error).toMatchObject({ reason: "exit", result: { code: 3 } });
    expect(error.message).toBe("sh exited with code 3: 5\n6\n7\n8\n9");
  });

  test("last words are short, however much was said", async () => {
    const error = await failure(sh("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3"));
    expect(error.message.length).toBeLessThan(3000);
  });

  test("a program that is missing and a folder that is missing are two things", async () => {
    expect(await failure(["hjk-no-such-program"])).toMatchObject({
      reason: "not-installed",
      message: "hjk-no-such-program is not installed",
    });
    const error: unknown = await run(["true"], { env, cwd: "/no/such/folder" }).catch(
      (reason: unknown) => reason,
    );
    expect(String(error)).toContain("/no/such/folder");
    expect(error).not.toMatchObject({ reason: "not-installed" });
  });

  test("ends what takes too long, also what ignores being asked", async () => {
    expect(await failure(["sleep", "60"], { timeoutMs: 100 })).toMatchObject({ reason: "timeout" });
    expect(await failure(sh("trap '' TERM; while :; do sleep 0.1; done"), { timeoutMs: 100 })).toMatchObject({
      reason: "timeout",
    });
  }, 20_000);

  test("ends it also when its children hold the output open", async () => {
    const started = Date.now();
    expect(await failure(sh("sleep 30 & wait"), { timeoutMs: 100 })).toMatchObject({ reason: "timeout" });
    expect(Date.now() - started).toBeLessThan(15_000);
  }, 40_000);

  test("ends what says too much, and keeps no more than it may", async () => {
    const error = await failure(["yes"], { maxOutputBytes: 100_000 });
    expect(error.reason).toBe("output-limit");
    expect(error.result.stdout.length).toBeLessThanOrEqual(100_000);
    expect(await failure(sh("yes >&2"), { maxOutputBytes: 100_000 })).toMatchObject({
      reason: "output-limit",
    });
  });

  test("stops at a signal, before and during", async () => {
    const given = new AbortController();
    setTimeout(() => given.abort(), 100);
    expect(await failure(["sleep", "60"], { signal: given.signal })).toMatchObject({ reason: "aborted" });
    expect(await failure(["sleep", "60"], { signal: given.signal })).toMatchObject({ reason: "aborted" });
  });
});

test("runStreaming passes output on while the program runs, and its exit code", async () => {
  const seen: string[] = [];
  const code = await runStreaming(sh("echo a; sleep 0.2; echo b >&2; exit 4"), {
    env,
    onOutput: (chunk, stream) => {
      seen.push(`${stream} ${new TextDecoder().decode(chunk).trim()}`);
    },
  });
  expect(code).toBe(4);
  expect(seen).toEqual(["stdout a", "stderr b"]);
});

test("children do not get what would steer git or a Bun program", () => {
  const kept = { PATH: "/bin", GIT_AUTHOR_NAME: "Ann", GIT_SSH_COMMAND: "ssh -i key", BUN_INSTALL: "/x" };
  const dropped = {
    GIT_DIR: "/x",
    GIT_WORK_TREE: "/x",
    GIT_INDEX_FILE: "/x",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_PARAMETERS: "'core.hooksPath=x'",
    BUN_OPTIONS: "--preload=x",
    BUN_BE_BUN: "1",
  };
  expect(childEnvironment({ ...kept, ...dropped })).toEqual(kept);
});

test("what is dropped is what git calls local to a repository", async () => {
  const { stdout } = await run(["git", "rev-parse", "--local-env-vars"], { env });
  const names = stdout.trim().split("\n");
  expect(childEnvironment(Object.fromEntries(names.map((name) => [name, "x"])))).toEqual({});
});

test("quoting for a shell survives everything", async () => {
  const words = [
    "",
    "plain",
    "a b",
    "$(id)",
    "`id`",
    "it's",
    '"',
    "\\",
    "a\nb",
    "*",
    "-n",
    "ä",
    "~",
    "a;b",
    "#x",
  ];
  const { stdout } = await run(sh(`printf '%s\\0' ${words.map(shellQuote).join(" ")}`), { env });
  expect(stdout.split("\0").slice(0, -1)).toEqual(words);
});
