import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openCredentialsFile } from "./file.ts";
import { claudeToken, freshPaths, refusal, secret, temporaryFolder } from "./testing.ts";

const root = temporaryFolder();

describe("the encrypted file", () => {
  test("keeps, replaces and removes, and shows nothing", async () => {
    const paths = freshPaths(root);
    const store = openCredentialsFile(paths);
    expect(await store.get("claude")).toBeUndefined();
    expect(await store.remove("claude")).toBe(false);
    expect(existsSync(paths.credentialsKey)).toBe(false);
    await store.set("claude", { kind: "subscription", value: ` ${secret}\n` });
    await store.set("codex", { kind: "api-key", value: "k2" });
    await store.set("codex", { kind: "api-key", value: "k3" });
    expect(await openCredentialsFile(paths).get("claude")).toEqual({ ...claudeToken, from: "file" });
    expect(await store.get("codex")).toEqual({ kind: "api-key", value: "k3", from: "file" });
    expect(readFileSync(paths.credentialsFile).toString("latin1")).not.toMatch(
      /very-secret|claude|subscription/,
    );
    for (const file of [paths.credentialsFile, paths.credentialsKey]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(statSync(join(file, "..")).mode & 0o777).toBe(0o700);
    }
    expect(readdirSync(join(paths.credentialsFile, ".."))).toEqual([
      "credentials.enc",
      "credentials.enc.lock",
    ]);
    expect(readdirSync(join(paths.credentialsKey, ".."))).toEqual(["key"]);
    expect(store.where()).toBe(`encrypted file ${paths.credentialsFile} (key in ${paths.credentialsKey})`);
    expect(await store.remove("claude")).toBe(true);
    expect(await store.remove("codex")).toBe(true);
    expect(existsSync(paths.credentialsFile)).toBe(false);
  });

  test("refuses files that are not private", async () => {
    const paths = freshPaths(root);
    const store = openCredentialsFile(paths);
    await store.set("claude", claudeToken);
    for (const file of [paths.credentialsFile, paths.credentialsKey]) {
      chmodSync(file, 0o640);
      expect(await refusal(() => store.get("claude"))).toContain(
        `auth\n${file} is refused: other users can open it`,
      );
      expect(await refusal(() => store.set("claude", claudeToken))).toContain(`chmod 600 ${file}`);
      chmodSync(file, 0o600);
      renameSync(file, `${file}.real`);
      symlinkSync(`${file}.real`, file);
      expect(await refusal(() => store.get("claude"))).toContain("it is a symbolic link");
      expect(await refusal(() => store.remove("claude"))).toContain("it is a symbolic link");
      rmSync(file);
      await Bun.spawn(["mkfifo", "-m", "600", file]).exited;
      expect(await refusal(() => store.get("claude"))).toContain("it is not a regular file");
      rmSync(file);
      renameSync(`${file}.real`, file);
      if (process.getuid?.() === 0) {
        chownSync(file, 1, 1);
        expect(await refusal(() => store.get("claude"))).toContain("it belongs to another user");
        chownSync(file, 0, 0);
      }
    }
    expect((await store.get("claude"))?.value).toBe(secret);
  });

  test("says what to do when it cannot be opened, and starts anew when that is done", async () => {
    const damage: ((paths: ReturnType<typeof freshPaths>) => void)[] = [
      (paths) => writeFileSync(paths.credentialsKey, Buffer.alloc(32)),
      (paths) => rmSync(paths.credentialsKey),
      (paths) => writeFileSync(paths.credentialsFile, "garbage"),
      (paths) => writeFileSync(paths.credentialsFile, ""),
      (paths) => {
        const data = readFileSync(paths.credentialsFile);
        data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
        writeFileSync(paths.credentialsFile, data);
      },
      (paths) => writeFileSync(paths.credentialsFile, readFileSync(paths.credentialsFile).subarray(0, -5)),
    ];
    for (const [index, harm] of damage.entries()) {
      const paths = freshPaths(root);
      const store = openCredentialsFile(paths);
      await store.set("claude", claudeToken);
      harm(paths);
      const said = await refusal(() => store.get("claude"));
      expect(said).toContain("cannot be opened");
      expect(said).toContain("hjk auth claude");
      await store.set("codex", { kind: "api-key", value: "new" });
      expect((await store.get("codex"))?.value).toBe("new");
      expect(await store.get("claude"), `damage ${index}`).toBeUndefined();
      expect(existsSync(`${paths.credentialsFile}.unreadable`)).toBe(true);
    }
    const paths = freshPaths(root);
    await mkdir(join(paths.credentialsKey, ".."), { recursive: true });
    writeFileSync(paths.credentialsKey, "short", { mode: 0o600 });
    const said = await refusal(() => openCredentialsFile(paths).set("claude", claudeToken));
    expect(said).toContain("is damaged");
  });

  test("loses nothing when 20 processes write at once", async () => {
    const paths = freshPaths(root);
    const script = `
      const { openCredentialsFile } = await import(${JSON.stringify(join(import.meta.dir, "file.ts"))});
      const store = openCredentialsFile(${JSON.stringify(paths)});
      for (let i = 0; i < 5; i++) await store.set("agent-" + process.argv[1] + "-" + i, { kind: "api-key", value: "v" });
    `;
    const children = Array.from({ length: 20 }, (_, index) =>
      Bun.spawn([process.execPath, "--config=/dev/null", "--no-env-file", "-e", script, String(index)]),
    );
    expect(await Promise.all(children.map((child) => child.exited))).toEqual(Array(20).fill(0));
    const store = openCredentialsFile(paths);
    const found = await Promise.all(
      Array.from({ length: 100 }, (_, index) => store.get(`agent-${Math.floor(index / 5)}-${index % 5}`)),
    );
    expect(found.filter((credential) => credential?.value === "v")).toHaveLength(100);
    expect(readdirSync(join(paths.credentialsKey, ".."))).toEqual(["key"]);
  }, 30_000);
});
