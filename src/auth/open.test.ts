import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type KeychainCall, KeychainError } from "./keychain.ts";
import { openCredentials } from "./open.ts";
import { claudeToken, freshPaths, refusal, secret, temporaryFolder } from "./testing.ts";

const root = temporaryFolder();

/** A keychain in memory; `failure` makes every call fail. */
function fakeKeychain(): {
  call: KeychainCall;
  items: Map<string, string>;
  failure?: KeychainError["reason"];
} {
  const items = new Map<string, string>();
  const fake: ReturnType<typeof fakeKeychain> = {
    items,
    call: async ({ op, service, name, value }) => {
      await Promise.resolve();
      expect(service).toBe("headjack");
      if (fake.failure !== undefined) throw new KeychainError(fake.failure, "says the test");
      if (op === "get") return items.get(name) ?? null;
      if (op === "delete") return items.delete(name);
      items.set(name, value ?? "");
      return null;
    },
  };
  return fake;
}

describe("openCredentials", () => {
  test("uses the keychain where it works", async () => {
    const paths = freshPaths(root);
    const fake = fakeKeychain();
    const store = await openCredentials(paths, {}, fake.call);
    await store.set("claude", { kind: "subscription", value: `${secret}\n` });
    expect(store.name).toBe("keychain");
    expect(["Secret Service", "macOS Keychain"]).toContain(store.where());
    expect(await store.get("claude")).toEqual({ ...claudeToken, from: "keychain" });
    expect(existsSync(paths.credentialsFile)).toBe(false);
    expect(await store.remove("claude")).toBe(true);
    expect(await store.remove("claude")).toBe(false);
    fake.items.set("claude", "{}");
    expect(await refusal(() => store.get("claude"))).toContain("hjk auth claude");
  });

  test("falls back to the file, and the newest credential counts", async () => {
    const paths = freshPaths(root);
    const fake = fakeKeychain();
    const store = await openCredentials(paths, {}, fake.call);
    await store.set("claude", { kind: "subscription", value: "at the desk" });
    for (const reason of ["unavailable", "refused"] as const) {
      fake.failure = reason;
      await store.set("claude", { kind: "subscription", value: `over SSH, ${reason}` });
      expect(store.name).toBe("file");
      expect(store.where()).toContain("encrypted file");
      delete fake.failure;
      expect(await store.get("claude")).toMatchObject({ value: `over SSH, ${reason}`, from: "file" });
    }
    await store.set("claude", { kind: "subscription", value: "at the desk again" });
    expect(await store.get("claude")).toMatchObject({ value: "at the desk again", from: "keychain" });
    fake.failure = "unavailable";
    expect(await store.get("claude")).toBeUndefined();
    expect(await store.remove("claude")).toBe(false);
    fake.failure = "refused";
    expect(await refusal(() => store.get("claude"))).toContain("auth\nThe system keychain refused");
    fake.failure = "timeout";
    expect(await refusal(() => store.set("claude", claudeToken))).toContain("did not answer");
  });

  test("obeys HEADJACK_CREDENTIALS, and HEADJACK_HOME means the file", async () => {
    const paths = freshPaths(root);
    const fake = fakeKeychain();
    const nameFor = async (env: Record<string, string>): Promise<string> =>
      (await openCredentials(paths, env, fake.call)).name;
    expect(await nameFor({ HEADJACK_CREDENTIALS: "file" })).toBe("file");
    expect(await nameFor({ HEADJACK_HOME: "/x" })).toBe("file");
    expect(await nameFor({ HEADJACK_HOME: "/x", HEADJACK_CREDENTIALS: "keychain" })).toBe("keychain");
    expect(await refusal(() => nameFor({ HEADJACK_CREDENTIALS: "x" }))).toContain("usage");
    fake.failure = "unavailable";
    const forced = await openCredentials(paths, { HEADJACK_CREDENTIALS: "keychain" }, fake.call);
    expect(await refusal(() => forced.get("claude"))).toContain("HEADJACK_CREDENTIALS=file");
  });
});
