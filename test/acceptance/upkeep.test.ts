import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Sandbox } from "../support/harness.ts";
import { gitIn, Instance } from "../support/workbench.ts";

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
