import { describe, expect, test } from "bun:test";
import type { Agent } from "../agents/agent.ts";
import { checkShape, cleanValue, type CredentialStore, resolveCredential } from "./credentials.ts";
import { claudeToken, refusal, secret } from "./testing.ts";

describe("values", () => {
  test("are trimmed; what can be no token is refused and not repeated", async () => {
    expect(cleanValue("  abc\r\n")).toBe("abc");
    expect(await refusal(() => cleanValue(" \n"))).toContain("is empty");
    expect(await refusal(() => cleanValue("very-secret\nx"))).toContain("line break");
    expect(await refusal(() => cleanValue("very-secret\u001b[31m"))).toContain("invisible");
    expect(await refusal(() => cleanValue("very-secret\u200bx"))).toContain("invisible");
    expect(cleanValue("x".repeat(8192))).toHaveLength(8192);
    expect(await refusal(() => cleanValue(`very-secret${"x".repeat(8192)}`))).toContain("8 KB");
  });

  test("of Claude are not taken for the other kind", async () => {
    expect(await refusal(() => checkShape("claude", "api-key", secret))).toContain("CLAUDE_CODE_OAUTH_TOKEN");
    expect(await refusal(() => checkShape("claude", "subscription", "sk-ant-api03-very-secret"))).toContain(
      "ANTHROPIC_API_KEY",
    );
    checkShape("claude", "subscription", secret);
    checkShape("claude", "api-key", "gateway-key");
    checkShape("codex", "api-key", secret);
  });
});

describe("resolveCredential", () => {
  const agent: Pick<Agent, "name" | "credentials" | "hostEnv"> = {
    name: "claude",
    credentials: {
      subscription: { env: "CLAUDE_CODE_OAUTH_TOKEN" },
      "api-key": { env: "ANTHROPIC_API_KEY" },
    },
    hostEnv: [
      { name: "ANTHROPIC_API_KEY", kind: "api-key" },
      { name: "CLAUDE_CODE_OAUTH_TOKEN", kind: "subscription" },
      { name: "OTHER", kind: "api-key" },
    ],
  };
  const empty: Pick<CredentialStore, "get"> = { get: () => Promise.resolve(undefined) };
  const filled: Pick<CredentialStore, "get"> = {
    get: () => Promise.resolve({ ...claudeToken, from: "keychain" }),
  };
  const unasked: Pick<CredentialStore, "get"> = { get: () => Promise.reject(new Error("asked")) };

  test("takes configuration, then environment, then what is stored", async () => {
    const env = { ANTHROPIC_API_KEY: " ", CLAUDE_CODE_OAUTH_TOKEN: `${secret}\n`, OTHER: "o" };
    const inConfig = { agent, env, store: unasked, configEnv: { OTHER: "o", ANTHROPIC_API_KEY: "k\n" } };
    expect(await resolveCredential(inConfig)).toEqual({
      source: "config",
      name: "ANTHROPIC_API_KEY",
      credential: { kind: "api-key", value: "k" },
    });
    expect(
      await resolveCredential({ agent, env, store: unasked, configEnv: { FOO: "x", OTHER: "" } }),
    ).toEqual({
      source: "environment",
      name: "CLAUDE_CODE_OAUTH_TOKEN",
      credential: claudeToken,
    });
    expect(await resolveCredential({ agent, env: {}, store: filled, configEnv: {} })).toEqual({
      source: "keychain",
      credential: claudeToken,
    });
    expect(await resolveCredential({ agent, env: {}, store: empty, configEnv: {} })).toBeUndefined();
  });

  test("refuses bad variables by their name", async () => {
    const env: Record<string, string> = { ANTHROPIC_API_KEY: "very-secret\nx" };
    const options = { agent, env, store: unasked, configEnv: {} };
    expect(await refusal(() => resolveCredential(options))).toContain("ANTHROPIC_API_KEY holds a line break");
    env["ANTHROPIC_API_KEY"] = secret;
    expect(await refusal(() => resolveCredential(options))).toContain("subscription token");
    const inConfig = { ...options, configEnv: { OTHER: "very-secret\nx" } };
    expect(await refusal(() => resolveCredential(inConfig))).toContain(
      "agents.claude.env.OTHER holds a line",
    );
  });
});
