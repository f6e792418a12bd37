import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, runProgram, Sandbox, type Output } from "../support/harness.ts";
import { gitIn, Instance, leftovers } from "../support/workbench.ts";

/* What bad input and a bad world get: a clear error, a hint, the exit code for it, and nothing half made. */

const minute = 60_000;
const isRoot = process.getuid?.() === 0;

let sandbox: Sandbox;
let instance: Instance;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  instance = await Instance.make(sandbox, "feat/known");
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

/** All there is: to see that nothing was added. */
async function world(): Promise<string[]> {
  const refs = await sandbox.git("for-each-ref", "--format=%(refname) %(objectname)");
  const { instances } = JSON.parse(await sandbox.ok(["ps", "-a", "--json"])) as {
    instances: { uncommitted: unknown }[];
  };
  // That is looked at when a screen comes to rest, whatever commands are given.
  const lasting = instances.map((instance) => ({ ...instance, uncommitted: null }));
  return [
    ...(await leftovers(sandbox)),
    refs,
    await sandbox.git("status", "--porcelain"),
    JSON.stringify(lasting),
  ].toSorted();
}

/** One or more lines `error: ...`, then hints; no stack trace, nothing internal, no result. */
function expectRefusal(result: Output, code: number, error: string | RegExp): void {
  expect(result).toMatchObject({ code, stdout: "" });
  expect(result.stderr).toMatch(/^error: [^\n]+\n(.*\n)*?hint: [^\n]+\n/);
  expect(result.stderr).not.toMatch(/internal|\n\s+at /);
  // eslint-disable-next-line no-control-regex
  expect(result.stderr).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e\u200b]/);
  if (typeof error === "string") expect(result.stderr).toContain(error);
  else expect(result.stderr).toMatch(error);
}

/** The same of a fault in the configuration: its place says what to do. */
async function refusedConfig(args: string[], error: RegExp, env: Record<string, string>): Promise<void> {
  const result = await sandbox.hjk(args, { env });
  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr).toMatch(error);
  expect(result.stderr).not.toContain("internal");
}

async function refused(
  args: string[],
  code: number,
  error: string | RegExp,
  options: Parameters<Sandbox["hjk"]>[1] = {},
): Promise<Output> {
  const result = await sandbox.hjk(args, options);
  expectRefusal(result, code, error);
  return result;
}

describe("names", () => {
  let before: string[];
  beforeAll(async () => {
    before = await world();
  });
  afterAll(async () => expect(await world()).toEqual(before));

  test.each([
    ["$(id)"],
    ["`id`"],
    ["../x"],
    ["/etc/passwd"],
    ["a\nb"],
    ["a\u001b]0;owned\u0007b"],
    ["a\u202eb\u200b"],
    ["🐼"],
    ["x".repeat(300)],
    ["a b"],
    ["a~b"],
    ["a..b"],
    ["a.lock"],
    ["HEAD"],
    ["@{-1}"],
    [""],
    ["refs/heads/../../x"],
    ["a\\b"],
    ["a;touch x"],
    ["*"],
  ])("the branch %j", async (branch) => {
    await refused(["run", branch, "-d"], 2, "cannot be a branch name");
  });

  test.each([["--privileged"], ["-x"], ["--image"], ["-"]])(
    "attack 41: the branch %s, which looks like an option",
    async (branch) => {
      const result = await sandbox.hjk(["run", branch, "-d"]);
      expect(result).toMatchObject({ code: 2, stdout: "" });
      expect(result.stderr).toMatch(/^error: /);
      expect(result.stderr.length).toBeLessThan(400);
      // Behind a `--` it is a flag of the engine's, never a branch.
      expect((await sandbox.hjk(["run", "-d", "--", branch])).code).toBe(2);
    },
  );

  test.each([
    ["--x"],
    ["a b"],
    ["../x"],
    ["a/b"],
    ["$(id)"],
    ["#{pid}"],
    ["a\nb"],
    ["🐼"],
    ["x".repeat(300)],
    [""],
    ["a:b"],
    ["a.b"],
  ])("the session %j", async (name) => {
    await refused(["run", "feat/new", "-d", `--name=${name}`], 2, "cannot be a session name");
    await refused(["exec", "-d", `--name=${name}`, "feat/known", "true"], 2, "cannot be a session name");
    await refused(["agent", "feat/known", "claude", "-d", `--name=${name}`], 2, "cannot be a session name");
  });

  test(
    "branches, sessions and agents that there are not, with what was probably meant",
    async () => {
      for (const args of [
        ["ps"],
        ["logs"],
        ["exec"],
        ["stop"],
        ["start"],
        ["rm", "-f"],
        ["recreate"],
        ["git"],
      ]) {
        await refused([...args, "feat/knwon"], 3, "hint: Did you mean feat/known?");
        const { stderr } = await refused(
          [...args, "something/else"],
          3,
          "There is no instance for branch something/else.",
        );
        expect(stderr.includes("Make one: hjk run something/else")).toBe(
          ["ps", "logs", "exec"].includes(args[0] ?? ""),
        );
      }
      await refused(["logs", "feat/known", "frist"], 3, "hint: Did you mean first?");
      await refused(["kill", "feat/known/frist"], 3, "hint: Did you mean first?");
      await refused(["kill", "feat"], 2, "<branch>/<session>");
      await refused(["agent", "feat/known", "cluade", "-d"], 2, "hint: Did you mean claude?");
      await refused(["auth", "cluade"], 2, "hint: Did you mean claude?");
      await refused(["config", "default.agnet"], 2, "default.agent");
      for (const args of [
        ["pss"],
        ["run", "x", "-d", "--agent", "cluade"],
        ["run", "x", "--detach"],
        ["logs", "x", "-n", "-3"],
      ]) {
        const result = await sandbox.hjk(args);
        expect(result).toMatchObject({ code: 2, stdout: "" });
        expect(result.stderr).toMatch(/^error: /);
      }
      expect((await sandbox.hjk(["pss"])).stderr).toContain("Did you mean ps?");
      expect((await sandbox.hjk(["run", "x", "--detach"])).stderr).toContain("--detached");
      expect((await sandbox.hjk(["run", "x", "-d", "--agent", "cluade"])).stderr).toContain(
        "claude, codex, gemini",
      );
    },
    minute,
  );

  test("arguments that do not fit together", async () => {
    await refused(["run", "feat/new", "do it", "-d"], 2, "A prompt needs an agent");
    await refused(["run", "feat/new", "  ", "--agent", "claude", "-d"], 2, "The prompt is empty").catch(
      () => undefined,
    );
    await refused(["run", "feat/new", "-d", "--agent", "claude"], 4, "no credential");
    await refused(["run", "feat/known", "-d", "--from", "main"], 2, "--from is for");
    await refused(["run", "feat/known", "-d", "--image", "other"], 2, "hjk recreate feat/known");
    await refused(["run", "feat/known", "-d", "--", "--memory", "1g"], 2, "hjk recreate feat/known");
    const both = await sandbox.hjk(["run", "feat/new", "-d", "--image", "a", "--base", "b"]);
    expect(both).toMatchObject({ code: 2, stdout: "" });
  });

  test("without a terminal there is nothing to attach to, and nothing is made for it", async () => {
    await refused(["run", "feat/new"], 2, "There is no terminal here");
    await refused(["agent", "feat/known", "claude"], 2, "There is no terminal here");
    await refused(["attach"], 2, "There is no terminal here");
    const kept = await sandbox.hjk(["rm", "feat/known"]);
    expectRefusal(kept, 1, "there is nobody to ask");
  });
});

test("a session's name is taken once, and free again after its end", async () => {
  await sandbox.ok(["exec", "-d", "-n", "twice", "feat/known", "sleep", "100"]);
  const before = await world();
  await refused(["exec", "-d", "-n", "twice", "feat/known", "true"], 2, "has a session named twice already");
  await refused(["run", "feat/known", "-d", "-n", "twice"], 2, "has a session named twice already");
  expect(await world()).toEqual(before);
  await sandbox.ok(["kill", "feat/known/twice"]);
  await sandbox.ok(["exec", "-d", "-n", "twice", "feat/known", "sleep", "100"]);
  await sandbox.ok(["kill", "feat/known/twice"]);
});

test("kill with an instance's name asks for the session; rm says which are running", async () => {
  const idle = await refused(["kill", "feat/known"], 2, "feat/known is an instance; say which session");
  expect(idle.stderr).toContain("hint: None of its sessions is running.");
  for (const name of ["one", "two"])
    await sandbox.ok(["exec", "-d", "-n", name, "feat/known", "sleep", "100"]);
  const { stderr } = await refused(["kill", "feat/known"], 2, "feat/known is an instance");
  expect(stderr).toContain("hint: Its sessions: feat/known/two, feat/known/one\n");
  expect((await sandbox.hjk(["rm", "feat/known"])).stderr).toStartWith(
    "2 sessions are still running: two, one\n",
  );
  await sandbox.ok(["kill", "feat/known/one"]);
  expect((await sandbox.hjk(["rm", "feat/known"])).stderr).toStartWith("1 session is still running: two\n");
  await sandbox.ok(["kill", "feat/known/two"]);
  expect((await sandbox.hjk(["rm", "feat/known"])).stderr).not.toContain("still running");
});

test(
  "run says when its branch is checked out on the host",
  async () => {
    const folder = join(sandbox.folder, "beside");
    await sandbox.git("worktree", "add", "--quiet", "-b", "feat/beside", folder);
    await sandbox.git("branch", "feat/there");
    const note = `feat/beside is checked out in ${folder}: new commits are brought there too, while nothing is changed there.\n`;
    for (const [branch, stderr] of [
      ["feat/beside", note],
      // Said once, when the instance is made.
      ["feat/beside", ""],
      ["feat/there", ""],
      ["feat/fresh", ""],
    ] as const) {
      expect(await sandbox.hjk(["run", branch, "-d"])).toMatchObject({ code: 0, stderr });
    }
    await sandbox.ok(["rm", "-f", "feat/beside", "feat/there", "feat/fresh"]);
    await sandbox.git("worktree", "remove", folder);
    await sandbox.git("branch", "-D", "feat/beside", "feat/there", "feat/fresh");
  },
  minute,
);

test("flags of the engine are set as text, not as a list in text", async () => {
  await refused(["config", "runtime.flags", "[--memory, 4g]"], 2, "expected flags with spaces");
  await sandbox.ok(["config", "runtime.flags", "--", "--memory 4g"]);
  expect(await sandbox.ok(["config", "runtime.flags"])).toBe("--memory 4g\n");
  await sandbox.ok(["config", "--unset", "runtime.flags"]);
});

describe("folders", () => {
  test("not a repository, one without a commit, a folder that is gone", async () => {
    const before = await world();
    await refused(["run", "feat/x", "-d"], 2, "is not in a git repository", { cwd: sandbox.folder });
    const empty = join(sandbox.folder, "empty");
    await gitIn(sandbox, "/", "init", "--quiet", empty);
    await refused(["run", "feat/x", "-d"], 1, "The repository empty has no commit yet.", { cwd: empty });
    expect(await gitIn(sandbox, empty, "for-each-ref")).toBe("");
    const gone = join(sandbox.folder, "gone");
    await mkdir(gone);
    const result = await runProgram(
      ["sh", "-c", `cd ${gone} && rmdir ${gone} && exec ${binary} run feat/x -d`],
      {
        env: sandbox.env,
      },
    );
    // Bun itself says so, before anything of ours runs.
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain("working directory was deleted");
    expect(await world()).toEqual(before);
  });

  test("a broken repository", async () => {
    const broken = join(sandbox.folder, "broken");
    await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, broken);
    await writeFile(join(broken, ".git", "config"), "[core\n");
    expect((await sandbox.hjk(["run", "feat/x", "-d"], { cwd: broken })).code).not.toBe(0);
    await writeFile(join(broken, ".git", "config"), "[core]\n\trepositoryformatversion = 0\n");
    await rm(join(broken, ".git", "objects"), { recursive: true });
    await mkdir(join(broken, ".git", "objects"));
    const result = await sandbox.hjk(["run", "feat/x", "-d"], { cwd: broken });
    expect(result.code).not.toBe(0);
    expect(result.stderr).not.toContain("internal");
    expect((await sandbox.instances()).map((one) => one.branch)).toEqual(["feat/known"]);
  });
});

describe("what hjk needs", () => {
  let before: string[];
  let tools: string;
  beforeAll(async () => {
    before = await world();
    // Every program of this machine, in a folder that some can be taken out of.
    tools = join(sandbox.folder, "tools");
    await mkdir(tools);
    for (const folder of (process.env["PATH"] ?? "").split(":")) {
      for (const name of await readdir(folder).catch(() => [])) {
        await symlink(join(folder, name), join(tools, name)).catch(() => undefined);
      }
    }
  }, minute);
  afterAll(async () => expect(await world()).toEqual(before));

  async function without(program: string, args: string[], env: Record<string, string> = {}): Promise<Output> {
    const target = join(tools, program);
    const found = (await runProgram(["readlink", target])).stdout.trim();
    await rm(target);
    try {
      return await sandbox.hjk(args, { env: { PATH: tools, ...env } });
    } finally {
      await symlink(found, target);
    }
  }

  test("an image", async () => {
    await refused(
      ["run", "feat/x", "-d", "--image", "hjk-no-such-image"],
      3,
      "There is no image hjk-no-such-image",
    );
    await refused(["run", "feat/x", "-d", "--image", "NOT valid!"], 2, "cannot be the name of an image");
    await refused(
      ["recreate", "feat/known", "--base", "hjk-no-such-image"],
      3,
      "There is no image hjk-no-such-image",
    );
    await refused(["run", "feat/x", "-d", "--", "--no-such-flag"], 5, "--no-such-flag");
  });

  test(
    "git, tmux and docker",
    async () => {
      expectRefusal(await without("git", ["run", "feat/x", "-d"]), 1, "git is not installed");
      expectRefusal(await without("tmux", ["run", "feat/x", "-d"]), 1, "tmux is not installed");
      expectRefusal(await without("tmux", ["exec", "-d", "feat/known", "true"]), 1, "tmux is not installed");
      expectRefusal(await without("docker", ["run", "feat/x", "-d"]), 5, "`docker` command is not installed");
      const nowhere = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
      expectRefusal(
        await without("docker", ["run", "feat/x", "-d"], nowhere),
        5,
        "There is no Docker engine at",
      );
    },
    minute,
  );

  test(
    "an engine that answers",
    async () => {
      const dead = join(sandbox.folder, "dead.sock");
      const server = Bun.listen({ unix: dead, socket: { data: () => undefined } });
      server.stop(true);
      // A socket whose process died stays behind.
      await runProgram(["python3", "-c", `import socket; socket.socket(socket.AF_UNIX).bind("${dead}")`]);
      for (const [host, error] of [
        [
          "unix:///nonexistent/docker.sock",
          "There is no Docker engine at unix:///nonexistent/docker.sock (from DOCKER_HOST)",
        ],
        [`unix://${dead}`, "does not answer"],
        ["tcp://127.0.0.1:1", "does not answer"],
        ["ssh://me@example.com", "only unix:// and tcp:// can"],
      ] as const) {
        for (const args of [
          ["run", "feat/x", "-d"],
          ["ps"],
          ["stop", "feat/known"],
          ["rm", "-f", "feat/known"],
        ]) {
          await refused(args, 5, error, { env: { DOCKER_HOST: host } });
        }
      }
      const doctor = await sandbox.hjk(["doctor"], {
        env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" },
      });
      expect(doctor.code).toBe(1);
      expect(doctor.stdout).toContain("PROBLEM  engine: There is no Docker engine");
      // What needs none works without one.
      const env = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
      expect(await sandbox.hjk(["config"], { env })).toMatchObject({ code: 0 });
      expect(await sandbox.hjk(["version"], { env })).toMatchObject({ code: 0 });
    },
    minute,
  );

  test.skipIf(!isRoot)("leave to use the engine, and a repository that is the user's own", async () => {
    const home = join(sandbox.folder, "nobody");
    await mkdir(home);
    await runProgram(["chown", "65534:65534", home]);
    await runProgram(["chmod", "755", sandbox.folder]);
    const as = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary];
    const env = { ...sandbox.env, HOME: home, HEADJACK_HOME: join(home, "hjk") };
    const foreign = await runProgram([...as, "run", "feat/x", "-d"], { cwd: sandbox.repo, env });
    expectRefusal(foreign, 1, "it belongs to another user");
    expect(foreign.stderr).toContain("safe.directory");

    await writeFile(join(home, ".gitconfig"), "[safe]\n\tdirectory = *\n");
    const denied = await runProgram([...as, "run", "feat/x", "-d"], { cwd: sandbox.repo, env });
    expectRefusal(denied, 5, "permission denied");
    expect(denied.stderr).toContain("`docker` group");

    // A home of another's: nothing can be kept there.
    const closed = await runProgram([...as, "ps"], {
      cwd: sandbox.repo,
      env: { ...env, HEADJACK_HOME: join(sandbox.folder, "hjk-of-root") },
    });
    expectRefusal(closed, 1, "Cannot open the store");
  });
});

describe("the store and the configuration", () => {
  let home: string;
  let count = 0;
  let env: Record<string, string>;
  beforeEach(async () => {
    home = join(sandbox.folder, `home-${(count += 1)}`);
    await mkdir(join(home, "data"), { recursive: true });
    env = { HEADJACK_HOME: home };
  });

  test("a store that a newer version has written is left alone", async () => {
    await sandbox.ok(["ps"], { env });
    const file = join(home, "data", "headjack.db");
    const db = new Database(file);
    db.run("PRAGMA user_version = 99");
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    db.close();
    const before = await readFile(file);
    for (const args of [["ps"], ["run", "feat/x", "-d"]]) {
      await refused(args, 1, "written by a newer version of Headjack (schema 99)", { env });
    }
    expect((await readFile(file)).equals(before)).toBe(true);
    expect(await sandbox.hjk(["--version"], { env })).toMatchObject({ code: 0 });
  });

  test("a store that is no database, or a broken one", async () => {
    const file = join(home, "data", "headjack.db");
    await writeFile(file, "not a database, but long enough to be looked at as if it were one\n".repeat(100));
    for (const args of [["ps"], ["run", "feat/x", "-d"]]) await refused(args, 1, "store", { env });
    await rm(file);
    await mkdir(file);
    await refused(["ps"], 1, "Cannot open the store", { env });
    await rm(file, { recursive: true });

    await sandbox.ok(["ps"], { env });
    const db = new Database(file);
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    db.close();
    await rm(`${file}-wal`, { force: true });
    const bytes = await readFile(file);
    bytes.fill(0x5a, 4096);
    await writeFile(file, bytes);
    await refused(["ps"], 1, "store", { env });
    await refused(["run", "feat/x", "-d"], 1, "store", { env });
    const doctor = await sandbox.hjk(["doctor"], { env });
    expect(doctor.code).toBe(1);
    expect(doctor.stdout + doctor.stderr).not.toContain("internal");
  });

  test("a configuration that cannot be read, with the place of the fault", async () => {
    const file = join(home, "config.yaml");
    for (const [text, error] of [
      ["default:\n  agent: [\n", /config\.yaml:\d/],
      ["default:\n  agnet: claude\n", /config\.yaml:2/],
      ["default:\n  agent: nobody\n", /config\.yaml:2/],
      ["runtime:\n  flags: { a: 1 }\n", /config\.yaml:2/],
      ["\u0000\u0001", /config\.yaml/],
    ] as const) {
      await writeFile(file, text);
      await refusedConfig(["run", "feat/x", "-d"], error, env);
      await refusedConfig(["config"], error, env);
    }
    await rm(file);
    await mkdir(file);
    expect((await sandbox.hjk(["run", "feat/x", "-d"], { env })).stderr).not.toContain("internal");
    await refused(["ps"], 2, "absolute path", { env: { HEADJACK_HOME: "relative" } });
  });

  /** A small disk of its own at the home. */
  async function disk(size: string, work: (folder: string) => Promise<void>): Promise<void> {
    const mounted = await runProgram(["mount", "-t", "tmpfs", "-o", `size=${size}`, "none", home]);
    expect(mounted).toMatchObject({ code: 0 });
    try {
      await work(home);
    } finally {
      await runProgram(["umount", "-l", home]);
    }
  }

  test.skipIf(!isRoot)("a home that cannot be written", async () => {
    await disk("4m", async () => {
      await runProgram(["mount", "-o", "remount,ro", home]);
      await refused(["ps"], 1, "Cannot open the store", { env });
      await refused(["run", "feat/x", "-d"], 1, "Cannot open the store", { env });
      const set = await sandbox.hjk(["config", "default.agent", "claude"], { env });
      expect(set.code).not.toBe(0);
      expect(set.stderr).not.toContain("internal");
    });
  });

  test.skipIf(!isRoot)(
    "a disk that is full: from the beginning, and in the middle of it",
    async () => {
      const before = await sandbox.git("for-each-ref");
      const repo = join(sandbox.folder, `big-${count}`);
      await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, repo);
      await writeFile(join(repo, "big"), crypto.getRandomValues(new Uint8Array(65_536)).toHex().repeat(40));
      await gitIn(sandbox, repo, "add", "big");
      await gitIn(sandbox, repo, "commit", "--quiet", "-m", "big");
      await disk("3m", async () => {
        await runProgram(["sh", "-c", `cat /dev/zero > ${home}/filler`]);
        expect((await stat(join(home, "filler"))).size).toBeGreaterThan(2_000_000);
        await refused(["run", "feat/x", "-d"], 1, /full|disk|space/i, { env, cwd: repo });
        await rm(join(home, "filler"));
        // Room for everything but the files.
        const failed = await sandbox.hjk(["run", "feat/x", "-d"], { env, cwd: repo });
        expect(failed).toMatchObject({ code: 1, stdout: "" });
        expect(failed.stderr).toContain("error: The disk is full");
        expect(failed.stderr).not.toContain("internal");
        expect(
          await gitIn(sandbox, repo, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/headjack"),
        ).toBe("refs/heads/main");
        expect(await gitIn(sandbox, repo, "worktree", "list")).not.toContain("home-");
        expect((await sandbox.containers()).filter((name) => name.includes("feat-x"))).toEqual([]);
        await refused(["ps", "feat/x"], 3, "There is no instance", { env, cwd: repo });
        // With a larger disk it works.
        await runProgram(["mount", "-o", "remount,size=64m", home]);
        await sandbox.ok(["run", "feat/x", "-d"], { env, cwd: repo });
        await sandbox.ok(["rm", "-f", "feat/x"], { env, cwd: repo });
        await runProgram(["tmux", "-S", join(home, "data", "run", "tmux"), "kill-server"]);
      });
      expect(await sandbox.git("for-each-ref")).toBe(before);
    },
    minute,
  );
});

/** Runs `hjk ... | reader` and says how both ended. */
async function piped(
  args: string,
  reader: string,
): Promise<{ codes: string; stdout: string; stderr: string }> {
  const script = `${binary} ${args} | { ${reader}; }; echo "\${PIPESTATUS[*]}" > ${sandbox.folder}/codes`;
  const result = await runProgram(["bash", "-c", script], { cwd: sandbox.repo, env: sandbox.env });
  const codes = (await readFile(join(sandbox.folder, "codes"), "utf8")).trim();
  return { codes, stdout: result.stdout.trim(), stderr: result.stderr };
}

describe("pipes", () => {
  beforeAll(async () => {
    await sandbox.ok(["start", "feat/known"]);
    await instance.inside("seq 1 400000 > numbers.txt; git add .; git commit -qm numbers");
    // Two megabytes on the screen of a session that has ended.
    await sandbox.ok(["exec", "-d", "-n", "talker", "feat/known", "seq", "1", "250000"]);
    for (let round = 0; round < 100; round += 1) {
      const { stdout } = await sandbox.hjk(["ps", "feat/known"]);
      if (/talker\tshell\texited/.test(stdout)) break;
      await Bun.sleep(100);
    }
  }, minute);

  test(
    "more than a pipe holds is not cut, however late it is read",
    async () => {
      const size = (await instance.inside("wc -c < numbers.txt")).trim();
      expect(Number(size)).toBeGreaterThan(2_000_000);
      for (const args of ["git feat/known show HEAD:numbers.txt", "exec feat/known cat numbers.txt"]) {
        expect(await piped(args, "sleep 1; wc -c")).toEqual({ codes: "0 0", stdout: size, stderr: "" });
      }
      expect(await piped("logs feat/known talker --full", "sleep 1; tail -n 1")).toEqual({
        codes: "0 0",
        stdout: "250000",
        stderr: "",
      });
      const raw = await piped("logs feat/known talker --raw", "sleep 1; wc -c");
      // Each number of up to six digits with a carriage return and a line feed, and the sequence by which
      // every session ends: no focus reports.
      expect(raw).toEqual({
        codes: "0 0",
        stdout: String(
          9 * 3 + 90 * 4 + 900 * 5 + 9000 * 6 + 90_000 * 7 + 150_001 * 8 + "\u001b[?1004l".length,
        ),
        stderr: "",
      });
    },
    minute,
  );

  test(
    "a reader that has seen enough is no failure, and is told nothing",
    async () => {
      for (const args of [
        "ps",
        "ps --json",
        "logs feat/known talker --full",
        "logs feat/known talker --raw",
        "git feat/known show HEAD:numbers.txt",
        "config",
        "--help",
      ]) {
        const result = await piped(args, "head -n 1 > /dev/null");
        expect({ args, ...result }).toEqual({ args, codes: "0 0", stdout: "", stderr: "" });
      }
      const mute = `${binary} logs nothing 2> >(exit 0); echo $?`;
      const unheard = await runProgram(["bash", "-c", mute], { cwd: sandbox.repo, env: sandbox.env });
      expect(unheard).toMatchObject({ stdout: "3\n", stderr: "" });
      // The program inside ends too.
      const { stderr } = await piped("exec feat/known yes", "head -n 1 > /dev/null");
      expect(stderr).not.toContain("error");
    },
    minute,
  );

  test("an output that is closed or full is an error of the machine's, not a stack trace", async () => {
    const full = await runProgram(["bash", "-c", `${binary} ps > /dev/full`], {
      cwd: sandbox.repo,
      env: sandbox.env,
    });
    expect(full.code).not.toBe(0);
    expect(full.stderr).toStartWith("error: The output could not be written (ENOSPC)");
    expect(full.stderr).not.toMatch(/\n\s+at /);
    const closed = await runProgram(
      ["bash", "-c", `${binary} ps >&- 2>&-; ${binary} logs nothing 2>&-; ${binary} ps <&-`],
      {
        cwd: sandbox.repo,
        env: sandbox.env,
      },
    );
    expect(closed.stdout).toContain("feat/known");
  });
});

test("modes: what Headjack keeps is its owner's alone", async () => {
  await chmod(sandbox.folder, 0o755);
  const data = join(sandbox.folder, "hjk", "data");
  for (const name of [".", "hubs", "run", "logs", "instances"]) {
    const { mode } = await stat(join(data, name));
    // What lies in a closed folder is closed with it.
    expect({ name, open: (mode & 0o077) !== 0 && name === "." }).toEqual({ name, open: false });
  }
});
