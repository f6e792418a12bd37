import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { exists, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { binary, eventually, runProgram, Sandbox } from "../support/harness.ts";
import { gitIn, Instance, leftovers } from "../support/workbench.ts";

/* `hjk doctor --fix`: what belongs to no record, or lacks what its record says. */

const minute = 60_000;

let sandbox: Sandbox;
let data: string;
let instance: Instance;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  data = join(sandbox.folder, "hjk", "data");
});
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);
beforeEach(async () => {
  instance = await Instance.make(sandbox, "feat/x", { flags: ["--", "--memory=1g"] });
}, minute);
afterEach(async () => {
  await sandbox.hjk(["rm", "-f", instance.id]);
  await runProgram(["git", "branch", "-D", "feat/x"], { cwd: sandbox.repo, env: sandbox.env });
}, minute);

interface Finding {
  what: string;
  state: string;
  detail: string;
  hint?: string;
  fixed?: string;
}

async function findings(...options: string[]): Promise<Finding[]> {
  const { stdout } = await sandbox.hjk(["doctor", "--json", ...options]);
  return (JSON.parse(stdout) as { findings: Finding[] }).findings;
}

/** What is not in order, or has been mended, of what concerns this test. */
async function broken(...options: string[]): Promise<Finding[]> {
  const aside = new Set(["base image", "notifications"]);
  return (await findings(...options)).filter(
    (one) => !aside.has(one.what) && (one.state !== "ok" || one.fixed !== undefined),
  );
}

/** One finding, which names the command; mended by it, and gone afterwards. */
async function expectMended(wanted: Partial<Finding>, fixed: RegExp): Promise<void> {
  const found = await broken();
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject(wanted);
  expect(found[0]?.hint).toContain("hjk doctor --fix");
  const mended = await broken("--fix");
  expect(mended).toHaveLength(1);
  expect(mended[0]).toMatchObject({ what: wanted.what ?? "", state: "ok" });
  expect(mended[0]?.fixed).toMatch(fixed);
  expect(await broken()).toEqual([]);
}

async function expectWhole(tip: string): Promise<void> {
  expect((await instance.view()).status).toBe("running");
  expect(await instance.inside("git status --porcelain; git rev-parse HEAD")).toBe(`?? unsaved.txt\n${tip}`);
  const looked = await runProgram(["git", "status"], { cwd: await instance.workspace, env: sandbox.env });
  expect(looked.stderr).toContain("/nonexistent/hjk-sealed");
  const next = await instance.commit(`${crypto.randomUUID()}.txt`);
  expect(await instance.sync()).toBe("");
  expect(await instance.at()).toBe(next);
}

test(
  "nothing is wrong: nothing is done",
  async () => {
    expect(await broken("--fix")).toEqual([]);
    expect((await sandbox.hjk(["doctor", "--fix"])).code).toBe(0);
  },
  minute,
);

test.each(["lost", "empty", "damaged"])(
  "a store that is %s: records come again, with flags and snapshots, and commits come home",
  async (how) => {
    const tip = await instance.commit("kept.txt");
    await instance.inside("echo one > unsaved.txt");
    await sandbox.ok(["recreate", "feat/x"]);
    const kept = `refs/headjack/${instance.id}/snapshots`;
    expect(await sandbox.git("for-each-ref", "--format=%(refname)", kept)).toBe(`${kept}/1`);
    await sandbox.ok(["exec", "-d", "-n", "living", "feat/x", "sh", "-c", "echo words; exec sleep 1000"]);
    for (const end of ["-wal", "-shm"]) await rm(join(data, `headjack.db${end}`), { force: true });
    if (how === "lost") await rm(join(data, "headjack.db"));
    else await writeFile(join(data, "headjack.db"), how === "empty" ? "" : "not a database ".repeat(1000));
    const before = await sandbox.hjk(["doctor"]);
    expect(before.code).toBe(1);
    expect(before.stdout + before.stderr).toContain("hjk doctor --fix");
    const mended = await broken("--fix");
    expect(mended.map((one) => one.state)).toEqual(mended.map(() => "ok"));
    expect(mended.at(-1)).toMatchObject({
      what: `instance ${instance.id} (feat/x)`,
      fixed: "recorded again",
    });
    expect(await broken()).toEqual([]);
    expect((await sandbox.instance("feat/x")).sessions).toMatchObject([
      { name: "first", type: "shell", status: "exited" },
      { name: "living", type: "shell", status: "detached" },
    ]);
    expect(await sandbox.ok(["logs", "feat/x", "living"])).toContain("words");
    await sandbox.ok(["kill", "feat/x/living"]);
    await expectWhole(tip);
    // The next snapshot does not take the place of the one that is there.
    await instance.inside("echo two > unsaved.txt");
    await sandbox.ok(["recreate", "feat/x"]);
    const memory = ["docker", "inspect", "-f", "{{.HostConfig.Memory}}", instance.container];
    expect((await runProgram(memory)).stdout.trim()).toBe(String(1024 ** 3));
    expect(await sandbox.git("show", `${kept}/1:unsaved.txt`)).toBe("one");
    expect(await sandbox.git("show", `${kept}/2:unsaved.txt`)).toBe("two");
    const left = (await readdir(data)).filter((name) => name.includes(".damaged-"));
    expect(left).toHaveLength(how === "damaged" ? 1 : 0);
    for (const name of left) await rm(join(data, name));
  },
  minute,
);

test(
  "a lost store and no copy of the record: by the labels and mounts of the container; killed at it, again",
  async () => {
    const tip = await instance.commit("kept.txt");
    await instance.inside("echo one > unsaved.txt");
    await instance.sync();
    for (const end of ["", "-wal", "-shm"]) await rm(join(data, `headjack.db${end}`), { force: true });
    await rm(join(data, "instances", instance.id, "record.json"));
    for (const moment of [50, 100, 150, 200]) {
      const child = Bun.spawn([binary, "doctor", "--fix"], {
        cwd: sandbox.repo,
        env: sandbox.env,
        stdio: ["ignore", "ignore", "ignore"],
      });
      await Bun.sleep(moment);
      child.kill("SIGKILL");
      await child.exited;
    }
    await broken("--fix");
    expect(await broken()).toEqual([]);
    await expectWhole(tip);
  },
  minute,
);

test(
  "a record without its container, then without its workspace",
  async () => {
    const tip = await instance.commit("kept.txt");
    await instance.inside("echo one > unsaved.txt");
    const what = `instance ${instance.id} (feat/x)`;
    const workspace = await instance.workspace;
    await runProgram(["docker", "rm", "-f", instance.container]);
    await expectMended({ what, state: "problem" }, /container was made again/);
    await expectWhole(tip);
    const last = await instance.at();
    await rm(workspace, { recursive: true });
    await expectMended({ what, state: "problem" }, /as of its last commit/);
    expect(await instance.inside("git status --porcelain; git rev-parse HEAD")).toBe(last);
  },
  minute,
);

test(
  "an unsealed workspace: a pointer that is missing, another's, a link or a repository",
  async () => {
    const workspace = await instance.workspace;
    const pointer = join(workspace, ".git");
    const outside = join(sandbox.folder, "outside.txt");
    await writeFile(outside, "mine");
    const what = `instance ${instance.id} (feat/x)`;
    await sandbox.ok(["stop", "feat/x"]);
    await writeFile(pointer, `gitdir: ${sandbox.repo}/.git\n`);
    await expectMended({ what, state: "problem" }, /^sealed$/);
    await rm(pointer);
    await expectMended({ what, state: "problem" }, /^sealed$/);
    await rm(pointer);
    await symlink(outside, pointer);
    await expectMended({ what, state: "problem" }, /^sealed; what was there is now .*\.git-unsealed-/);
    expect(await readFile(outside, "utf8")).toBe("mine");
    await rm(pointer);
    await gitIn(sandbox, workspace, "init", "--quiet");
    await expectMended({ what, state: "problem" }, /^sealed; what was there is now/);
    expect(await readFile(pointer, "utf8")).toBe("gitdir: /nonexistent/hjk-sealed\n");
    await sandbox.ok(["start", "feat/x"]);
    await instance.inside("git rev-parse HEAD");
  },
  minute,
);

test(
  "a worktree and a container that no record knows, their git directory gone: files are kept, git forgets",
  async () => {
    const workspace = await instance.workspace;
    await instance.inside("echo one > unsaved.txt");
    const db = new Database(join(data, "headjack.db"));
    db.run("DELETE FROM instances");
    db.close();
    await rm(join(data, "instances", instance.id), { recursive: true });
    const mended = await broken("--fix");
    expect(mended.map(({ what, fixed }) => [what, fixed])).toEqual([
      [`container ${instance.container}`, "removed"],
      [`gateway ${instance.container}-gateway`, "removed"],
      [`network ${instance.container}`, "removed"],
      [`worktree ${workspace}`, `git has forgotten it; its files are in ${workspace}.kept`],
    ]);
    expect(await readFile(join(`${workspace}.kept`, "unsaved.txt"), "utf8")).toBe("one\n");
    expect(await sandbox.git("worktree", "list", "--porcelain")).not.toContain(workspace);
    expect(await sandbox.containers()).toEqual([]);
    expect(await broken()).toEqual([]);
    await rm(`${workspace}.kept`, { recursive: true });
    // A recording that nobody knows ends with its program, which may be a moment after the container.
    await eventually(
      async () => {
        await rm(join(data, "logs", instance.id), { recursive: true, force: true });
        return (await leftovers(sandbox)).length === 0;
      },
      async () => `nothing is left: ${(await leftovers(sandbox)).join(" ")}`,
    );
  },
  minute,
);

test(
  "what belongs to another store on the same repository is left alone",
  async () => {
    const other = { HEADJACK_HOME: join(sandbox.folder, "other") };
    await mkdir(other.HEADJACK_HOME);
    const trees = join(data, "worktrees");
    await writeFile(
      join(other.HEADJACK_HOME, "config.yaml"),
      `storage: { worktrees: ${JSON.stringify(trees)} }`,
    );
    const fixed = await sandbox.hjk(["doctor", "--fix"], { env: other });
    expect(fixed.stdout).not.toContain("mended");
    expect(fixed.stdout).not.toContain(instance.id);
    await sandbox.ok(["run", "elsewhere", "-d"], { env: other });
    expect(
      (await sandbox.ok(["doctor", "--fix"], { env: other })) + (await sandbox.ok(["doctor", "--fix"])),
    ).not.toContain("mended");
    await sandbox.ok(["rm", "-f", "elsewhere"], { env: other });
    await runProgram(["tmux", "-S", join(other.HEADJACK_HOME, "data", "run", "tmux"), "kill-server"]);
    expect((await instance.view()).status).toBe("running");
  },
  minute,
);

test(
  "a damaged hub, a lock of a killed command, a pipe of no session",
  async () => {
    const first = await instance.commit("first.txt");
    expect(await instance.sync()).toBe("");
    const hubs = join(data, "hubs");
    const [hub = ""] = await readdir(hubs);
    await writeFile(join(hubs, hub, "config"), "[broken");
    const pipe = join(data, "run", "0123456789ab.env");
    await runProgram(["mkfifo", pipe]);
    const db = new Database(join(data, "headjack.db"));
    db.run("INSERT INTO locks VALUES ('sync:gone', 999999999, '1')");
    db.close();
    const found = await broken("--fix");
    expect(found.map(({ what, state }) => [what, state])).toEqual([
      ["hub of my-app", "ok"],
      ["pipe 0123456789ab.env", "ok"],
      ["lock sync:gone", "ok"],
    ]);
    expect(await exists(pipe)).toBe(false);
    expect(await broken()).toEqual([]);
    const second = await instance.commit("second.txt");
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(second);
    expect(await sandbox.git("rev-parse", "feat/x~1")).toBe(first);
  },
  minute,
);
