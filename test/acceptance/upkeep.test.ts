import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Sandbox } from "../support/harness.ts";
import { gitIn, Instance, wrapGit } from "../support/workbench.ts";

/* What the user does to their repository meanwhile takes nothing from an instance, and nothing that was kept. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

describe("between all steps of an instance's life", () => {
  const ways: Record<string, string[]> = {
    "git gc --prune=now": ["gc", "--quiet", "--prune=now"],
    "git prune": ["prune", "--expire=now"],
    "git repack -a -d": ["repack", "-a", "-d", "--quiet"],
  };
  test.each(Object.keys(ways))(
    "%s",
    async (name) => {
      const repo = `${sandbox.folder}/${name.replaceAll(" ", "-")}`;
      await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, repo);
      const git = (...args: string[]): Promise<string> => gitIn(sandbox, repo, ...args);
      // Of a branch that is gone by then: nothing but the instance holds it.
      await git("checkout", "--quiet", "-b", "start");
      await git("commit", "--quiet", "--allow-empty", "-m", "start of the instance");
      const instance = await Instance.make(sandbox, "feat/x", { repo });
      await git("checkout", "--quiet", "main");
      await git("branch", "--quiet", "-D", "start");
      const upkeep = async (): Promise<void> => {
        // Nothing but refs holds anything then.
        await git("reflog", "expire", "--expire=all", "--all");
        await git("worktree", "prune");
        await git(...(ways[name] ?? []));
        expect(await git("fsck", "--strict", "--no-dangling")).toBe("");
      };
      const isSound = async (): Promise<void> => {
        const found = await instance.try("git fsck --strict --no-dangling && git log -p >/dev/null");
        expect(found).toEqual({ code: 0, stdout: "", stderr: "" });
      };

      await upkeep();
      await isSound();

      const first = await instance.commit("first.txt");
      await upkeep();
      await isSound();
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(first);
      // Without objects of its own, and without the branch, the commit is held by the worktree alone.
      await instance.inside("rm -r /hjk/git/objects/??");
      await git("branch", "--quiet", "-D", "feat/x");
      await upkeep();
      await isSound();

      // What only the instance has: a stash, a branch beside, what is staged, changed and untracked.
      await instance.inside(`git checkout -qb beside; echo b > beside.txt; git add .; git commit -qm beside
        git checkout -q feat/x; echo stashed > first.txt; git stash -q
        echo staged > staged.txt; git add staged.txt; echo more >> staged.txt; echo u > untracked.txt`);
      const beside = await instance.inside("git rev-parse beside");
      const files =
        "git status --porcelain=v1; cat staged.txt untracked.txt; git diff --cached; git rev-parse HEAD";
      const before = await instance.inside(files);
      await upkeep();
      await sandbox.ok(["recreate", "feat/x"], { cwd: repo });
      const snapshots = (): Promise<string> =>
        git("for-each-ref", "--format=%(refname) %(objectname)", "refs/headjack");
      const taken = await snapshots();
      expect(taken).toContain(`refs/headjack/${instance.id}/snapshots/1 `);
      await upkeep();
      await isSound();
      expect(await snapshots()).toBe(taken);
      expect(await instance.inside(files)).toBe(before);

      await instance.inside("git reset -q --hard; git clean -fdq");
      await sandbox.ok(["restore", "feat/x", "1"], { cwd: repo });
      await upkeep();
      await isSound();
      expect(await instance.inside(files)).toBe(before);

      await instance.remove();
      // What is left are the refs that Headjack keeps.
      expect(await instance.at()).toBe("");
      await upkeep();
      await sandbox.ok(["undo"], { cwd: repo });
      await upkeep();
      await isSound();
      expect(await instance.inside(files)).toBe(before);
      expect(await instance.inside("git rev-parse beside; git stash show -p | tail -1")).toBe(
        `${beside}\n+stashed`,
      );
      const last = await instance.commit("last.txt");
      await upkeep();
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(last);
      await instance.remove();
      await upkeep();
    },
    4 * minute,
  );
});

test(
  "git gc --prune=now before each step of a merge may keep it out, but nothing is lost or half made",
  async () => {
    const repo = `${sandbox.folder}/during-merge`;
    await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, repo);
    const instance = await Instance.make(sandbox, "feat/y", { repo });
    const tip = await instance.commit("of-the-agent.txt");
    await Bun.write(`${repo}/of-the-user.txt`, "of the user");
    await gitIn(sandbox, repo, "add", ".");
    await gitIn(sandbox, repo, "commit", "--quiet", "-m", "of the user");
    const log = `${sandbox.folder}/upkeep`;
    // Without the variables of this one step, which may lead it to another repository.
    const gc = `env -u GIT_DIR -u GIT_OBJECT_DIRECTORY "$real_git" -C '${repo}' gc --quiet --prune=now`;
    const env = await wrapGit(sandbox, `${gc} </dev/null >/dev/null 2>&1 && echo done >> '${log}'`);
    const before = await gitIn(sandbox, repo, "rev-parse", "main");
    // Git itself promises nothing for what arrives while it prunes: until a ref holds it, the commits can be gone again.
    const merged = await sandbox.hjk(["merge", "feat/y"], { cwd: repo, env });
    if (merged.code !== 0) {
      expect(merged.stderr).toContain("Nothing was changed.");
      expect(await gitIn(sandbox, repo, "rev-parse", "main")).toBe(before);
      expect(await gitIn(sandbox, repo, "status", "--porcelain")).toBe("");
      expect(await gitIn(sandbox, repo, "fsck", "--strict", "--no-dangling")).toBe("");
      await sandbox.ok(["merge", "feat/y"], { cwd: repo });
    }
    expect((await Bun.file(log).text()).split("\n").length).toBeGreaterThan(5);
    expect(await gitIn(sandbox, repo, "fsck", "--strict", "--no-dangling")).toBe("");
    expect(await gitIn(sandbox, repo, "rev-parse", "main^2")).toBe(tip);
    expect(await gitIn(sandbox, repo, "status", "--porcelain")).toBe("");
    expect(await gitIn(sandbox, repo, "ls-files", "of-the-agent.txt", "of-the-user.txt")).toBe(
      "of-the-agent.txt\nof-the-user.txt",
    );
    expect(await instance.try("git fsck --strict --no-dangling")).toMatchObject({ code: 0, stderr: "" });
  },
  4 * minute,
);
