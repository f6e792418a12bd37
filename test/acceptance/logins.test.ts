import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { chmod, mkdir, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { baseImageTag, eventually, ModelStub, runProgram, Sandbox, Terminal } from "../support/harness.ts";
import type { StubLogin } from "../support/model-stub/logins.ts";

/*
 * Subscriptions that are logins of the CLIs themselves on this machine: that an agent works with one, that no token of
 * it is inside, and that it is renewed once, by whoever comes first, and kept where the CLI looks for it.
 */

setDefaultTimeout(180_000);

/** Milliseconds before its end in which a token is renewed. */
const margin = 10 * 60_000;

let stub: ModelStub;
let sandbox: Sandbox;

/** Where this machine has Gemini CLI, by whose own means its login is renewed: the base image's, taken out of it. */
let bin: string;

beforeAll(async () => {
  stub = await ModelStub.start();
  bin = await mkdtemp(join(tmpdir(), "hjk-gemini-"));
  const pack =
    'tar c -C "$(dirname "$(readlink -f "$(command -v gemini)")")" --exclude=bundled --exclude=builtin .';
  const command = `docker run --rm --network none ${await baseImageTag()} sh -c '${pack}' | tar x -C '${bin}'`;
  expect(await runProgram(["sh", "-c", command])).toMatchObject({ code: 0 });
  await symlink(join(bin, "gemini.js"), join(bin, "gemini"));
});

afterAll(async () => {
  await stub.stop();
  await rm(bin, { recursive: true });
});

beforeEach(async () => {
  sandbox = await Sandbox.create();
  sandbox.env["PATH"] = `${bin}:${sandbox.env["PATH"] ?? ""}`;
  const config = {
    agents: {
      codex: { base_url: `${stub.url}/backend-api/codex`, token_url: `${stub.url}/_token/chatgpt` },
      gemini: { base_url: stub.url, token_url: `${stub.url}/_token/google` },
    },
  };
  await Bun.write(join(sandbox.folder, "hjk", "config.yaml"), JSON.stringify(config));
});

afterEach(async () => {
  await sandbox[Symbol.asyncDispose]();
});

const logins = {
  codex: {
    at: "chatgpt",
    command: "codex login",
    file: ".codex/auth.json",
    token: (endsAt: number) =>
      `e30.${Buffer.from(JSON.stringify({ exp: Math.floor(endsAt / 1000) })).toString("base64url")}.${crypto.randomUUID()}`,
    content: (token: string, refresh: string, _endsAt: number): unknown => ({
      auth_mode: "chatgpt",
      OPENAI_API_KEY: null,
      tokens: {
        id_token: "id-before",
        access_token: token,
        refresh_token: refresh,
        account_id: "account-of-ann",
      },
      last_refresh: "2026-11-01T00:00:00Z",
      of_a_later_version: { kept: true },
    }),
    tokens: (content: Record<string, Record<string, string>>) => [
      content["tokens"]?.["access_token"],
      content["tokens"]?.["refresh_token"],
    ],
  },
  gemini: {
    at: "google",
    command: "gemini",
    file: ".gemini/oauth_creds.json",
    token: (_endsAt: number) => `ya29.${crypto.randomUUID()}`,
    content: (token: string, refresh: string, endsAt: number): unknown => ({
      access_token: token,
      refresh_token: refresh,
      scope: "cloud-platform",
      token_type: "Bearer",
      id_token: "id-before",
      expiry_date: endsAt,
      of_a_later_version: { kept: true },
    }),
    tokens: (content: Record<string, unknown>) => [content["access_token"], content["refresh_token"]],
  },
} as const;

type Name = keyof typeof logins;

const names = Object.keys(logins) as Name[];

const fileOf = (name: Name): string => join(sandbox.folder, "home", logins[name].file);

/** Logs in on this machine, and has hjk use it. */
async function logIn(name: Name, endsAt: number, server: Partial<StubLogin> = {}): Promise<string> {
  const login = logins[name];
  const [token, refreshToken] = [login.token(endsAt), `refresh-${crypto.randomUUID()}`];
  await stub.logins({
    [login.at]: { token, refreshToken, renewed: 0, refused: 0, lifetime: 3600, ...server },
  });
  await mkdir(dirname(fileOf(name)), { recursive: true });
  await Bun.write(fileOf(name), JSON.stringify(login.content(token, refreshToken, endsAt)));
  await chmod(fileOf(name), 0o640);
  await sandbox.ok(["auth", name, "--subscription"]);
  return token;
}

async function server(name: Name): Promise<StubLogin> {
  return (await stub.logins())[logins[name].at];
}

async function done(branch: string): Promise<void> {
  const waited = await sandbox.hjk(["wait", branch, "--for", "done", "--timeout", "90s"]);
  if (waited.code !== 0) throw new Error(`${waited.stderr}\n${await sandbox.ok(["logs", branch])}`);
  await sandbox.ok(["ps"]);
}

/** Fails where a text is in an instance, in its gateway beside its memory, or in what the engine tells. */
async function expectNowhere(branch: string, secrets: string[]): Promise<void> {
  const { container } = await sandbox.instance(branch);
  for (const secret of secrets) {
    // A pattern that does not match its own command line.
    const pattern = `[${secret.slice(0, 1)}]${secret.slice(1).replaceAll(".", "[.]")}`;
    const search = `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -a -c '${pattern}'
grep -r -l -s '${pattern}' / --exclude-dir=proc --exclude-dir=sys | head -3`;
    const inside = (script: string, input?: string): ReturnType<typeof runProgram> =>
      runProgram(
        ["docker", "exec", "-i", container, "sh", "-c", script],
        input === undefined ? {} : { input },
      );
    await inside("cat > /tmp/planted", secret);
    expect((await inside(search)).stdout).toBe("0\n/tmp/planted\n");
    await inside("rm /tmp/planted");
    expect((await inside(search)).stdout).toBe("0\n");
    for (const name of [container, `${container}-gateway`]) {
      const { stdout, stderr } = await runProgram(["docker", "inspect", name]);
      const logs = await runProgram(["docker", "logs", name]);
      expect(stdout + stderr + logs.stdout + logs.stderr).not.toContain(secret);
    }
    const gateway = await runProgram([
      "docker",
      "exec",
      `${container}-gateway`,
      "sh",
      "-c",
      `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -a -c '${pattern}'; grep -r -l -s '${pattern}' /tmp /var /home /root`,
    ]);
    expect(gateway.stdout).toBe("0\n");
  }
}

test("hjk auth asks at a terminal which of the two it is", async () => {
  await logIn("codex", Date.now() + 3 * margin);
  await sandbox.ok(["auth", "codex", "--remove"]);
  const terminal = await Terminal.open(sandbox);
  try {
    await terminal.type("hjk auth codex");
    await terminal.waitFor("1. Subscription (the login of `codex login`)");
    await terminal.waitFor("2. API key");
    const { code, screen } = await terminal.ends(() => terminal.type("1"));
    expect([code, screen.replaceAll(/\n/g, " ")]).toEqual([
      0,
      expect.stringContaining(`Codex uses the login in ${fileOf("codex")}.`),
    ]);
  } finally {
    await terminal.close();
  }
});

describe.each(names)("%s", (name) => {
  const login = logins[name];

  test("works with its login, of which nothing is inside", async () => {
    const token = await logIn(name, Date.now() + 3 * margin);
    await sandbox.ok(["run", "work", "--agent", name, "-d", "SCRIPT:work"]);
    await done("work");
    expect(await sandbox.git("log", "--format=%s", "work")).toContain("Add hello.txt");
    const sent = (await stub.requests()).filter((one) => one.headers["authorization"] === `Bearer ${token}`);
    expect(sent.length).toBeGreaterThan(0);
    const { refreshToken, renewed } = await server(name);
    expect(renewed).toBe(0);
    await expectNowhere("work", [token, refreshToken]);
    expect((await sandbox.instance("work")).sessions[0]?.protection).toBe("gateway");
    expect((await sandbox.instance("work")).notice).not.toMatch(/Weak|login/);
  });

  test("one that has ended is renewed once for two instances, and kept where its CLI looks", async () => {
    const old = await logIn(name, Date.now() - 1000);
    await stub.logins({ [login.at]: { token: "" } });
    await Promise.all(
      ["one", "two"].map((branch) => sandbox.ok(["run", branch, "--agent", name, "-d", "SCRIPT:work"])),
    );
    await Promise.all(["one", "two"].map(done));
    const { token, refreshToken, renewed, refused } = await server(name);
    expect([renewed, refused]).toEqual([1, 0]);
    const content = (await Bun.file(fileOf(name)).json()) as Record<string, never>;
    expect(login.tokens(content)).toEqual([token, refreshToken]);
    expect(content).toMatchObject({ of_a_later_version: { kept: true } });
    expect((await stat(fileOf(name))).mode & 0o777).toBe(0o640);
    await expectNowhere("one", [old, token, refreshToken]);
    expect(await sandbox.ok(["auth", name, "--status"])).toContain(
      `${name}: subscription, the login of \`${login.command}\` in ${fileOf(name)}, good until `,
    );
  });

  test("one that ends while an agent works is renewed without anybody's doing", async () => {
    await logIn(name, Date.now() - 1000, { lifetime: margin / 1000 + 15 });
    await sandbox.ok(["run", "long", "--agent", name, "-d", "SCRIPT:work"]);
    await done("long");
    expect((await server(name)).renewed).toBe(1);
    await stub.logins({ [login.at]: { lifetime: 3600 } });
    await eventually(async () => (await server(name)).renewed === 2, "the login is renewed", 60_000);
    await sandbox.ok(["send", "long", "--wait", "SCRIPT:echo AGAIN"]);
    expect((await server(name)).renewed).toBe(2);
  });

  test("one that the model refuses is renewed, and one that cannot be is told", async () => {
    await logIn(name, Date.now() + 3 * margin);
    await sandbox.ok(["run", "out", "--agent", name, "-d", "SCRIPT:work"]);
    await done("out");
    const first = (await sandbox.instance("out")).sessions[0]?.name ?? "";
    await stub.logins({ [login.at]: { token: "another" } });
    expect((await sandbox.hjk(["send", "out", "--wait", "SCRIPT:echo REFUSED"])).code).toBe(1);
    await eventually(async () => (await server(name)).renewed === 1, "the login is renewed", 60_000);
    expect(await sandbox.ok(["send", "out", "--wait", "SCRIPT:echo AGAIN"])).toContain("ECHO AGAIN");

    await stub.logins({ [login.at]: { token: "another", refreshToken: "another" } });
    const said = `is not good any more: it could not be renewed (400). Log in on this machine: ${login.command}`;
    const isSaid = async (): Promise<boolean> => (await sandbox.instance("out")).notice.includes(said);
    // Not at once: only so many refusals are believed. Each is noticed when the screen has come to rest.
    await eventually(
      async () => {
        expect((await sandbox.hjk(["send", "out", "--wait", "SCRIPT:echo REFUSED"])).code).toBe(1);
        await eventually(isSaid, "ps says so", 10_000);
        return true;
      },
      async () => `ps says so: ${(await sandbox.instance("out")).notice}`,
      90_000,
    );
    expect((await server(name)).renewed).toBe(1);
    expect((await sandbox.hjk(["doctor"])).stdout).toContain(`(out): The login of `);
    const warned = await sandbox.hjk(["agent", "out", name, "-d"]);
    expect(warned.stderr).toContain(said);
    // The user logs in again; nothing has to be started anew.
    await logIn(name, Date.now() + 3 * margin);
    expect(await sandbox.ok(["send", "out", first, "--wait", "SCRIPT:echo BACK"])).toContain("ECHO BACK");
    expect((await sandbox.instance("out")).notice).not.toContain("login");
  });

  test("hjk auth says how to log in, and an instance without a gateway is given no login", async () => {
    const missing = await sandbox.hjk(["auth", name, "--subscription"]);
    expect(missing.code).toBe(4);
    expect(missing.stderr).toContain(`there is no ${fileOf(name)}.`);
    expect(missing.stderr).toContain(`hint: Log in on this machine: ${login.command}`);
    await logIn(name, Date.now() + 3 * margin);
    const direct = await sandbox.hjk(["run", "own", "--agent", name, "-d", "x", "--", "--network=bridge"]);
    expect([direct.code, direct.stderr]).toEqual([
      4,
      expect.stringContaining("works only through a gateway"),
    ]);
    expect(await sandbox.instances()).toEqual([]);
    await rm(fileOf(name));
    expect((await sandbox.hjk(["auth", name, "--status"])).code).toBe(4);
    // A key, which in a pipe can be nothing else. Its address is here that of the login, where no key is good.
    await sandbox.ok(["auth", name, "--no-check"], { input: "a-key-of-ann" });
    expect(await sandbox.ok(["auth", name, "--status"])).toStartWith(`${name}: api key, `);
  });
});
