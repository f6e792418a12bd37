import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { eventually, ModelStub, runProgram, Sandbox, Terminal } from "../support/harness.ts";
import { CompanyProxy } from "../support/gateway/upstream-proxy.ts";

/* The agents and their credentials: how a key is stored, that it arrives at the model, and nowhere else. */

setDefaultTimeout(90_000);

let stub: ModelStub;
let sandbox: Sandbox;
/** Points the agents at the stand-in; nothing about credentials is configured. */
let model: Record<string, string>;

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create();
  model = {
    HEADJACK_CLAUDE_BASE_URL: stub.url,
    HEADJACK_CODEX_BASE_URL: `${stub.url}/v1`,
    HEADJACK_GEMINI_BASE_URL: stub.url,
  };
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

/** A credential that is nowhere else, so that every place it turns up in is a leak. */
function newSecret(kind: string): string {
  return `sk-ant-${kind}-${crypto.randomUUID()}`;
}

/** Headers of the newest request for an answer whose prompt holds the words. */
async function headersFor(words: string): Promise<Record<string, string>> {
  let headers: Record<string, string> | undefined;
  await eventually(
    async () => {
      const found = (await stub.requests()).findLast((request) => request.prompt?.includes(words) === true);
      headers = found?.headers;
      return headers !== undefined;
    },
    `the model is asked: ${words}`,
    60_000,
  );
  return headers ?? {};
}

/** Waits until an agent's commit has come home, which any look at it sees to. */
async function committed(branch: string, subject: string): Promise<void> {
  await eventually(
    async () => {
      await sandbox.ok(["ps"]);
      return (await sandbox.git("log", "--format=%s", branch)).split("\n").includes(subject);
    },
    async () => `${branch} has the commit "${subject}"; its log:\n${await sandbox.ok(["logs", branch])}`,
    60_000,
  );
}

/** Files below a folder that hold a text. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const found = await runProgram(["grep", "-rlaF", "-e", text, "--", folder]);
  return found.stdout.split("\n").filter((line) => line !== "");
}

/** Command lines and environments of all processes of this machine, those in containers included. */
async function processesWith(part: "cmdline" | "environ", text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const content = await Bun.file(`/proc/${pid}/${part}`)
      .text()
      .catch(() => "");
    if (!content.includes(text)) continue;
    const command = await Bun.file(`/proc/${pid}/cmdline`)
      .text()
      .catch(() => "");
    found.push(command.replaceAll("\0", " ").slice(0, 80));
  }
  return found;
}

describe("without a credential", () => {
  for (const agent of ["claude", "codex", "gemini"]) {
    test(`${agent} is refused with what to do, and nothing is made`, async () => {
      const result = await sandbox.hjk(["run", "feat/none", "--agent", agent, "-d", "Do it"]);
      expect(result).toMatchObject({ code: 4, stdout: "" });
      expect(result.stderr).toContain("has no credential yet");
      expect(result.stderr).toContain(`hint: Store one: hjk auth ${agent}`);
      expect(result.stderr).toMatch(/hint: Or set [A-Z_]+_(KEY|TOKEN)/);
      expect(await sandbox.instances()).toEqual([]);
      expect(await sandbox.git("branch", "--list", "feat/none")).toBe("");
      expect(await sandbox.git("worktree", "list", "--porcelain")).not.toContain("none");
    });
  }

  test("but with a model API of the user's own it starts, and says so", async () => {
    const result = await sandbox.hjk(["run", "feat/keyless", "--agent", "claude", "-d"], { env: model });
    expect(result).toMatchObject({
      code: 0,
      stderr: `warning: Claude Code has no credential; ${stub.url} must serve it without one.\n`,
    });
    await sandbox.ok(["rm", "-f", "feat/keyless"]);
  });
});

describe("hjk auth", () => {
  test("takes a key from a pipe and stores it where it cannot be read", async () => {
    const secret = newSecret("api03");
    const ambiguous = await sandbox.hjk(["auth", "claude"], { input: `${secret}\n` });
    expect(ambiguous.code).toBe(2);
    expect(ambiguous.stderr).toContain("--subscription or --api-key");
    const stored = await sandbox.hjk(["auth", "claude", "--api-key"], { input: `${secret}\n`, env: model });
    expect(stored).toMatchObject({ code: 0, stdout: "Credentials stored securely.\n" });
    expect(stored.stderr).toStartWith(`API key accepted by the provider, ${new URL(stub.url).host}.\n`);
    const asked = (await stub.requests()).find((request) => request.headers["x-api-key"] === secret);
    expect(asked).toMatchObject({ method: "GET", url: "/v1/models?limit=1" });
    expect(stored.stderr).not.toContain(secret);
    expect(await sandbox.ok(["auth", "claude", "--status"])).toMatch(/^claude: api key, encrypted file /);
    expect(await filesWith(sandbox.folder, secret)).toEqual([]);
    expect(await sandbox.ok(["auth", "claude", "--remove"])).toBe("Removed the credential of claude.\n");
    expect((await sandbox.hjk(["auth", "claude", "--status"])).code).toBe(4);
  });

  test("has the provider judge it: what that refuses is not stored, unless the user wants it so", async () => {
    const revoked = { claude: newSecret("api03-revoked"), codex: newSecret("revoked"), gemini: "revoked" };
    for (const agent of ["claude", "codex", "gemini"] as const) {
      const args = ["auth", agent, "--api-key"];
      const refused = await sandbox.hjk(args, { input: revoked[agent], env: model });
      expect(refused).toMatchObject({ code: 4, stdout: "" });
      expect(refused.stderr).toContain("API key refused by the provider, ");
      expect(refused.stderr).toContain("(401); nothing was stored.");
      expect(refused.stderr).not.toContain(revoked[agent]);
      expect((await sandbox.hjk(["auth", agent, "--status"])).code).toBe(4);
      const before = (await stub.requests()).length;
      await sandbox.ok([...args, "--no-check"], { input: revoked[agent], env: model });
      expect((await stub.requests()).length).toBe(before);
      await sandbox.ok(["auth", agent, "--remove"]);
    }
  });

  test("asks by way of the user's proxy", async () => {
    const { hostname, port } = new URL(stub.url);
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) =>
        await fetch(`http://${hostname}:${port}${new URL(request.url).pathname}`, request),
    });
    using proxy = await CompanyProxy.start({ "models.example.test:80": server.port ?? 0 });
    const url = `http://127.0.0.1:${proxy.port}`;
    for (const env of [{ HTTP_PROXY: url }, {}]) {
      if (Object.keys(env).length === 0) await sandbox.ok(["config", "network.proxy", url]);
      const stored = await sandbox.hjk(["auth", "claude", "--api-key"], {
        input: newSecret("api03"),
        env: { HEADJACK_CLAUDE_BASE_URL: "http://models.example.test", ...env },
      });
      expect(stored.stderr).toStartWith("API key accepted by the provider, models.example.test.\n");
    }
    const asked = "GET http://models.example.test/v1/models?limit=1 HTTP/1.1";
    expect(proxy.asked).toEqual([asked, asked]);
    await sandbox.ok(["config", "--unset", "network.proxy"]);
    await sandbox.ok(["auth", "claude", "--remove"]);
    await server.stop(true);
  });

  test("stores what could not be checked, and says why not", async () => {
    const stored = await sandbox.hjk(["auth", "claude", "--subscription"], {
      input: newSecret("oat01"),
      // Reserved for nobody to listen at.
      env: { ...model, HEADJACK_CLAUDE_BASE_URL: "http://127.0.0.1:1" },
    });
    expect(stored).toMatchObject({ code: 0, stdout: "Credentials stored securely.\n" });
    expect(stored.stderr).toStartWith("warning: Subscription could not be checked with 127.0.0.1:1: ");
    await sandbox.ok(["auth", "claude", "--remove"]);
  });

  test("asks at a terminal which kind it is, and shows nothing of what is typed", async () => {
    const terminal = await Terminal.open(sandbox, { env: model });
    const bytes = await terminal.tap();
    for (const [choice, kind, prompt] of [
      ["1", "oat01", "Subscription (not shown):"],
      ["2", "api03", "API key (not shown):"],
    ] as const) {
      const secret = newSecret(kind);
      await terminal.clear();
      await terminal.type("hjk auth claude");
      const menu = await terminal.waitFor("Choose [1-2]:");
      expect(menu).toContain("1. Subscription\n  2. API key");
      await terminal.type(choice);
      await terminal.waitFor(prompt);
      const { code, screen } = await terminal.ends(() => terminal.type(secret));
      expect(code).toBe(0);
      expect(screen).toEndWith("\nCredentials stored securely.");
      expect(await bytes()).not.toContain(secret.slice(-12));
    }
    // The same look at the same bytes sees what is shown.
    await terminal.run("echo shown-for-comparison");
    expect(await bytes()).toContain("shown-for-comparison");
    await terminal.clear();
    await terminal.type("hjk auth claude");
    await terminal.waitFor("Choose [1-2]:");
    await terminal.type("2");
    await terminal.waitFor("(not shown):");
    const left = await terminal.ends(() => terminal.press("C-c"));
    expect(left.code).toBe(130);
    expect(left.screen).toContain("Interrupted.");
    // The terminal echoes again.
    expect((await terminal.run("echo back")).screen).toContain("back");
    expect(await sandbox.ok(["auth", "claude", "--status"])).toContain("api key");
    await terminal.close();
  });
});

describe("Claude Code", () => {
  test("works with the stored API key, which is seen nowhere: only its gateway has it", async () => {
    const secret = newSecret("api03");
    await sandbox.ok(["auth", "claude", "--api-key"], { input: secret, env: model });
    // Process lists are looked at over and over while the session starts, not only afterwards.
    const watching = new AbortController();
    const seen = new Set<string>();
    const watch = (async () => {
      while (!watching.signal.aborted) {
        for (const command of await processesWith("cmdline", secret)) seen.add(command);
        await Bun.sleep(5);
      }
    })();
    const output = await sandbox.ok(["run", "feat/key", "--agent", "claude", "-d", "REPLY: key taken"], {
      env: model,
    });
    expect(output).toMatch(/^Created instance .*\nCreated session .* \(detached\)\n$/);
    const headers = await headersFor("key taken");
    watching.abort();
    await watch;
    expect(headers["x-api-key"]).toBe(secret);

    const instance = await sandbox.instance("feat/key");
    const inspected = await runProgram(["docker", "inspect", instance.container]);
    expect(inspected.stdout).toContain("HEADJACK_BRANCH=feat/key");
    expect(inspected.stdout).not.toContain(secret);
    expect([...seen]).toEqual([]);
    expect(await processesWith("cmdline", "key taken")).not.toEqual([]);
    // Neither the agent's own processes have it nor tmux nor the engine's client.
    expect(await processesWith("environ", "HEADJACK_BRANCH=feat/key")).not.toEqual([]);
    expect(await processesWith("environ", secret)).toEqual([]);
    const tmux = ["tmux", "-S", join(sandbox.folder, "hjk", "data", "run", "tmux")];
    const global = await runProgram([...tmux, "show-environment", "-g"]);
    const own = await runProgram([
      ...tmux,
      "show-environment",
      "-t",
      `=${instance.id}/${instance.sessions[0]?.name}`,
    ]);
    expect(global.stdout).toContain("PATH=");
    expect(global.stdout + own.stdout).not.toContain(secret);
    // Its conversation is kept in the state folder, so a look for it finds files; the key is in none.
    await eventually(
      async () => (await sandbox.ok(["logs", "feat/key"])).includes("OK, got: key taken"),
      "the agent shows the answer",
    );
    expect(await filesWith(join(sandbox.folder, "hjk", "data", "instances"), "key taken")).not.toEqual([]);
    expect(await filesWith(sandbox.folder, secret)).toEqual([]);
    expect(await sandbox.ok(["logs", "feat/key", "--raw"])).not.toContain(secret);
    expect(await runProgram(["docker", "diff", instance.container])).toMatchObject({ code: 0 });
    const inside = await sandbox.inside(
      "feat/key",
      ["grep", "-rlaF", secret, "/home", "/tmp", "/hjk", "/workspace"],
      "root",
    );
    expect(inside.stdout).toBe("");
  });

  test("is told its branch, and runs as a user that is not root", async () => {
    expect(await stub.bodies()).toContain("in /workspace, on the git branch feat/key.");
    const { stdout } = await sandbox.inside("feat/key", ["ps", "-eo", "uid,comm"], "root");
    expect(stdout).toMatch(/^ *1000 claude$/m);
    expect(stdout).not.toMatch(/^ *0 claude$/m);
  });

  test("gets a stored subscription as a bearer token", async () => {
    const secret = newSecret("oat01");
    await sandbox.ok(["auth", "claude", "--subscription"], { input: secret, env: model });
    await sandbox.ok(["agent", "feat/key", "claude", "-d", "-p", "REPLY: token taken"], { env: model });
    const headers = await headersFor("token taken");
    expect(headers["authorization"]).toBe(`Bearer ${secret}`);
    expect(headers["anthropic-beta"]).toContain("oauth-");
    expect(headers["x-api-key"]).toBeUndefined();
  });

  test("gets a key from the host's environment before a stored one", async () => {
    // With a tmux server that this very command starts, which could inherit the variable.
    await using own = await Sandbox.create();
    const [stored, secret] = [newSecret("api03"), newSecret("api03")];
    await own.ok(["auth", "claude", "--api-key"], { input: stored, env: model });
    await own.ok(["run", "feat/env", "--agent", "claude", "-d", "REPLY: variable taken"], {
      env: { ...model, ANTHROPIC_API_KEY: secret },
    });
    expect((await headersFor("variable taken"))["x-api-key"]).toBe(secret);
    expect(await processesWith("cmdline", secret)).toEqual([]);
    expect(await processesWith("environ", secret)).toEqual([]);
    expect(await filesWith(own.folder, secret)).toEqual([]);
  });

  test("a prompt may begin with a dash, hold several lines and end with a semicolon", async () => {
    const prompt = '- first `line` $HOME #{pid}\nREPLY: it\'s "all" here;';
    await sandbox.ok(["agent", "feat/key", "claude", "-d", "-n", "lines", `--prompt=${prompt}`], {
      env: model,
    });
    await headersFor("all");
    const prompts = (await stub.requests()).map((request) => request.prompt ?? "");
    expect(prompts).toContain(prompt);
  });
});

function task(name: string): string {
  return `Write API documentation for the user endpoints in docs/api/users.md. You are ${name}.`;
}

test("a key in the configuration reaches each agent as one from elsewhere does", async () => {
  await using own = await Sandbox.create();
  const variables = { claude: "ANTHROPIC_API_KEY", codex: "OPENAI_API_KEY", gemini: "GEMINI_API_KEY" };
  const secrets = { claude: newSecret("api03"), codex: newSecret("codex"), gemini: newSecret("gemini") };
  for (const agent of ["claude", "codex", "gemini"] as const) {
    await own.ok(["config", `agents.${agent}.env.${variables[agent]}`, secrets[agent]]);
    const prompt = `REPLY: configured ${agent}`;
    expect(
      await own.hjk(["run", "feat/config", "--agent", agent, "-d", prompt], { env: model }),
    ).toMatchObject({ code: 0, stderr: "" });
  }
  expect((await headersFor("configured claude"))["x-api-key"]).toBe(secrets.claude);
  expect((await headersFor("configured codex"))["authorization"]).toBe(`Bearer ${secrets.codex}`);
  expect((await headersFor("configured gemini"))["x-goog-api-key"]).toBe(secrets.gemini);
  for (const secret of Object.values(secrets)) expect(await processesWith("environ", secret)).toEqual([]);
});

describe("the other agents", () => {
  test("Codex and Gemini CLI do the same task, each on its own branch", async () => {
    const codexKey = newSecret("codex");
    await sandbox.ok(["auth", "codex"], { input: codexKey, env: model });
    const geminiKey = newSecret("gemini");
    await Promise.all([
      sandbox.ok(["run", "docs/codex", "--agent", "codex", "-d", task("Codex")], { env: model }),
      sandbox.ok(["run", "docs/gemini", "--agent", "gemini", "-d", task("Gemini")], {
        env: { ...model, GEMINI_API_KEY: geminiKey },
      }),
    ]);
    await Promise.all([
      committed("docs/codex", "Document the user endpoints"),
      committed("docs/gemini", "Document the user endpoints"),
    ]);
    expect((await headersFor("You are Codex"))["authorization"]).toBe(`Bearer ${codexKey}`);
    expect((await headersFor("You are Gemini"))["x-goog-api-key"]).toBe(geminiKey);
    for (const secret of [codexKey, geminiKey]) {
      expect(await filesWith(sandbox.folder, secret)).toEqual([]);
      expect(await processesWith("cmdline", secret)).toEqual([]);
    }
    const bodies = await stub.bodies();
    for (const agent of ["codex", "gemini"]) {
      expect(bodies).toContain(`on the git branch docs/${agent}.`);
      const branch = `docs/${agent}`;
      expect(await sandbox.ok(["logs", branch])).toContain("docs/api/users.md");
      const { stdout } = await sandbox.inside(branch, ["ps", "-eo", "uid,args"], "root");
      expect(stdout).toMatch(new RegExp(`^ *1000 .*\\b${agent}\\b.*--yolo`, "m"));
      expect(stdout).not.toMatch(new RegExp(`^ *0 .*\\b${agent}\\b`, "m"));
    }
  });

  test("--agent alone is default.agent, and `hjk agent` starts another beside it", async () => {
    await sandbox.ok(["config", "default.agent", "codex"]);
    await sandbox.ok(["run", "docs/codex", "--agent", "-d", "--name", "by-default"], { env: model });
    const output = await sandbox.ok(["agent", "docs/codex", "claude", "-d", "-n", "beside"], { env: model });
    expect(output).toMatch(/^Created session beside in instance [0-9a-f]+ \(detached\)\n$/);
    const { sessions } = await sandbox.instance("docs/codex");
    expect(sessions.map(({ name, type }) => ({ name, type })).slice(1)).toEqual([
      { name: "by-default", type: "codex" },
      { name: "beside", type: "claude" },
    ]);
    const unknown = await sandbox.hjk(["agent", "docs/codex", "clade", "-d"], { env: model });
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("Did you mean claude?");
  });
});
