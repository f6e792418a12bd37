import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Git } from "../../src/drivers/git/git.ts";
import { ensureHub, fetchIntoHub, inspectHistory, sweepHub } from "../../src/drivers/git/hub.ts";
import { openRepository, type Repository } from "../../src/drivers/git/repository.ts";
import { runProgram } from "../support/harness.ts";
import { gitEnv } from "../support/git-env.ts";

/*
 * The fetch from a container, whose other end an agent may have replaced. No container is needed to
 * play that end: here it is a script on this machine.
 */

const git = new Git(gitEnv);
const limits = { bytes: 8 * 1024 * 1024, timeoutMs: 20_000 };

let parent: string;
let folder: string;
let main: string;
let instance: string;
let repository: Repository;
let hub: string;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "hjk-fetch-"));
});
afterAll(async () => await rm(parent, { recursive: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(parent, "case-"));
  main = join(folder, "main");
  instance = join(folder, "instance");
  hub = join(folder, "hub.git");
  await git.run(["init", "--quiet", "--initial-branch=main", main], { cwd: "/" });
  await git.run(["commit", "--quiet", "--allow-empty", "-m", "start"], { cwd: main });
  await git.run(["clone", "--quiet", "--no-local", main, instance], { cwd: "/" });
  await git.run(["checkout", "--quiet", "-b", "feat/x"], { cwd: instance });
  repository = await openRepository(git, main);
  await ensureHub(git, repository, hub);
});

async function inside(...args: string[]): Promise<string> {
  return (await git.run(args, { cwd: instance })).trim();
}

/** The honest other end, with a line of shell before it or instead of it. */
async function script(text: string): Promise<string[]> {
  const file = join(folder, `upload-pack-${crypto.randomUUID()}`);
  await Bun.write(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return [file];
}

const honest = (): string => `exec git upload-pack ${instance}`;

async function fetch(
  text: string,
  limit: Partial<typeof limits> = {},
  branch = "feat/x",
): Promise<{ branch?: string; head?: string }> {
  return await fetchIntoHub(git, {
    hub,
    instance: "abc123",
    branch,
    uploadPack: await script(text),
    env: {},
    limits: { ...limits, ...limit },
  });
}

async function refused(text: string, limit: Partial<typeof limits> = {}): Promise<string> {
  try {
    await fetch(text, limit);
  } catch (error) {
    return String(error);
  }
  throw new Error("was accepted");
}

describe("an honest other end", () => {
  test("attack 17: brings the branch and HEAD, and nothing else", async () => {
    await inside("commit", "--quiet", "--allow-empty", "-m", "work");
    await inside("tag", "sneaky");
    await inside("branch", "other");
    const tip = await inside("rev-parse", "HEAD");
    // A mirror takes all that is offered.
    const mirror = join(folder, "mirror.git");
    await git.run(["clone", "--quiet", "--mirror", "--no-local", instance, mirror], { cwd: "/" });
    expect(await git.run(["for-each-ref"], { cwd: mirror })).toContain("refs/tags/sneaky");
    expect(await fetch(honest())).toEqual({ branch: tip, head: tip });
    const refs = await git.run(["for-each-ref", "--format=%(refname)"], { cwd: hub });
    expect(refs.trim().split("\n")).toEqual([
      "refs/instances/abc123/HEAD",
      "refs/instances/abc123/heads/feat/x",
    ]);
    expect(await Bun.file(join(hub, "FETCH_HEAD")).exists()).toBe(false);
  });

  test("a branch that was renamed, a HEAD without a commit, a detached HEAD: each is an answer", async () => {
    const start = await inside("rev-parse", "HEAD");
    await inside("checkout", "--quiet", "--orphan", "empty");
    expect(await fetch(honest())).toEqual({ branch: start });
    await inside("checkout", "--quiet", "feat/x");
    await inside("branch", "-m", "feat/x/deeper");
    expect(await fetch(honest())).toEqual({ head: start });
    await inside("branch", "-m", "feat/x");
    await inside("checkout", "--quiet", "--detach");
    await inside("commit", "--quiet", "--allow-empty", "-m", "beside");
    expect(await fetch(honest())).toEqual({ branch: start, head: await inside("rev-parse", "HEAD") });
  });

  test("what is gone there is gone here, and history may be rewritten", async () => {
    await inside("commit", "--quiet", "--allow-empty", "-m", "one");
    await fetch(honest());
    await inside("commit", "--quiet", "--amend", "--allow-empty", "-m", "two");
    const tip = await inside("rev-parse", "HEAD");
    expect(await fetch(honest())).toEqual({ branch: tip, head: tip });
    await inside("checkout", "--quiet", "main");
    await inside("branch", "-D", "feat/x");
    expect((await fetch(honest())).branch).toBeUndefined();
  });
});

describe("a hostile other end", () => {
  test.each([
    ["says nothing", "exit 0"],
    ["fails", "exit 1"],
    ["prints garbage", "head -c 200000 /dev/urandom"],
    ["prints text", "echo hello; cat"],
    ["claims a commit that nobody has", `printf '003d%s HEAD\\n0000' ${"ab".repeat(20)}; cat > /dev/null`],
    ["sends a pack cut short", "git upload-pack $REPO | head -c 600"],
  ])("%s: an error, and no ref", async (_, text) => {
    await inside("commit", "--quiet", "--allow-empty", "-m", "work");
    // Two of them leave git waiting for more, which only the time limit ends.
    const error = await refused(text.replace("$REPO", instance), { timeoutMs: 1000 });
    expect(error.length).toBeLessThan(3000);
    expect(await git.run(["for-each-ref"], { cwd: hub })).toBe("");
    // It was the script that was at fault.
    expect((await fetch(honest())).branch).toBe(await inside("rev-parse", "HEAD"));
  });

  test("hangs: ended with all that it has started, in the time given", async () => {
    const mark = `29${Math.floor(Math.random() * 1e6)}`;
    expect(await refused(`sleep ${mark} & exec sleep ${mark}`, { timeoutMs: 500 })).toContain(
      "took too long",
    );
    const left = await runProgram(["pgrep", "-f", `^sleep ${mark}`]);
    expect(left.stdout).toBe("");
  }, 30_000);

  test("attack 40: prints errors without end: kept short", async () => {
    const error = await refused("yes '\u001b]52;c;QQ==\u0007 remote says' | head -c 5000000 >&2; exit 1");
    expect(error.length).toBeLessThan(3000);
  });

  test("attack 19: sends more than it may: stopped, and what it left can be swept", async () => {
    await Bun.write(join(instance, "big"), crypto.getRandomValues(new Uint8Array(64 * 1024)));
    await inside("add", "big");
    await inside("commit", "--quiet", "-m", "fits");
    await fetch(honest(), { bytes: 1024 * 1024 });
    const noise = Array.from({ length: 64 }, () => crypto.getRandomValues(new Uint8Array(64 * 1024)));
    await Bun.write(join(instance, "big"), Buffer.concat(noise));
    await inside("add", "big");
    await inside("commit", "--quiet", "-m", "does not");
    await refused(`exec git -c core.compression=0 upload-pack ${instance}`, {
      bytes: 1024 * 1024,
    });
    const sizes = await runProgram(["du", "-sk", hub]);
    expect(Number(sizes.stdout.split("\t")[0])).toBeLessThan(4096);
    await sweepHub(hub);
    const packs = await readdir(join(hub, "objects", "pack"));
    expect(packs.filter((name) => name.startsWith("tmp_"))).toEqual([]);
    // Nothing that had come before is lost, and with room it comes.
    expect((await fetch(honest())).branch).toBe(await inside("rev-parse", "HEAD"));
  });

  test("attack 16: offers objects that git would trip over: all refused", async () => {
    const blob = await inside("rev-parse", "HEAD^{tree}");
    for (const entry of [".git", ".GIT", "..", ".", "git~1"]) {
      const tree = Buffer.concat([Buffer.from(`40000 ${entry}\0`), Buffer.from(blob, "hex")]);
      await Bun.write(join(folder, "tree"), tree);
      const oid = await inside("hash-object", "--literally", "-t", "tree", "-w", join(folder, "tree"));
      const commit = await inside("commit-tree", oid, "-p", "main", "-m", entry);
      await inside("update-ref", "refs/heads/feat/x", commit);
      // Git itself takes them where nobody has told it to look.
      const taken = join(folder, `taken-${crypto.randomUUID()}`);
      await git.run(["clone", "--quiet", "--mirror", "--no-local", instance, taken], { cwd: "/" });
      expect(await refused(honest())).toContain("fsck error");
    }
  });

  test("settings of the user's and of the hub's folder have no part in it", async () => {
    const home = join(folder, "home");
    await mkdir(home);
    const ran = join(folder, "ran");
    await Bun.write(
      join(home, ".gitconfig"),
      `[fetch]\n\tfsckObjects = false\n[core]\n\thooksPath = ${home}/hooks\n[remote "evil"]\n\turl = x\n`,
    );
    await Bun.write(join(home, "hooks", "reference-transaction"), `#!/bin/sh\ntouch ${ran}\n`);
    await chmod(join(home, "hooks", "reference-transaction"), 0o755);
    const users = new Git({ ...gitEnv, HOME: home, GIT_CONFIG_GLOBAL: join(home, ".gitconfig") });
    await inside("commit", "--quiet", "--allow-empty", "-m", "work");
    const uploadPack = await script(honest());
    await fetchIntoHub(users, { hub, instance: "abc123", branch: "feat/x", uploadPack, env: {} });
    expect(await Bun.file(ran).exists()).toBe(false);
    // The trap is real.
    await runProgram(["git", "update-ref", "refs/heads/trap", "HEAD"], {
      cwd: main,
      env: { ...gitEnv, HOME: home, GIT_CONFIG_GLOBAL: join(home, ".gitconfig") },
    });
    expect(await Bun.file(ran).exists()).toBe(true);
  });
});

test("attack 16: inspectHistory sees submodules, links that lead out and .gitmodules", async () => {
  const oid = await inside("rev-parse", "HEAD");
  await inside("update-index", "--add", "--cacheinfo", `160000,${oid},sub/one`);
  await Bun.write(join(instance, ".gitmodules"), '[submodule "one"]\n\tpath = sub/one\n\turl = ./one\n');
  for (const [name, target] of Object.entries({
    inner: "deep/file",
    "deep/up": "../inner",
    out: "../secret",
    absolute: "/etc/passwd",
    "deep/out": "../../secret",
    sly: "deep/../../secret",
  })) {
    await mkdir(join(instance, "deep"), { recursive: true });
    await runProgram(["ln", "-s", target, join(instance, name)]);
  }
  await inside("add", ".gitmodules", "inner", "out", "absolute", "sly", "deep");
  await inside("commit", "--quiet", "-m", "traps");
  const { branch = "" } = await fetch(honest());
  const found = await inspectHistory(git, hub, oid, branch);
  expect(found.gitlinks).toEqual(["sub/one"]);
  expect(found.changesGitmodules).toBe(true);
  expect(found.escapingLinks.toSorted()).toEqual(["absolute", "deep/out", "out", "sly"]);
});
