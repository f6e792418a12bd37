import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { codex } from "../agents/codex.ts";
import { codexLogin } from "../agents/codex-login.ts";
import { gemini } from "../agents/gemini.ts";
import { geminiLogin } from "../agents/gemini-login.ts";
import { CompanyProxy } from "../../test/support/gateway/upstream-proxy.ts";
import { freshLogin, readLogin, renewalMarginMs, type RenewalOptions } from "./login.ts";
import { refusal, temporaryFolder } from "./testing.ts";

const agents = { codex: { ...codex, login: codexLogin }, gemini: { ...gemini, login: geminiLogin } };

const root = temporaryFolder();
const installed = temporaryFolder();
const file = join(root, "login.json");
const now = Date.now();

/** What the server that renews is asked, and what it answers. */
let asked: string[] = [];
let answer: () => Response | Promise<Response> = () => new Response("", { status: 400 });

const server = Bun.serve({
  port: 0,
  fetch: async (request) => {
    asked.push(`${request.headers.get("content-type") ?? ""} ${await request.text()}`);
    return await answer();
  },
});
afterAll(async () => await server.stop(true));

beforeEach(() => {
  asked = [];
  rmSync(file, { force: true });
});

const claims = (of: object): string => Buffer.from(JSON.stringify(of)).toString("base64url");
const codexToken = (endsAt: number): string => `e30.${claims({ exp: endsAt / 1000 })}.very-secret`;

function keepCodex(endsAt: number, refreshToken = "very-secret-refresh"): void {
  const tokens = {
    id_token: "id",
    access_token: codexToken(endsAt),
    refresh_token: refreshToken,
    account_id: "a-1",
  };
  writeFileSync(file, JSON.stringify({ auth_mode: "chatgpt", tokens, last_refresh: "x", other: [1] }), {
    mode: 0o600,
  });
}

let last: Promise<unknown> = Promise.resolve();

function options(more: Partial<RenewalOptions> = {}): RenewalOptions {
  return {
    agent: agents.codex,
    file,
    tokenUrl: `http://127.0.0.1:${server.port}/token`,
    now: () => now,
    path: "",
    alone: async (work) => {
      const mine = last.then(work, work);
      last = mine.catch(() => undefined);
      return await mine;
    },
    ...more,
  };
}

const gives =
  (body: object): (() => Response) =>
  () =>
    Response.json(body);
const hour = 3_600_000;

describe("a login of Codex", () => {
  test("that is good for a while is used as it is", async () => {
    keepCodex(now + hour);
    const before = readFileSync(file, "utf8");
    expect(await freshLogin(options())).toEqual({
      token: codexToken(now + hour),
      refreshToken: "very-secret-refresh",
      expiresAt: now + hour,
      account: "a-1",
    });
    expect(asked).toEqual([]);
    expect(readFileSync(file, "utf8")).toBe(before);
  });

  test("is renewed by way of the user's proxy", async () => {
    keepCodex(now);
    answer = gives({ access_token: codexToken(now + hour), refresh_token: "next" });
    using proxy = await CompanyProxy.start({ "tokens.example.test:80": server.port ?? 0 });
    const by = { tokenUrl: "http://tokens.example.test/token", proxy: `http://127.0.0.1:${proxy.port}` };
    expect((await freshLogin(options(by))).token).toBe(codexToken(now + hour));
    expect(proxy.asked).toEqual(["POST http://tokens.example.test/token HTTP/1.1"]);
  });

  test("that is about to end is renewed, and all else in its file stays", async () => {
    keepCodex(now + renewalMarginMs);
    chmodSync(file, 0o640);
    answer = gives({
      access_token: codexToken(now + hour),
      refresh_token: "next",
      id_token: "id-2",
      odd: true,
    });
    expect((await freshLogin(options())).token).toBe(codexToken(now + hour));
    expect(asked).toEqual([
      expect.stringMatching(/^application\/json .*"refresh_token":"very-secret-refresh"/),
    ]);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
      auth_mode: "chatgpt",
      tokens: {
        id_token: "id-2",
        access_token: codexToken(now + hour),
        refresh_token: "next",
        account_id: "a-1",
      },
      last_refresh: new Date(now).toISOString(),
      other: [1],
    });
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(readdirSync(dirname(file))).toEqual(["login.json"]);
  });

  test("is renewed once by many", async () => {
    keepCodex(now - 1);
    answer = gives({ access_token: codexToken(now + hour), refresh_token: "next" });
    const all = await Promise.all(Array.from({ length: 5 }, () => freshLogin(options())));
    expect(asked.length).toBe(1);
    expect(new Set(all.map(({ token }) => token))).toEqual(new Set([codexToken(now + hour)]));
  });

  test("that the model has refused is renewed, unless its file has changed since", async () => {
    keepCodex(now + hour);
    utimesSync(file, new Date(now - 1000), new Date(now - 1000));
    expect((await freshLogin(options({ refusedSince: now - 2000 }))).refreshToken).toBe(
      "very-secret-refresh",
    );
    expect(asked).toEqual([]);
    answer = gives({ access_token: codexToken(now + 2 * hour), refresh_token: "next" });
    expect((await freshLogin(options({ refusedSince: now - 500 }))).refreshToken).toBe("next");
    expect(asked.length).toBe(1);
  });

  test("that cannot be renewed is used until its end, and then says what to do", async () => {
    keepCodex(now + 1000);
    answer = () => new Response('{"error":"invalid_grant"}', { status: 400 });
    expect((await freshLogin(options())).token).toBe(codexToken(now + 1000));
    keepCodex(now - 1000);
    const said = await refusal(() => freshLogin(options()));
    expect(said).toContain(
      `The login of Codex in ${file} is not good any more: it could not be renewed (400).`,
    );
    expect(said).toContain("codex login");
    for (const odd of [
      gives([]),
      gives({ access_token: "" }),
      () => new Response("<html>very-secret"),
      () => Response.redirect("/"),
    ]) {
      answer = odd;
      await refusal(() => freshLogin(options()));
    }
    const unreachable = options({ tokenUrl: "http://127.0.0.1:1/token" });
    expect(await refusal(() => freshLogin(unreachable))).toContain("127.0.0.1:1 gives no answer");
    expect(JSON.parse(readFileSync(file, "utf8"))).toHaveProperty(
      "tokens.refresh_token",
      "very-secret-refresh",
    );
  });

  test("that the CLI itself renews at the same moment is that of the CLI", async () => {
    keepCodex(now - 1000);
    answer = () => {
      keepCodex(now + hour, "of-the-cli");
      return new Response("", { status: 400 });
    };
    expect((await freshLogin(options())).refreshToken).toBe("of-the-cli");
  });

  test("behind a link is renewed where it lies", async () => {
    keepCodex(now - 1000);
    const link = join(temporaryFolder(), "link.json");
    symlinkSync(file, link);
    answer = gives({ access_token: codexToken(now + hour), refresh_token: "next" });
    await freshLogin(options({ file: link }));
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect((await readLogin(agents.codex, file)).refreshToken).toBe("next");
  });

  test("without an end of its own is good for eight days after its last renewal", async () => {
    const tokens = { access_token: "opaque", refresh_token: "r" };
    writeFileSync(file, JSON.stringify({ tokens, last_refresh: "2026-11-01T00:00:00Z" }));
    expect((await readLogin(agents.codex, file)).expiresAt).toBe(Date.parse("2026-11-09T00:00:00Z"));
  });
});

/** A stand-in for Gemini CLI, as npm installs it; returns the folder for PATH. */
function geminiInstalled(): string {
  const bundle = join(installed, "lib", "gemini-cli", "bundle");
  const bin = join(installed, "bin");
  mkdirSync(bundle, { recursive: true });
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bundle, "gemini.js"), "#!/usr/bin/env node\n", { mode: 0o755 });
  writeFileSync(
    join(bundle, "chunk.js"),
    'var other = "1-a.apps.googleusercontent.com"; var id = "2-b.apps.googleusercontent.com";\nvar secret = "GOCSPX-made-up";',
  );
  // What else may lie there is no reason to fail.
  mkdirSync(join(bundle, "a-folder.js"), { recursive: true });
  rmSync(join(bundle, "a-link.js"), { force: true });
  symlinkSync("nowhere", join(bundle, "a-link.js"));
  rmSync(join(bin, "gemini"), { force: true });
  symlinkSync(join(bundle, "gemini.js"), join(bin, "gemini"));
  return bin;
}

test("a login of Gemini CLI is renewed by what the user's copy of it has; without one it is used to its end", async () => {
  const content = { access_token: "a", refresh_token: "r", expiry_date: now + 1000 };
  writeFileSync(file, JSON.stringify(content));
  expect((await freshLogin(options({ agent: agents.gemini }))).token).toBe("a");
  writeFileSync(file, JSON.stringify({ ...content, expiry_date: now - 1 }));
  expect(await refusal(() => freshLogin(options({ agent: agents.gemini })))).toContain("not on this machine");
  expect(asked).toEqual([]);
  answer = gives({ access_token: "b", expires_in: 3599 });
  expect((await freshLogin(options({ agent: agents.gemini, path: geminiInstalled() }))).token).toBe("b");
  expect(asked[0]).toContain("client_id=2-b.apps.googleusercontent.com&client_secret=GOCSPX-made-up&");
});

test("a login of Gemini CLI is renewed with a form; a refresh token that is not given anew stays", async () => {
  const content = { access_token: "very-secret", refresh_token: "stays", expiry_date: now - 1, scope: "s" };
  writeFileSync(file, JSON.stringify(content));
  answer = gives({ access_token: "ya29.next", expires_in: 3599, token_type: "Bearer" });
  const login = await freshLogin(options({ agent: agents.gemini, path: geminiInstalled() }));
  expect(login).toEqual({ token: "ya29.next", refreshToken: "stays", expiresAt: now + 3_599_000 });
  expect(asked[0]).toStartWith("application/x-www-form-urlencoded");
  expect(asked[0]).toContain("refresh_token=stays");
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
    access_token: "ya29.next",
    refresh_token: "stays",
    expiry_date: now + 3_599_000,
    scope: "s",
    token_type: "Bearer",
  });
});

test("a token whose end nobody tells is kept, not thrown away with the refresh token beside it", async () => {
  writeFileSync(file, JSON.stringify({ access_token: "a", refresh_token: "r", expiry_date: now - 1 }));
  answer = gives({ access_token: "b", refresh_token: "next" });
  const login = await freshLogin(options({ agent: agents.gemini, path: geminiInstalled() }));
  expect(login).toEqual({ token: "b", refreshToken: "next", expiresAt: now + hour });
  expect(await readLogin(agents.gemini, file)).toEqual(login);
});

describe("a file that is no login", () => {
  test.each([
    ["", "holds no login"],
    ["very-secret {", "holds no login"],
    ["[]", "holds no login"],
    ['{"auth_mode":"apikey","OPENAI_API_KEY":"very-secret","tokens":null}', "holds no login"],
    ['{"tokens":{"access_token":"very-secret\\nx: y","refresh_token":"r"}}', "holds no login"],
    ['{"tokens":{"access_token":"t","refresh_token":"r","account_id":"a\\r\\nb"}}', "holds no login"],
  ])("%j is refused, and not repeated", async (content, why) => {
    writeFileSync(file, content);
    expect(await refusal(() => readLogin(agents.codex, file))).toContain(why);
  });

  test("is missing, or a folder", async () => {
    expect(existsSync(file)).toBe(false);
    const said = await refusal(() => readLogin(agents.gemini, file));
    expect(said).toStartWith(`auth\nGemini CLI has no login on this machine: there is no ${file}.`);
    expect(await refusal(() => readLogin(agents.gemini, root))).toContain("holds no login");
  });
});

test("each CLI's file is where its variable says, or in the home", () => {
  expect(codexLogin.file({}, "/home/ann")).toBe("/home/ann/.codex/auth.json");
  expect(codexLogin.file({ CODEX_HOME: "" }, "/home/ann")).toBe("/home/ann/.codex/auth.json");
  expect(codexLogin.file({ CODEX_HOME: "/c" }, "/home/ann")).toBe("/c/auth.json");
  expect(geminiLogin.file({}, "/home/ann")).toBe("/home/ann/.gemini/oauth_creds.json");
  expect(geminiLogin.file({ GEMINI_CLI_HOME: "/g" }, "/home/ann")).toBe("/g/.gemini/oauth_creds.json");
});
