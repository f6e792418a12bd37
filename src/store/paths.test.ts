import { describe, expect, test } from "bun:test";
import { resolvePaths } from "./paths.ts";

function socket(data: string): string {
  return resolvePaths({ XDG_DATA_HOME: data }, "linux", 1000, "/home/ann").tmuxSocket;
}

const plain = resolvePaths({}, "linux", 1000, "/home/ann");

describe("resolvePaths", () => {
  test("follows the XDG defaults", () => {
    expect(plain).toEqual({
      home: "/home/ann",
      configFile: "/home/ann/.config/headjack/config.yaml",
      credentialsKey: "/home/ann/.config/headjack/credentials.key",
      dataDir: "/home/ann/.local/share/headjack",
      database: "/home/ann/.local/share/headjack/headjack.db",
      worktrees: "/home/ann/.local/share/headjack/worktrees",
      logs: "/home/ann/.local/share/headjack/logs",
      instances: "/home/ann/.local/share/headjack/instances",
      hubs: "/home/ann/.local/share/headjack/hubs",
      removed: "/home/ann/.local/share/headjack/removed",
      credentialsFile: "/home/ann/.local/share/headjack/credentials.enc",
      runtimeDir: plain.runtimeDir,
      tmuxSocket: `${plain.runtimeDir}/tmux`,
    });
    expect(plain.runtimeDir).toBe("/home/ann/.local/share/headjack/run");
  });

  test("takes absolute XDG folders and ignores relative and empty ones", () => {
    const env = { XDG_CONFIG_HOME: "/c/", XDG_DATA_HOME: "data" };
    const paths = resolvePaths(env, "linux", 1000, "/home/ann");
    expect(paths.configFile).toBe("/c/headjack/config.yaml");
    expect(paths.dataDir).toBe("/home/ann/.local/share/headjack");
    const empty = { XDG_CONFIG_HOME: "", XDG_DATA_HOME: "", HEADJACK_HOME: "" };
    expect(resolvePaths(empty, "linux", 1000, "/home/ann")).toEqual(plain);
  });

  test("HEADJACK_HOME holds everything, and needs no home", () => {
    const paths = resolvePaths({ HEADJACK_HOME: "/t/x/", XDG_DATA_HOME: "/d" }, "darwin", 501, "");
    expect(paths.configFile).toBe("/t/x/config.yaml");
    expect(paths.dataDir).toBe("/t/x/data");
    expect(paths.credentialsKey).toBe("/t/x/credentials.key");
  });

  test("two data folders never share a socket, and two spellings of one do", () => {
    expect(socket("/d1")).not.toBe(socket("/d2"));
    expect(socket("/d1/")).toBe(socket("/d0/../d1"));
  });

  test("a socket path is always short enough", () => {
    const env = { HEADJACK_HOME: `/${"ü".repeat(100)}` };
    const paths = resolvePaths(env, "linux", 4294967294, "/home/ann");
    expect(paths.tmuxSocket).toMatch(/^\/tmp\/headjack-4294967294\//);
    expect(Buffer.byteLength(paths.tmuxSocket)).toBeLessThan(100);
  });

  test("refuses what cannot work", () => {
    expect(() => resolvePaths({ HEADJACK_HOME: "x" }, "linux", 0, "/root")).toThrow(/absolute/);
    expect(() => resolvePaths({}, "linux", 0, "")).toThrow(/HOME/);
    expect(() => resolvePaths({}, "win32", undefined, "C:\\")).toThrow(/Windows/);
  });
});
