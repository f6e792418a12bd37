import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, eventually, runProgram, Sandbox, Terminal } from "../support/harness.ts";

/* Sessions: what they are called, how they end, what reaches the user's terminal, what can be read of them. */

setDefaultTimeout(60_000);

let sandbox: Sandbox;
let terminal: Terminal;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  terminal = await Terminal.open(sandbox, { trusting: true });
  await sandbox.ok(["run", "work", "-d", "--name", "first"]);
  await sandbox.ok(["run", "other", "-d", "--name", "beside"]);
});

afterAll(async () => {
  await terminal.close();
  await sandbox[Symbol.asyncDispose]();
});

/** Starts a shell script in a session of its own and leaves it there. */
async function start(name: string, script: string): Promise<void> {
  await sandbox.ok(["exec", "-d", "-n", name, "work", "bash", "-c", script]);
}

async function session(name: string, branch = "work") {
  const found = (await sandbox.instance(branch)).sessions.findLast((one) => one.name === name);
  if (found === undefined) throw new Error(`no session ${name}`);
  return found;
}

async function ended(name: string) {
  await eventually(async () => (await session(name)).status === "exited", `${name} ends`);
  return await session(name);
}

async function logs(name: string, ...options: string[]): Promise<string> {
  return (await sandbox.ok(["logs", "work", name, ...options])).trimEnd();
}

/** Waits until a session has printed something. */
async function printed(name: string, wanted: string): Promise<void> {
  let text = "";
  await eventually(
    async () => {
      text = await logs(name);
      return text.includes(wanted);
    },
    () => Promise.resolve(`${name} prints ${wanted}; its log is:\n${text}`),
  );
}

/** Attaches the terminal to a session and waits until it is there. */
async function attach(name: string): Promise<void> {
  await terminal.clear();
  await terminal.type(`hjk attach work ${name}`);
  await terminal.waitFor(`work  ${name} (shell)`);
}

/** Command lines of the processes in the container. */
async function processes(): Promise<string> {
  return (await sandbox.inside("work", ["ps", "-eo", "args"], "root")).stdout;
}

describe("names, types and ends", () => {
  test("a session has a name of its own or the one it was given, and a type", async () => {
    const output = await sandbox.ok(["run", "work", "-d"]);
    const [, name = ""] = /^Created session ([a-z]+-[a-z]+) in instance /.exec(output) ?? [];
    expect(await session(name)).toMatchObject({
      type: "shell",
      status: "detached",
      exitCode: null,
      end: null,
    });
    expect(await session("first")).toMatchObject({ type: "shell", status: "detached" });
    await sandbox.ok(["kill", `work/${name}`]);
  });

  test("a name that is taken is refused, and free again when its session has ended", async () => {
    await start("taken", "sleep 1000");
    for (const command of [
      ["run", "work", "-d", "--name", "taken"],
      ["exec", "-d", "-n", "taken", "work", "true"],
    ]) {
      const refused = await sandbox.hjk(command);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain("work has a session named taken already.");
      expect(refused.stderr).toContain("hint: Attach to it: hjk attach work taken");
    }
    const instance = await sandbox.instance("work");
    expect(instance.sessions.filter((one) => one.name === "taken")).toHaveLength(1);
    // Another instance has names of its own.
    await sandbox.ok(["exec", "-d", "-n", "taken", "other", "true"]);
    expect(await sandbox.ok(["kill", "work/taken"])).toBe(
      `Killed session taken in instance ${instance.id}\n`,
    );
    await start("taken", "echo the second one");
    await printed("taken", "the second one");
  });

  test("a program that dies while it is watched takes no other session with it", async () => {
    // Agents ask for focus reports; a tmux that has to give one to a dead pane crashes.
    for (const end of ["sleep 1", "sleep 1; kill -9 $$"]) {
      await terminal.clear();
      await terminal.run(`hjk exec work bash -c 'printf "\\033[?1004h"; ${end}'`);
      expect(await session("first")).toMatchObject({ status: "detached" });
      expect(await session("beside", "other")).toMatchObject({ status: "detached" });
    }
  });

  test("how a session ended is kept: its exit code, or that it was killed", async () => {
    await start("good", "exit 0");
    await start("bad", "exit 7");
    await start("signal", "kill -9 $$");
    await start("ended", "sleep 1000");
    await sandbox.ok(["kill", "work/ended"]);
    expect(await ended("good")).toMatchObject({ exitCode: 0, end: "exited" });
    expect(await ended("bad")).toMatchObject({ exitCode: 7, end: "exited" });
    expect(await ended("signal")).toMatchObject({ exitCode: 137, end: "exited" });
    expect(await session("ended")).toMatchObject({ status: "exited", exitCode: null, end: "killed" });
    const { screen } = await terminal.run("hjk ps work");
    expect(screen).toMatch(/^SESSION +TYPE +STATUS +CREATED +ACCESSED +EXIT$/m);
    expect(screen).toMatch(/^bad +shell +exited .* 7$/m);
    expect(screen).toMatch(/^first +shell +detached .* (ago|now)$/m);
    // What was killed is not listed again, unless one asks for all.
    expect(screen).not.toMatch(/^ended /m);
    expect((await terminal.run("hjk ps work -a")).screen).toMatch(/^ended +shell +exited .* killed$/m);
    const attaching = await terminal.run("hjk attach work bad");
    expect(attaching.code).toBe(1);
    expect(attaching.screen).toContain("Session bad of work exited with code 7.");
  });
});

describe("exec", () => {
  test("without a terminal it passes input, both outputs and the exit code on, and makes no session", async () => {
    const before = (await sandbox.instance("work")).sessions.length;
    const result = await sandbox.hjk(["exec", "work", "sh", "-c", "cat; echo err >&2; exit 3"], {
      input: "piped in\n",
    });
    expect(result).toEqual({ code: 3, stdout: "piped in\n", stderr: "err\n" });
    expect((await sandbox.hjk(["exec", "work", "no-such-program"])).code).toBeOneOf([126, 127]);
    expect((await sandbox.instance("work")).sessions).toHaveLength(before);
  });

  test("at a terminal it is a session, and its exit code is passed on", async () => {
    const { code, screen } = await terminal.run("hjk exec -n short work sh -c 'exit 4'");
    expect(code).toBe(4);
    expect(screen).toContain("Created session short in instance");
    expect(screen).toContain("Session short exited with code 4.");
    expect(await session("short")).toMatchObject({ type: "shell", exitCode: 4 });
  });

  test("what a command printed at a terminal is still there when its screen is gone", async () => {
    const { code, screen } = await terminal.run("hjk exec work sh -c 'seq 1 3; echo the result'");
    expect(code).toBe(0);
    expect(screen).toContain("1\n2\n3\nthe result\n");
  });

  test("the end of a short command is never overlooked", async () => {
    // Ten in a row: tmux up to 3.3 would miss about every fifth, and the terminal would hang.
    for (let count = 0; count < 10; count++) {
      const { code } = await terminal.run("hjk exec work sh -c 'exit 6'", 10_000);
      expect(code).toBe(6);
    }
  });

  test("a command that fails at once shows why, though its screen is gone", async () => {
    const { code, screen } = await terminal.run("hjk exec work no-such-program");
    // Docker's choice of the two differs by version.
    expect(code).toBeOneOf([126, 127]);
    expect(screen).toContain('"no-such-program": executable file not found');
  });

  test("every word of a command arrives as it is, also those that mean something to tmux", async () => {
    const words = [";", "a;", "a\\;", "#{pid}", "%H", "$HOME", "-x", "", "it's"];
    const show = ["sh", "-c", 'printf "[%s]" "$@"; echo; read line', "sh"];
    await sandbox.ok(["exec", "-d", "-n", "words", "work", ...show, ...words]);
    await printed("words", words.map((word) => `[${word}]`).join(""));
    await sandbox.ok(["kill", "work/words"]);
  });

  test("what nobody waits for any more is ended inside, too", async () => {
    const piped = await runProgram(["sh", "-c", `${binary} exec work yes piped-on | head -2`], {
      cwd: sandbox.repo,
      env: sandbox.env,
    });
    expect(piped.stdout).toBe("piped-on\npiped-on\n");
    for (const signal of ["TERM", "INT"]) {
      const command = ["timeout", "--signal", signal, "2", binary, "exec", "work", "sleep", "997"];
      await runProgram(command, { cwd: sandbox.repo, env: sandbox.env });
    }
    await eventually(async () => !/yes piped-on|sleep 997/.test(await processes()), "no process is left");
  });

  test("--no-mux runs on the terminal itself, without a session", async () => {
    const before = (await sandbox.instance("work")).sessions.length;
    const { code, screen } = await terminal.run("hjk exec --no-mux work sh -c 'tty; exit 5'");
    expect(code).toBe(5);
    expect(screen).toContain("/dev/pts/");
    expect((await sandbox.instance("work")).sessions).toHaveLength(before);
  });
});

describe("attach", () => {
  test("run without -d puts the terminal on a shell, whose exit code is passed on", async () => {
    await terminal.clear();
    await terminal.type("hjk run work --name shell");
    await terminal.waitFor("work  shell (shell)");
    await terminal.waitFor(/^developer@.*\$/m);
    await terminal.type("cat .git; id -un");
    await terminal.waitFor(/^gitdir: .*\n(\S+@)?developer/m);
    const { code, screen } = await terminal.ends(() => terminal.type("exit 3"));
    expect(code).toBe(3);
    expect(screen).toContain("Session shell exited with code 3.");
  });

  test("a branch whose name means something to tmux is shown as it is", async () => {
    await sandbox.ok(["run", "fix/100%H#S", "-d", "--name", "odd"]);
    await terminal.clear();
    await terminal.type("hjk attach fix/100%H#S");
    await terminal.waitFor("fix/100%H#S  odd (shell)");
    await terminal.detach();
    await sandbox.ok(["rm", "-f", "fix/100%H#S"]);
  });

  test("works inside another tmux, whose keys stay its own", async () => {
    // The terminal of these tests is a tmux: the variable that makes tmux refuse is set.
    expect((await terminal.run("echo ${TMUX:-none}")).screen).toMatch(/^\/.*,\d+,\d+$/m);
    await attach("first");
    expect((await session("first")).status).toBe("attached");
    const { code } = await terminal.detach();
    expect(code).toBe(0);
    expect((await session("first")).status).toBe("detached");
  });

  test("without arguments it goes to the session used last", async () => {
    for (const [branch, name] of [
      ["work", "first"],
      ["other", "beside"],
      ["work", "first"],
    ]) {
      await terminal.clear();
      await terminal.type(`hjk attach ${branch} ${name}`);
      await terminal.waitFor(`${branch}  ${name} (shell)`);
      await terminal.detach();
      await terminal.clear();
      await terminal.type("hjk attach");
      await terminal.waitFor(`${branch}  ${name} (shell)`);
      await terminal.detach();
    }
  });

  test("two terminals may look at one session", async () => {
    await using second = await secondTerminal();
    await attach("first");
    await second.terminal.type("hjk attach work first");
    await second.terminal.waitFor("work  first (shell)");
    await terminal.type("echo seen by $((1 + 1))");
    await second.terminal.waitFor("seen by 2");
    await second.terminal.detach();
    await terminal.type("echo still $((40 + 2))");
    await terminal.waitFor("still 42");
    await terminal.detach();
  });
});

async function secondTerminal() {
  const terminal = await Terminal.open(sandbox);
  return { terminal, [Symbol.asyncDispose]: () => terminal.close() };
}

describe("kill", () => {
  test("ends every process of the session in the container, and no other", async () => {
    await start("neighbour", "sleep 4001");
    // One that ignores TERM and HUP, one in the background, and one that has left for a session of its own.
    await start(
      "stubborn",
      "trap '' TERM HUP; sleep 4002 & setsid sleep 4003 & while :; do sleep 4004; done",
    );
    await eventually(async () => {
      const running = await processes();
      return ["4001", "4002", "4003", "4004"].every((one) => running.includes(`sleep ${one}`));
    }, "all of them run");
    await sandbox.ok(["kill", "work/stubborn"]);
    const left = await processes();
    expect(left).toContain("sleep 4001");
    expect(left).not.toMatch(/sleep 400[234]/);
    expect(left).not.toContain("trap");
    expect((await sandbox.hjk(["kill", "work/stubborn"])).stderr).toContain("had ended already");
    await sandbox.ok(["kill", "work/neighbour"]);
    expect(await processes()).not.toContain("sleep 4001");
  });
});

describe("what passes between the terminal and the program", () => {
  test("Ctrl+P, Ctrl+Q and the other keys of the engine's client reach the program", async () => {
    await start("keys", "stty raw -echo; echo ready; dd bs=1 count=6 status=none | od -An -tx1; sleep 1000");
    await printed("keys", "ready");
    await attach("keys");
    await terminal.press("C-p", "C-q", "C-]", "C-^", "C-\\", "x");
    await terminal.waitFor("10 11 1d 1e 1c 78");
    await terminal.detach();
    await sandbox.ok(["kill", "work/keys"]);
  });

  test("Ctrl+B twice is Ctrl+B itself", async () => {
    await start(
      "prefix",
      "stty raw -echo; echo ready; dd bs=1 count=1 status=none | od -An -tx1; sleep 1000",
    );
    await printed("prefix", "ready");
    await attach("prefix");
    await terminal.press("C-b", "C-b");
    await terminal.waitFor("02");
    await terminal.detach();
    await sandbox.ok(["kill", "work/prefix"]);
  });

  test("text of any script and true colour arrive as they are", async () => {
    const text = "Grüße, 漢字 и 🐼 ▐▛█";
    await start(
      "colours",
      `printf '\\033[38;2;12;34;56m${text}\\033[0m|\\n'; echo $LANG $COLORTERM; sleep 1000`,
    );
    await printed("colours", `${text}|`);
    await attach("colours");
    await terminal.waitFor(`${text}|`);
    await terminal.waitFor("C.UTF-8 truecolor");
    expect(await terminal.screen({ colours: true })).toContain(`\u001b[38;2;12;34;56m${text}`);
    await terminal.type("ñandú 🦊");
    await terminal.waitFor("ñandú 🦊");
    await terminal.detach();
    await sandbox.ok(["kill", "work/colours"]);
  });

  test("a session has a sensible size while nobody looks, and that of the terminal afterwards", async () => {
    await start("size", "while :; do stty size | tr '\\n' '|'; sleep 0.2; done");
    await printed("size", "40 120|");
    await attach("size");
    // One row is tmux's own line.
    await terminal.waitFor("34 100|");
    await terminal.resize({ cols: 90, rows: 30 });
    await terminal.waitFor("29 90|");
    await terminal.detach();
    await terminal.resize({ cols: 100, rows: 35 });
    await sandbox.ok(["kill", "work/size"]);
    await terminal.run("hjk exec -d -n from-terminal work sh -c 'while :; do stty size; sleep 0.2; done'");
    await printed("from-terminal", "34 100");
    await sandbox.ok(["kill", "work/from-terminal"]);
  });

  test("attack 39: clipboard, title and other sequences of a hostile program stay away from the terminal", async () => {
    const stolen = Buffer.from("stolen-clipboard").toString("base64");
    const sequences = [
      `\\033]52;c;${stolen}\\007`,
      `\\033Ptmux;\\033\\033]52;c;${stolen}\\007\\033\\\\`,
      "\\033]0;stolen-title\\007",
      "\\033]2;stolen-title\\033\\\\",
      "\\033kstolen-title\\033\\\\",
      "\\033P0;1|17/73746f6c656e-dcs\\033\\\\",
      "\\033_stolen-apc\\033\\\\",
      "\\033^stolen-pm\\033\\\\",
      "\\033]9;stolen-notification\\007",
      "\\033]777;notify;stolen;stolen-notification\\007",
      "\\033]7501;stolen-state\\007",
      "\\033]1337;SetMark=stolen\\007",
      "\\007",
    ].join("");
    const script = `printf '${sequences}'; echo "now $((40 + 2))"`;

    // First without Headjack: it is the terminal of someone who could be harmed.
    const readControl = await terminal.tap();
    await terminal.run(script);
    await terminal.waitFor("now 42");
    expect(await terminal.clipboard()).toBe("stolen-clipboard");
    expect(await terminal.ask("#{pane_title}")).toStartWith("stolen-");
    const control = await readControl();
    for (const mark of [stolen, "stolen-title", "-dcs", "stolen-apc", "stolen-notification"])
      expect(control).toContain(mark);

    await using other = await (async () => {
      const fresh = await Terminal.open(sandbox, { trusting: true });
      return { terminal: fresh, [Symbol.asyncDispose]: () => fresh.close() };
    })();
    const title = await other.terminal.ask("#{pane_title}");
    // The program begins when someone looks; what it had printed before is only drawn.
    await start("hostile", `read; ${script}; read`);
    await other.terminal.type("hjk attach work hostile");
    await other.terminal.waitFor("work  hostile (shell)");
    const read = await other.terminal.tap();
    await other.terminal.press("Enter");
    await other.terminal.waitFor("now 42");
    await other.terminal.press("C-b", "[");
    await other.terminal.press("q");
    await other.terminal.detach();
    const bytes = await read();
    expect(bytes).toContain("now 42");
    for (const mark of ["stolen", "-dcs", "\u0007", stolen]) expect(bytes).not.toContain(mark);
    expect(await other.terminal.clipboard()).toBe("");
    expect(await other.terminal.ask("#{pane_title}")).toBe(title);

    // Nor does the log carry them, though the recording has them.
    const log = await other.terminal.tap();
    const shown = await other.terminal.run("hjk logs work hostile");
    expect(shown.screen).toContain("now 42");
    for (const mark of ["stolen", "-dcs", "\u0007", "\u001b]", "\u001bP"])
      expect(await log()).not.toContain(mark);
    expect(await logs("hostile", "--raw")).toContain("stolen-title");
    await sandbox.ok(["kill", "work/hostile"]);
  });

  test("the user's own tmux configuration is not loaded", async () => {
    const mark = join(sandbox.folder, "home", "loaded");
    const config = `set -s set-clipboard on\nset -g allow-passthrough on\nrun-shell "touch '${mark}'"\n`;
    await writeFile(join(sandbox.folder, "home", ".tmux.conf"), config);
    await using own = await Sandbox.create();
    const env = { HOME: join(sandbox.folder, "home") };
    await own.ok(["run", "work", "-d", "--name", "first"], { env });
    const tmux = async (...args: string[]) =>
      await runProgram(["tmux", "-S", join(own.folder, "hjk", "data", "run", "tmux"), ...args]);
    expect((await tmux("show-options", "-sv", "set-clipboard")).stdout).toBe("off\n");
    expect((await tmux("show-options", "-gv", "allow-passthrough")).stdout).toBe("off\n");
    expect(await Bun.file(mark).exists()).toBe(false);
    // The same file is loaded by a tmux that is not Headjack's.
    const socket = join(own.folder, "plain");
    await runProgram(["tmux", "-S", socket, "new-session", "-d", "sleep 100"], { env: { ...sandbox.env } });
    await eventually(() => Bun.file(mark).exists(), "a plain tmux loads the configuration");
    await runProgram(["tmux", "-S", socket, "kill-server"]);
  });
});

describe("logs", () => {
  test("show a full-screen program as it stood, while it runs and after it", async () => {
    await start("pager", "seq 1 500 > /tmp/numbers; less /tmp/numbers");
    await printed("pager", "\n7\n");
    await attach("pager");
    await terminal.press("G");
    await terminal.waitFor(/\n500\n/);
    await terminal.detach();
    expect(await logs("pager", "-n", "5")).toContain("500");
    await attach("pager");
    await terminal.ends(() => terminal.press("q"));
    expect((await session("pager")).exitCode).toBe(0);
    const after = await logs("pager");
    expect(after).toContain("499\n500");
    expect(after).not.toContain("\u001b");
  });

  test("show what was redrawn once, in its last state", async () => {
    await start(
      "progress",
      "for i in $(seq 1 60); do printf '\\rdone %d of 60' $i; sleep 0.02; done; printf '\\nall done\\n'; read",
    );
    await printed("progress", "all done");
    expect(await logs("progress")).toBe("done 60 of 60\nall done");
    await sandbox.ok(["kill", "work/progress"]);
    expect(await logs("progress")).toBe("done 60 of 60\nall done");
  });

  test("can be cut, or read whole, or as they were recorded", async () => {
    await start("many", "printf '\\033[31mred\\033[0m\\n'; seq 1 300");
    await ended("many");
    expect((await logs("many")).split("\n")).toEqual(Array.from({ length: 100 }, (_, i) => String(201 + i)));
    expect(await logs("many", "-n", "3")).toBe("298\n299\n300");
    expect(await logs("many", "-n", "0")).toBe("");
    const full = (await logs("many", "--full")).split("\n");
    expect(full[0]).toBe("red");
    expect(full).toHaveLength(301);
    expect(await logs("many", "--raw")).toStartWith("\u001b[31mred\u001b[0m");
    const refused = await terminal.run("hjk logs work many --raw");
    expect(refused.code).toBe(2);
    expect(refused.screen).toContain("--raw could change your terminal");
    const bad = await sandbox.hjk(["logs", "work", "many", "-n", "few"]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain("It takes a number of lines.");
  });

  test("-f prints lines as they come and ends with the session", async () => {
    await start("followed", "read; for i in $(seq 1 5); do echo line $i; sleep 0.2; done; exit 2");
    await terminal.clear();
    const following = sandbox.hjk(["logs", "work", "followed", "-f"]);
    await attach("followed");
    await terminal.ends(() => terminal.press("Enter"));
    const { code, stdout } = await following;
    expect(stdout.trim().split("\n")).toEqual(["line 1", "line 2", "line 3", "line 4", "line 5"]);
    expect(code).toBe(0);
  });

  test("a session that prints without end keeps a recording of limited size", async () => {
    // As in src/drivers/tmux.ts: two files by turns.
    const limit = 16 * 1024 * 1024;
    const folder = join(sandbox.folder, "hjk", "data", "logs");
    const before = new Set(await readdir(folder, { recursive: true }));
    await start(
      "flood",
      `yes 'a line that comes again' | head -n ${Math.ceil((3 * limit) / 25)}; echo THE END; read`,
    );
    let largest = 0;
    let rotated = false;
    await eventually(
      async () => {
        const files = (await readdir(folder, { recursive: true })).filter(
          (name) => !before.has(name) && /\.log/.test(name),
        );
        rotated ||= files.some((name) => name.endsWith(".1"));
        const sizes = files.map((name) => Bun.file(join(folder, name)).size);
        largest = Math.max(
          largest,
          sizes.reduce((sum, size) => sum + size, 0),
        );
        return (await logs("flood", "-n", "3")).includes("THE END");
      },
      "the flood ends",
      60_000,
    );
    expect(rotated).toBe(true);
    expect(largest).toBeGreaterThan(limit);
    expect(largest).toBeLessThanOrEqual(2 * limit);
    await sandbox.ok(["kill", "work/flood"]);
    // Read from the recording now, whose end must be there.
    expect(await logs("flood", "-n", "2")).toBe("a line that comes again\nTHE END");
  });

  test("of a stopped instance, and of a session whose tmux was killed, can still be read", async () => {
    await sandbox.ok(["exec", "-d", "-n", "lost", "other", "sh", "-c", "echo before the crash; sleep 1000"]);
    await eventually(
      async () => (await sandbox.ok(["logs", "other", "lost"])).includes("before the crash"),
      "it has printed",
    );
    await runProgram(["tmux", "-S", join(sandbox.folder, "hjk", "data", "run", "tmux"), "kill-server"]);
    expect(await session("lost", "other")).toMatchObject({ status: "exited", end: "lost", exitCode: null });
    expect((await terminal.run("hjk ps other")).screen).toMatch(/^lost +shell +exited .* lost$/m);
    expect((await terminal.run("hjk attach other lost")).screen).toContain("was ended (lost)");
    expect(await sandbox.ok(["logs", "other", "lost"])).toBe("before the crash\n");
    // A new one comes up by itself, with a server of its own.
    await sandbox.ok(["run", "other", "-d", "--name", "again"]);
    expect((await session("again", "other")).status).toBe("detached");
    expect(await sandbox.ok(["stop", "other"])).toMatch(/^Stopped instance [0-9a-f]+ for branch other\n$/);
    expect(await session("again", "other")).toMatchObject({ status: "exited", end: "stopped" });
    expect(await sandbox.ok(["logs", "other", "lost"])).toBe("before the crash\n");
    const { stdout } = await sandbox.hjk(["run", "other", "-d", "--name", "once-more"]);
    expect(stdout).toMatch(/^Started instance .*\nCreated session once-more in instance /);
  });
});
