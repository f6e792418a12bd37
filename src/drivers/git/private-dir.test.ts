import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Git } from "./git.ts";
import { writePrivateDir, type PrivateDirOptions } from "./private-dir.ts";
import { listRefs, openRepository, readSettings, type Repository } from "./repository.ts";
import { gitEnv } from "../../../test/support/git-env.ts";

const git = new Git(gitEnv);
const identity = { userName: "Ann", userEmail: "ann@example.com" };

let parent: string;
let main: string;
let folder: string;
let repository: Repository;
let commit: string;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "hjk-private-"));
});
afterAll(async () => await rm(parent, { recursive: true }));
beforeEach(async () => {
  const place = await mkdtemp(join(parent, "case-"));
  main = join(place, "main");
  folder = join(place, "private");
  await git.run(["init", "--quiet", "--initial-branch=main", main], { cwd: "/" });
  commit = await newCommit("start");
  repository = await openRepository(git, main);
});

async function newCommit(message: string): Promise<string> {
  await git.run(["commit", "--quiet", "--allow-empty", "-m", message], { cwd: main });
  return (await git.run(["rev-parse", "HEAD"], { cwd: main })).trim();
}

async function write(change: Partial<PrivateDirOptions> = {}): Promise<void> {
  await writePrivateDir({
    folder,
    branch: "feat/x",
    commit,
    repository,
    refs: await listRefs(git, repository),
    settings: { ...identity, partialClone: false, core: {} },
    objectFolders: 1,
    shallow: "",
    ...change,
  });
  // Where the container has the main repository's objects.
  await Bun.write(join(folder, "objects", "info", "alternates"), `${join(main, ".git", "objects")}\n`);
}

async function ask(...args: string[]): Promise<string> {
  return (await git.run(args, { cwd: folder, env: { GIT_DIR: folder } })).trim();
}

describe("packed-refs", () => {
  test("is sorted by bytes as its header says, so that git finds every ref", async () => {
    const names = ["a", "a-b", "a.b", "a/b", "B", "zebra", "ä", "機能", "\u{1f43c}", "\ufb01", "feat/y"];
    for (const name of names) {
      if (name !== "a") await git.run(["branch", name], { cwd: main });
    }
    await git.run(["tag", "-a", "v1", "-m", "one"], { cwd: main });
    await git.run(["tag", "light"], { cwd: main });
    await write();
    const lines = (await readFile(join(folder, "packed-refs"), "utf8")).split("\n");
    expect(lines[0]).toBe("# pack-refs with: peeled fully-peeled sorted ");
    const refs = lines.filter((line) => /^[0-9a-f]{40} /.test(line)).map((line) => line.slice(41));
    expect(refs).toEqual(refs.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    // git searches a sorted file by halving it: each lookup is a test of the order.
    for (const ref of refs) await ask("rev-parse", "--verify", ref);
    expect(await ask("rev-parse", "v1^{commit}")).toBe(commit);
    expect(refs).toContain("refs/heads/feat/x");
    // In the words of git itself.
    await ask("pack-refs", "--all");
    expect((await readFile(join(folder, "packed-refs"), "utf8")).split("\n")).toEqual(lines);
  });

  test("has the instance's branch at its commit, whatever the repository's own is at, and no remote HEAD", async () => {
    await git.run(["branch", "feat/x"], { cwd: main });
    await git.run(["update-ref", "refs/remotes/origin/main", commit], { cwd: main });
    await git.run(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"], { cwd: main });
    const second = await newCommit("second");
    await write({ commit: second });
    expect(await ask("rev-parse", "feat/x")).toBe(second);
    expect(await ask("symbolic-ref", "HEAD")).toBe("refs/heads/feat/x");
    expect(await readFile(join(folder, "packed-refs"), "utf8")).not.toContain("origin/HEAD");
    await ask("fsck", "--strict");
  });
});

describe("config", () => {
  test.each([
    "Ann",
    ' " ',
    "\\",
    'a\\"b',
    "#no comment ; nor this",
    "x\n[core]\n\tfsmonitor = touch /tmp/x",
    "ä 機 🐼",
    "  spaces around  ",
    "a\tb",
    "",
  ])("keeps a name as it is and lets none break out: %j", async (name) => {
    await write({ settings: { userName: name, userEmail: name, partialClone: false, core: {} } });
    expect(
      (await git.run(["config", "--null", "user.name"], { cwd: folder, env: { GIT_DIR: folder } })).slice(
        0,
        -1,
      ),
    ).toBe(name);
    expect(await ask("config", "--list", "--name-only", "--local")).not.toContain("fsmonitor");
  });

  test("takes over what decides how files look, and nothing that may hold a credential", async () => {
    for (const [key, value] of Object.entries({
      "core.autocrlf": "input",
      "core.fsmonitor": "touch /tmp/x",
      "core.sshCommand": "ssh -i /secret",
      "core.hooksPath": "/hooks",
      "http.extraHeader": "Authorization: secret",
      "remote.origin.url": "https://me:secret@example.com/x.git",
      "credential.helper": "store",
      "user.name": "Ann",
      "user.email": "ann@example.com",
      "user.signingKey": "secret",
    })) {
      await git.run(["config", key, value], { cwd: main });
    }
    await write({ settings: await readSettings(git, repository.gitDir) });
    const keys = await ask("config", "--list", "--local");
    expect(keys.split("\n").toSorted()).toEqual(
      [
        "core.repositoryformatversion=0",
        "core.filemode=true",
        "core.bare=false",
        "core.logallrefupdates=always",
        "core.autocrlf=input",
        "user.name=Ann",
        "user.email=ann@example.com",
        "gc.auto=0",
        "filter.lfs.clean=git-lfs clean -- %f",
        "filter.lfs.smudge=git-lfs smudge -- %f",
        "filter.lfs.process=git-lfs filter-process",
        "filter.lfs.required=true",
        "lfs.skipdownloaderrors=true",
      ].toSorted(),
    );
  });

  test("someone without a name can commit too", async () => {
    await write({ settings: { partialClone: false, core: {} } });
    expect(await ask("config", "user.name")).toBe("Headjack");
    expect(await ask("config", "user.email")).toBe("headjack@localhost");
  });

  test("says what a sha256 repository and a partial clone need", async () => {
    await write({
      repository: { ...repository, objectFormat: "sha256" },
      settings: { ...identity, partialClone: true, core: {} },
    });
    const text = await readFile(join(folder, "config"), "utf8");
    expect(text).toContain("repositoryformatversion = 1");
    expect(text).toContain("objectFormat = sha256");
    expect(text).toContain("partialClone = promisor");
  });
});
