import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, exists, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notificationFinding, notify, type NotifyEvent, type NotifySettings } from "../../src/core/notify.ts";
import { ringBell } from "../../src/drivers/bell.ts";
import { desktopObstacle, showOnDesktop } from "../../src/drivers/desktop.ts";
import { eventually } from "../support/harness.ts";

/* How the user is told of things. The programs that show them are stand-ins that note what they were given. */

const uid = process.getuid?.() ?? 0;
const off: NotifySettings = { waiting: [], done: [], failed: [], command: [] };
const repo = { id: "r1", gitDir: "/home/ann/my-app/.git", name: "my-app" };

let folder: string;
let env: Record<string, string>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hjk-notify-"));
  await mkdir(join(folder, "bin"));
  env = {
    PATH: `${join(folder, "bin")}:/usr/bin:/bin`,
    DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent",
    NOTED: join(folder, "noted"),
  };
});

afterEach(async () => await rm(folder, { recursive: true }));

async function program(name: string, script: string): Promise<string> {
  const path = join(folder, "bin", name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

const notesArguments = `for word do printf '%s\\0' "$word"; done > "$NOTED"`;

/** The words that a program has noted. */
async function noted(): Promise<string[]> {
  return (await readFile(join(folder, "noted"), "utf8")).split("\0").slice(0, -1);
}

function event(more: Partial<NotifyEvent> = {}): NotifyEvent {
  return {
    kind: "waiting",
    instance: { id: "abc123", repoId: "r1", branch: "feat/login" },
    session: { name: "happy-panda", type: "claude" },
    terminals: [],
    ...more,
  };
}

const deps = () => ({ env, user: { uid, gid: 0 }, store: { repo: () => repo } });

/** Where notify-send would be used; elsewhere the stand-ins would not be asked. */
const usesNotifySend =
  process.platform === "linux" && desktopObstacle({ DBUS_SESSION_BUS_ADDRESS: "x" }) !== "wsl";

describe.skipIf(!usesNotifySend)("on the desktop", () => {
  test.each([
    [{ reason: "permission", message: "May I?" }, "feat/login: claude asks for permission", "May I?"],
    [{ reason: "toString" }, "feat/login: claude waits for you", "hjk attach feat/login happy-panda"],
    [{ kind: "done", message: "All\n tests\tpass." }, "feat/login: claude is done", "All tests pass."],
    [
      { kind: "failed", reason: "login" },
      "feat/login: claude has failed",
      "hjk attach feat/login happy-panda",
    ],
  ] as const)("shows %j", async (more, title, body) => {
    await program("notify-send", notesArguments);
    await notify(
      deps(),
      { ...off, waiting: ["desktop"], done: ["desktop"], failed: ["desktop"] },
      event(more),
    );
    expect(await noted()).toEqual(["--app-name=Headjack", "--", title, body]);
  });

  test.each([
    ["an option", "--help", "--help"],
    ["markup", '<a href="x">&amp;</a>', '&lt;a href="x"&gt;&amp;amp;&lt;/a&gt;'],
    ["escapes of C", "C:\\new \\033[31m", "C:\\\\new \\\\033[31m"],
    ["those of a terminal", "\u001B]0;title\u0007a\u001B[31mb\u009B31mc\u0000d\u001B", "abc d"],
    ["what is invisible", "a\u202Eb\u200Bc\uD800d\u2028e", "abc d e"],
    ["code", "$(id) `id` 🙂", "$(id) `id` 🙂"],
    ["a long one", "é".repeat(5000), `${"é".repeat(199)}…`],
    ["one of pictures", "🙂".repeat(5000), `${"🙂".repeat(99)}…`],
  ])("a message can do nothing but be read: %s", async (_what, message, shown) => {
    await program("notify-send", notesArguments);
    await notify(deps(), { ...off, waiting: ["desktop"] }, event({ message }));
    expect((await noted())[3]).toBe(shown);
  });

  test("of macOS, whose script holds none of the text", async () => {
    await program("osascript", notesArguments);
    const note = { title: 'a" & (do shell script "id")', body: "-e" };
    await showOnDesktop(note, { env, timeoutMs: 10_000, platform: "darwin" });
    const words = await noted();
    expect(words.slice(-3)).toEqual(["--", note.title, note.body]);
    expect(words.slice(0, -3).join(" ")).not.toContain("shell script");
  });

  test("shows nothing where there is none", async () => {
    const linux = (more: Record<string, string>) => desktopObstacle({ ...env, ...more }, "linux");
    expect(desktopObstacle({ ...env, PATH: join(folder, "bin") }, "linux")).toBe("no-tool");
    await program("notify-send", notesArguments);
    expect(linux({})).toBeUndefined();
    expect(linux({ WSL_DISTRO_NAME: "Debian" })).toBe("wsl");
    const noBus = { DBUS_SESSION_BUS_ADDRESS: "", XDG_RUNTIME_DIR: folder };
    expect(linux(noBus)).toBe("no-desktop");
    const bare = { ...deps(), env: { ...env, ...noBus } };
    await notify(bare, { ...off, waiting: ["desktop"] }, event());
    expect(await exists(join(folder, "noted"))).toBe(false);
    await writeFile(join(folder, "bus"), "");
    expect(linux(noBus)).toBeUndefined();
  });
});

describe("by a command", () => {
  test("that gets the event in its environment, and its own words as they are", async () => {
    const command = [
      await program("tell", `${notesArguments}; env | grep '^HJK_' | sort >> "$NOTED"`),
      "$HJK_X",
      "",
    ];
    await notify(
      deps(),
      { ...off, done: ["command"], command },
      event({ kind: "done", reason: "question", message: "two\nlines\u001B[0m; $(id)" }),
    );
    const [first, second, rest] = (await readFile(join(folder, "noted"), "utf8")).split("\0");
    expect([first, second]).toEqual(["$HJK_X", ""]);
    expect(rest?.trimEnd().split("\n")).toEqual([
      "HJK_AGENT=claude",
      "HJK_BRANCH=feat/login",
      "HJK_EVENT=done",
      "HJK_INSTANCE=abc123",
      "HJK_MESSAGE=two lines; $(id)",
      "HJK_REASON=question",
      "HJK_REPOSITORY=/home/ann/my-app",
      "HJK_SESSION_NAME=happy-panda",
    ]);
  });

  test("only for the events that it was chosen for", async () => {
    const command = [await program("tell", notesArguments)];
    await notify(deps(), { ...off, done: ["command"], command }, event());
    expect(await exists(join(folder, "noted"))).toBe(false);
  });

  test.each(["exit 3", "kill -9 $$", "yes"])("whose failure is nobody's (%s)", async (script) => {
    const command = [await program("tell", script)];
    await notify(deps(), { ...off, waiting: ["command", "desktop"], command }, event(), 300);
    await notify(deps(), { ...off, waiting: ["command"], command: ["/nonexistent/tell"] }, event());
    await notify(deps(), { ...off, waiting: ["command"] }, event());
  });

  test("that hangs is ended", async () => {
    const command = [await program("tell", `: > "$NOTED"; sleep 1000; : > "$NOTED.end"`)];
    await notify(deps(), { ...off, waiting: ["command"], command }, event(), 300);
    expect(await exists(join(folder, "noted"))).toBe(true);
    expect(await exists(join(folder, "noted.end"))).toBe(false);
  });
});

describe("by the bell", () => {
  test("of the user's terminals, and of no other file", async () => {
    let received = "";
    const shell = Bun.spawn(["sh", "-c", "tty; read line"], {
      terminal: { data: (_terminal, data) => (received += new TextDecoder().decode(data)) },
    });
    await eventually(() => /\/dev\/\w+/.test(received), "the terminal has a name");
    const terminal = /\/dev\/[\w/]+/.exec(received)?.[0] ?? "";
    const file = join(folder, "file");
    await writeFile(file, "");
    await symlink(terminal, join(folder, "link"));
    const terminals = [
      file,
      join(folder, "link"),
      "/dev/pts/../null",
      "/dev/pts/999999",
      "/dev/null",
      terminal,
      terminal,
    ];
    await notify(deps(), { ...off, waiting: ["bell"] }, event({ terminals }));
    await eventually(() => received.includes("\u0007"), "the bell rings");
    expect(received.split("\u0007").length).toBe(2);
    expect(await readFile(file, "utf8")).toBe("");
    expect(ringBell(terminal, uid)).toBe(true);
    expect(ringBell(terminal, uid + 1)).toBe(false);
    for (const other of terminals.slice(0, -2)) expect(ringBell(other, uid)).toBe(false);
    shell.kill();
    await shell.exited;
  });
});

const found = (settings: Partial<NotifySettings>) => notificationFinding({ env }, { ...off, ...settings });

test("doctor says what the user will not be told", async () => {
  expect(found({})).toMatchObject({ state: "ok", detail: "switched off" });
  expect(found({ done: ["bell"], failed: ["bell"] })).toMatchObject({ state: "ok", detail: "bell" });
  expect(found({ done: ["command"] })).toMatchObject({
    state: "warning",
    detail: "notify.command is not set",
  });
  expect(found({ done: ["command"], command: ["/nonexistent/x"] })).toMatchObject({
    state: "warning",
    detail: "notify.command: /nonexistent/x is not a program here",
  });
  const command = [await program("tell", "true")];
  expect(found({ done: ["command", "bell"], command })).toMatchObject({
    state: "ok",
    detail: "command, bell",
  });
});
