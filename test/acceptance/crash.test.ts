import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { exists, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DockerEngine } from "../../src/drivers/engine/docker.ts";
import type { ContainerSpec } from "../../src/drivers/engine/engine.ts";
import { baseImageTag, binary, runProgram, Sandbox } from "../support/harness.ts";
import { gitIn, Instance, leftovers } from "../support/workbench.ts";

/* Commands that are killed at any moment, many at the same moment, and a world that changes behind their back. */

const minute = 60_000;

let sandbox: Sandbox;
/** How long a `run` takes on this machine when nobody disturbs it. */
let usualMs = 0;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  // Enough files that checking them out takes a while.
  const folder = join(sandbox.repo, "many");
  for (let index = 0; index < 300; index += 1)
    await Bun.write(join(folder, `${index}.txt`), `${index}\n`.repeat(500));
  await sandbox.git("add", "many");
  await sandbox.git("commit", "--quiet", "-m", "many files");
  // The image is there, and so is the store: what follows is about run itself.
  for (const round of ["cold", "warm"]) {
    const started = performance.now();
    await sandbox.ok(["run", round, "-d"]);
    usualMs = performance.now() - started;
    await sandbox.ok(["rm", "-f", round]);
    await sandbox.git("branch", "-D", round);
  }
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

/** Moments spread over a `run`, its end and a little after included. */
function moments(count: number): number[] {
  return Array.from({ length: count }, (_, index) => 10 + ((index + 0.5) / count) * usualMs * 1.5);
}

/** Starts `hjk` and sends it a signal after a while; returns how it ended. */
async function interrupted(args: string[], signal: NodeJS.Signals, afterMs: number): Promise<number> {
  const child = Bun.spawn([binary, ...args], {
    cwd: sandbox.repo,
    env: sandbox.env,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  await Bun.sleep(afterMs);
  child.kill(signal);
  return await child.exited;
}

/** Rows of the store, whatever their state. */
async function rows(): Promise<string[]> {
  const { Database } = await import("bun:sqlite");
  const db = new Database(join(sandbox.folder, "hjk", "data", "headjack.db"), { readonly: true });
  const instances = db
    .query<{ branch: string; state: string }, []>("SELECT branch, state FROM instances")
    .all();
  const sessions = db.query<{ state: string }, []>("SELECT state FROM sessions").all();
  const locks = db.query<{ name: string }, []>("SELECT name FROM locks").all();
  db.close();
  return [
    ...instances.map((row) => `instance ${row.branch} ${row.state}`),
    ...sessions.map((row) => `session ${row.state}`),
    ...locks.map((row) => `lock ${row.name}`),
  ];
}

const branches = (): Promise<string> => sandbox.git("for-each-ref", "--format=%(refname)", "refs/heads");

/** All or nothing: an instance that works, with its session, or no trace of any. */
async function expectWholeOrNothing(branch: string): Promise<"whole" | "nothing"> {
  // The next command heals, whichever it is.
  await sandbox.ok(["ps"]);
  const found = (await sandbox.instances()).find((instance) => instance.branch === branch);
  if (found === undefined) {
    expect(await leftovers(sandbox)).toEqual([]);
    expect((await rows()).filter((row) => !row.startsWith("lock"))).toEqual([]);
    expect(await branches()).toBe("refs/heads/main");
    return "nothing";
  }
  expect(found.status).toBe("running");
  expect((await sandbox.inside(branch, ["git", "status", "--porcelain"])).stdout).toBe("");
  expect((await sandbox.inside(branch, ["git", "rev-parse", "--abbrev-ref", "HEAD"])).stdout.trim()).toBe(
    branch,
  );
  // No session that only seems to be there: one that is listed as living answers.
  for (const session of found.sessions) {
    expect(session.status).toBe("detached");
    const screen = `${found.id}/${session.name}`;
    const socket = join(sandbox.folder, "hjk", "data", "run", "tmux");
    await runProgram(["tmux", "-S", socket, "send-keys", "-t", `=${screen}:`, "echo $((40 + 2))", "Enter"]);
    let log = "";
    for (let round = 0; round < 100 && !/^42$/m.test(log); round += 1) {
      log = (await sandbox.hjk(["logs", branch, session.name])).stdout;
      await Bun.sleep(50);
    }
    expect(log).toMatch(/^42$/m);
  }
  const pipes = (await readdir(join(sandbox.folder, "hjk", "data", "run"))).filter((name) =>
    name.endsWith(".env"),
  );
  expect(pipes).toEqual([]);
  return "whole";
}

async function cleanUp(branch: string): Promise<void> {
  await sandbox.hjk(["rm", "-f", branch]);
  await runProgram(["git", "branch", "-D", branch], { cwd: sandbox.repo, env: sandbox.env });
}

describe("run, killed at any moment", () => {
  test(
    "kill -9: the next command heals, and run then works",
    async () => {
      const seen = new Set<string>();
      for (const moment of moments(20)) {
        await interrupted(["run", "feat/killed", "-d"], "SIGKILL", moment);
        seen.add(await expectWholeOrNothing("feat/killed"));
        await cleanUp("feat/killed");
        expect(await leftovers(sandbox)).toEqual([]);
      }
      // Otherwise the moments were all too early or too late.
      expect([...seen].toSorted()).toEqual(["nothing", "whole"]);
      await sandbox.ok(["run", "feat/killed", "-d"]);
      expect(await expectWholeOrNothing("feat/killed")).toBe("whole");
      await cleanUp("feat/killed");
    },
    3 * minute,
  );

  test(
    "kill -9, and at once run again: it takes over",
    async () => {
      for (const moment of moments(5)) {
        await interrupted(["run", "feat/again", "-d"], "SIGKILL", moment);
        await sandbox.ok(["run", "feat/again", "-d"]);
        expect(await expectWholeOrNothing("feat/again")).toBe("whole");
        await cleanUp("feat/again");
        expect(await leftovers(sandbox)).toEqual([]);
      }
    },
    minute,
  );

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)(
    "%s: it undoes what it has made itself, and says so",
    async (signal, code) => {
      for (const moment of moments(7)) {
        const ended = await interrupted(["run", "feat/stopped", "-d"], signal, moment);
        // Before it listens the signal ends it; when all was done it had nothing left to stop.
        expect([code, 0]).toContain(ended);
        const listed = (await rows()).filter((row) => !row.includes(" ready") && !row.startsWith("session"));
        expect(listed).toEqual([]);
        await expectWholeOrNothing("feat/stopped");
        await cleanUp("feat/stopped");
      }
    },
    minute,
  );

  test(
    "Ctrl+C reaches every program of the terminal at once, and is no failure of any of them",
    async () => {
      for (const moment of moments(6).slice(1, 4)) {
        // A process group of its own, as a shell makes for a command.
        const script = `set -m; ${binary} run feat/ctrl-c -d & sleep ${moment / 1000}; kill -INT -$!; wait $!; echo $?`;
        const result = await runProgram(["bash", "-c", script], { cwd: sandbox.repo, env: sandbox.env });
        expect(result.stderr.replaceAll("Interrupted.\n", "")).not.toContain("error");
        // On a quick machine it may be through before the key is pressed.
        expect(result.stdout.trim().split("\n").at(-1) ?? "").toMatch(/^(130|0)$/);
        await expectWholeOrNothing("feat/ctrl-c");
        await cleanUp("feat/ctrl-c");
      }
    },
    minute,
  );
});

async function together(count: number, args: (index: number) => string[]): Promise<string[]> {
  const results = await Promise.all(Array.from({ length: count }, (_, index) => sandbox.hjk(args(index))));
  expect(results.filter((result) => result.code !== 0)).toEqual([]);
  return results.map((result) => result.stdout);
}

describe("at the same moment", () => {
  test.each([2, 20])(
    "%i runs on one branch: one instance, as many sessions",
    async (count) => {
      const out = await together(count, () => ["run", "feat/same", "-d"]);
      expect(out.filter((text) => text.startsWith("Created instance"))).toHaveLength(1);
      const found = await sandbox.instance("feat/same");
      expect(found.sessions).toHaveLength(count);
      expect(new Set(found.sessions.map((session) => session.name)).size).toBe(count);
      expect(found.sessions.every((session) => session.status === "detached")).toBe(true);
      expect(await sandbox.containers()).toEqual([found.container]);
      await cleanUp("feat/same");
      expect(await leftovers(sandbox)).toEqual([]);
    },
    2 * minute,
  );

  test(
    "twenty runs on twenty branches, commits in each, all come home, all removed at once",
    async () => {
      const names = Array.from({ length: 20 }, (_, index) => `many/${index}`);
      await together(names.length, (index) => ["run", names[index] ?? "", "-d"]);
      const instances = await sandbox.instances();
      expect(instances.map((instance) => instance.status)).toEqual(names.map(() => "running"));
      expect(new Set(instances.map((instance) => instance.workspace)).size).toBe(names.length);
      await Promise.all(
        instances.map(({ container, branch }) =>
          runProgram([
            "docker",
            "exec",
            container,
            "sh",
            "-c",
            `echo ${branch} > own; git add own; git commit -qm ${branch}`,
          ]),
        ),
      );
      // Several that look at once, too.
      await Promise.all([1, 2, 3].map(() => sandbox.hjk(["ps"])));
      await sandbox.ok(["ps"]);
      for (const name of names) expect(await sandbox.git("log", "-1", "--format=%s", name)).toBe(name);
      await together(names.length, (index) => ["rm", "-f", names[index] ?? ""]);
      expect(await leftovers(sandbox)).toEqual([]);
      expect(await sandbox.git("fsck", "--strict", "--no-dangling")).toBe("");
      await sandbox.git("branch", "-D", ...names);
    },
    3 * minute,
  );

  test(
    "run beside rm, stop and ps of the same branch: an order is found, and nothing is half made",
    async () => {
      for (let round = 0; round < 3; round += 1) {
        await sandbox.ok(["run", "feat/busy", "-d"]);
        const results = await Promise.all([
          sandbox.hjk(["stop", "feat/busy"]),
          sandbox.hjk(["run", "feat/busy", "-d"]),
          sandbox.hjk(["ps"]),
          sandbox.hjk(["rm", "-f", "feat/busy"]),
          sandbox.hjk(["run", "feat/busy", "-d"]),
        ]);
        // Whoever comes too late is told so.
        for (const { code, stderr } of results) {
          expect(stderr).not.toContain("internal error");
          if (code !== 0) expect(stderr).toMatch(/(removed|stopped) meanwhile|There is no instance/);
        }
        const states = (await rows()).filter(
          (row) => row.startsWith("instance") || row === "session starting",
        );
        expect(states.every((row) => row === "instance feat/busy ready")).toBe(true);
        await cleanUp("feat/busy");
        expect(await leftovers(sandbox)).toEqual([]);
      }
    },
    2 * minute,
  );
});

describe("behind Headjack's back", () => {
  let instance: Instance;
  let workspace: string;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/back");
    workspace = await instance.workspace;
  }, minute);
  afterAll(() => cleanUp("feat/back"), minute);

  test(
    "the container is removed: ps says so, start and run make it again with all that was in it",
    async () => {
      const tip = await instance.commit("before.txt");
      await instance.inside("echo unsaved > unsaved.txt");
      for (const again of [
        ["start", "feat/back"],
        ["run", "feat/back", "-d"],
      ]) {
        await runProgram(["docker", "rm", "-f", instance.container]);
        expect((await instance.view()).status).toBe("missing");
        expect(await sandbox.ok(["ps"])).toContain("feat/back\tmissing");
        expect((await sandbox.hjk(["doctor"])).stdout).toContain("has been removed");
        expect(await sandbox.ok(again)).toContain(`Started instance ${instance.id}`);
        expect((await instance.view()).status).toBe("running");
        expect(await instance.inside("git rev-parse HEAD; cat unsaved.txt")).toBe(`${tip}\nunsaved`);
      }
      await instance.inside("rm unsaved.txt");
      expect(await instance.at()).toBe(tip);
      // A git command that was ended with the container has left its lock.
      await instance.inside("touch /hjk/git/index.lock /hjk/git/HEAD.lock");
      await runProgram(["docker", "kill", instance.container]);
      await sandbox.ok(["start", "feat/back"]);
      await instance.inside("git status; git commit -q --allow-empty -m 'not locked'");
    },
    minute,
  );

  test("its sessions' tmux is killed: they are lost, and say so", async () => {
    await sandbox.ok(["exec", "-d", "-n", "held", "feat/back", "sleep", "1000"]);
    await runProgram(["tmux", "-S", join(sandbox.folder, "hjk", "data", "run", "tmux"), "kill-server"]);
    const session = (await sandbox.instance("feat/back")).sessions.find((one) => one.name === "held");
    expect(session).toMatchObject({ status: "exited", end: "lost", exitCode: null });
    expect((await sandbox.hjk(["attach", "feat/back", "held"])).code).toBe(2);
    await sandbox.ok(["exec", "-d", "feat/back", "true"]);
  });

  test(
    "the worktree is removed: run says how to get it back, recreate does, also when it is killed at it",
    async () => {
      const tip = await instance.commit("kept.txt");
      await rm(workspace, { recursive: true });
      expect((await instance.view()).status).toBe("missing");
      for (const args of [
        ["run", "feat/back", "-d"],
        ["start", "feat/back"],
        ["exec", "feat/back", "true"],
      ]) {
        const refused = await sandbox.hjk(args);
        expect(refused).toMatchObject({ code: 1, stdout: "" });
        expect(refused.stderr).toContain(
          "hint: Bring its files back as of its last commit: hjk recreate feat/back",
        );
      }
      for (const moment of [60, 120, 180, 240, 300, 400, 500, 600]) {
        await interrupted(["recreate", "feat/back"], "SIGKILL", moment);
      }
      // Whatever came of that: nothing is taken for whole that is not.
      const { status } = await instance.view();
      if (status === "running") expect(await instance.inside("git status --porcelain")).toBe("");
      await sandbox.ok(["recreate", "feat/back"]);
      expect((await instance.view()).status).toBe("running");
      expect(await instance.inside("git status --porcelain; git rev-parse HEAD; cat kept.txt")).toBe(
        `${tip}\nkept.txt`,
      );
      expect(await instance.at()).toBe(tip);
      const looked = await runProgram(["git", "status"], { cwd: workspace, env: sandbox.env });
      expect(looked.stderr).toContain("/nonexistent/hjk-sealed");
    },
    minute,
  );

  test(
    "the repository is moved away: clear errors, nothing is lost, and it goes on when it is back",
    async () => {
      const away = `${sandbox.repo}-moved`;
      const tip = await instance.commit("while-away.txt");
      await rename(sandbox.repo, away);
      const at = { cwd: away };
      try {
        const listed = await sandbox.hjk(["ps", "-a"], at);
        expect(listed).toMatchObject({ code: 0 });
        expect(listed.stdout).toContain(`is gone from ${sandbox.repo}/.git`);
        await sandbox.ok(["stop", instance.id], at);
        for (const command of ["start", "recreate"]) {
          const refused = await sandbox.hjk([command, instance.id], at);
          expect(refused.code).not.toBe(0);
          expect(refused.stderr).toMatch(/^error: .*is gone from .*\n.*hint: /);
          expect(refused.stderr).not.toContain("internal");
        }
        const kept = await sandbox.hjk(["rm", instance.id], at);
        expect(kept.code).toBe(1);
        expect(kept.stderr).toContain("could not be f");
      } finally {
        await rename(away, sandbox.repo);
      }
      await sandbox.ok(["start", instance.id]);
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(tip);
    },
    minute,
  );

  test(
    "a repository that is gone for good: rm -f still removes the instance",
    async () => {
      const repo = join(sandbox.folder, "short-lived");
      await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, repo);
      const other = await Instance.make(sandbox, "feat/x", { repo });
      const folder = await other.workspace;
      await rm(repo, { recursive: true });
      await sandbox.ok(["rm", "-f", other.id]);
      expect(await exists(folder)).toBe(false);
      expect((await leftovers(sandbox)).filter((left) => left.includes(other.id))).toEqual([]);
    },
    minute,
  );
});

describe("other commands, killed at any moment", () => {
  test(
    "rm: begun once, it is finished by the next command, and the branch stays",
    async () => {
      for (const moment of [30, 60, 90, 120, 160, 200, 260, 330]) {
        const instance = await Instance.make(sandbox, "feat/rm");
        const tip = await instance.commit("kept.txt");
        await interrupted(["rm", "-f", "feat/rm"], "SIGKILL", moment);
        const listed = (await sandbox.instances()).find((one) => one.id === instance.id);
        if (listed === undefined) expect(await leftovers(sandbox)).toEqual([]);
        else {
          expect(listed.status).toBe("running");
          expect(await instance.inside("git status --porcelain; git rev-parse HEAD")).toBe(tip);
          await sandbox.ok(["rm", "-f", "feat/rm"]);
        }
        expect(await instance.at()).toBe(tip);
        expect(await leftovers(sandbox)).toEqual([]);
        await sandbox.git("branch", "-D", "feat/rm");
      }
    },
    2 * minute,
  );

  test(
    "stop and recreate: again, and all is well",
    async () => {
      const instance = await Instance.make(sandbox, "feat/other");
      await instance.inside("echo unsaved > unsaved.txt");
      for (const moment of [30, 70, 120, 180, 250, 350, 500]) {
        const tip = await instance.commit(`at-${moment}.txt`);
        await interrupted(["stop", "feat/other"], "SIGKILL", moment);
        await sandbox.ok(["stop", "feat/other"]);
        expect(await instance.at()).toBe(tip);
        await interrupted(["recreate", "feat/other"], "SIGKILL", moment);
        await sandbox.ok(["run", "feat/other", "-d"]);
        expect((await instance.view()).status).toBe("running");
        expect(await instance.inside("git status --porcelain; git rev-parse HEAD; cat unsaved.txt")).toBe(
          `${tip}\nunsaved`,
        );
      }
      await sandbox.ok(["recreate", "feat/other"]);
      expect((await sandbox.containers()).filter((name) => name.endsWith(instance.id))).toEqual([
        instance.container,
      ]);
      await instance.remove();
      expect(await leftovers(sandbox)).toEqual(
        (await leftovers(sandbox)).filter((left) => !left.includes(instance.id)),
      );
    },
    2 * minute,
  );

  test(
    "bringing commits home: the next command does it",
    async () => {
      const instance = await Instance.make(sandbox, "feat/sync");
      for (const moment of [20, 40, 60, 80, 100, 130, 160, 200]) {
        await writeFile(join(sandbox.folder, "unrelated"), String(moment));
        const tip = await instance.commit(`at-${moment}.txt`);
        await interrupted(["ps"], "SIGKILL", moment);
        expect(await instance.sync()).toBe("");
        expect(await instance.at()).toBe(tip);
      }
      expect(await sandbox.git("fsck", "--strict", "--no-dangling")).toBe("");
      await instance.remove();
    },
    minute,
  );
});

test(
  "what the engine makes only after the command that asked for it was killed is in nobody's way",
  async () => {
    const engine = await DockerEngine.open(process.env, sandbox.folder);
    const name = `hjk-test-late-${crypto.randomUUID().slice(0, 8)}`;
    const spec: ContainerSpec = {
      name,
      image: await baseImageTag(),
      labels: {},
      environment: {},
      mounts: [],
      user: "1000:1000",
      workingDir: "/",
      command: ["sleep", "60"],
      network: "none",
      profile: "strict",
      limits: { pids: 64 },
      flags: [],
    };
    const network = { name, address: "10.213.255.242" };
    const gateway = {
      name: `${name}-gateway`,
      image: spec.image,
      labels: {},
      command: ["node"],
      environment: {},
    };
    try {
      // The second of each stands for the next command, which has looked and found nothing.
      for (let round = 0; round < 2; round += 1) {
        await engine.create({ ...spec, environment: { ROUND: String(round) } });
        await engine.create({ ...spec, flags: ["--env", `ROUND=${round}`] });
        expect(await engine.createNetwork({ name, subnet: "10.213.255.240/28", labels: {} })).toBe(true);
        await engine.createGateway({ ...gateway, network });
      }
      const environment = await runProgram(["docker", "inspect", "-f", "{{.Config.Env}}", name]);
      expect(environment.stdout).toContain("ROUND=1");
    } finally {
      await engine.remove(gateway.name);
      await engine.remove(name);
      await engine.removeNetwork(name);
    }
  },
  minute,
);
