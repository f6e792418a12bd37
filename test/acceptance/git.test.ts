import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { exists, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, runProgram, Sandbox } from "../support/harness.ts";
import { fingerprintOf, gitIn, Instance, leftovers, objectsOf } from "../support/workbench.ts";

/* Full git inside the container, and nothing but commits outside it. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  await sandbox.git("commit", "--quiet", "--allow-empty", "-m", "second");
  await sandbox.git("config", "advice.detachedHead", "false");
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

const git = (folder: string, ...args: string[]): Promise<string> => gitIn(sandbox, folder, ...args);

/** A further repository: a clone of the sample one, or what `make` makes of it. */
async function repository(
  name: string,
  make: (source: string, target: string) => Promise<unknown> = (source, target) =>
    git("/", "clone", "--quiet", source, target),
): Promise<string> {
  const target = join(sandbox.folder, name);
  await make(sandbox.repo, target);
  return target;
}

describe("inside", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/inside", { flags: ["--from", "main~1"] });
  }, minute);
  afterAll(async () => await instance.remove(), minute);

  test("the workspace is clean, on its branch, and knows main, the user's name and no remote", async () => {
    expect(await instance.inside("git status --porcelain=v2 --branch")).toMatch(
      /^# branch.oid [0-9a-f]{40}\n# branch.head feat\/inside$/,
    );
    expect(await instance.inside("git config user.name; git remote; git diff main~1")).toBe("Ann");
    expect(await instance.inside("git rev-parse main")).toBe(await instance.at("main"));
  });

  test("commit, amend, branch, tag, stash, log, diff, merge and rebase work", async () => {
    const first = await instance.commit("one.txt");
    await instance.inside(
      "echo more >> one.txt; git commit -qam more; git commit -q --amend -m 'more, amended'",
    );
    expect(await instance.inside("git log --format=%s -3")).toBe(
      "more, amended\nadd one.txt\nA small shop: products, users and payments",
    );
    expect(await instance.inside("git log --format='%an <%ae>' -1")).toBe("Ann <ann@example.com>");
    await instance.inside(
      "git checkout -qb side HEAD~1; echo side > side.txt; git add .; git commit -qm side",
    );
    await instance.inside(
      "git checkout -q feat/inside; git merge -q --no-edit side; git branch -d side; test -f side.txt",
    );
    await instance.inside("git tag light; git tag -a -m annotated v9; git describe | grep -q v9");
    await instance.inside(
      'echo wip > one.txt; git stash -q; test -z "$(git status --porcelain)"; git stash pop -q',
    );
    expect(await instance.inside("git diff --stat | tail -1")).toContain("1 file changed");
    await instance.inside("git checkout -q one.txt");
    expect(await instance.inside("git diff --name-only main")).toBe("one.txt\nside.txt");
    await instance.inside("git rebase -q main; git log --format=%s main..HEAD");
    expect(await instance.inside("git merge-base HEAD main")).toBe(await instance.at("main"));
    await instance.inside(
      "git fsck --strict; git gc -q; git worktree list; git submodule status; git cherry main",
    );
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(await instance.inside("git rev-parse HEAD"));
    expect(first).not.toBe(await instance.at());
    // Tags and other branches are the instance's own affair.
    expect(await instance.git("tag", "--list")).toBe("");
    expect(await instance.git("fsck", "--strict", "--no-dangling")).toBe("");
  });

  test("what came home survives the branch's end and a gc, even if the instance has repacked", async () => {
    const tip = await instance.commit("kept.txt");
    await instance.sync();
    // Now nothing of it is the instance's own any more.
    await instance.inside("git repack -adlq; git prune-packed -q");
    await instance.git("branch", "-D", "feat/inside");
    await instance.git("reflog", "expire", "--expire=all", "--all");
    await instance.git("gc", "--quiet", "--prune=now");
    expect(await instance.inside("git fsck --strict --no-dangling; git log -1 --format=%H")).toBe(tip);
    // Without its branch it is in the instance only, as are tags of it: rm keeps them, and says so.
    const asked = await instance.hjk("rm");
    expect(asked).toMatchObject({ code: 1, stdout: "" });
    expect(asked.stderr).toContain("This stays as snapshot 1");
    expect(asked.stderr).toContain("kept there by this:\n  tags/light\n  tags/v9\n");
    expect(asked.stderr).not.toContain("lose");
    expect(await instance.git("rev-parse", `refs/headjack/${instance.id}/snapshots/1^`)).toBe(tip);
    // The next commit brings the branch back.
    const next = await instance.commit("next.txt");
    await instance.sync();
    expect(await instance.at()).toBe(next);
  });
});

describe("commits come home", () => {
  let instance: Instance;
  let count = 0;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/home");
  }, minute);
  afterAll(async () => await instance.remove(), minute);

  async function newCommit(): Promise<string> {
    const tip = await instance.commit(`home-${(count += 1)}.txt`);
    expect(await instance.at()).not.toBe(tip);
    return tip;
  }

  test.each([
    ["ps", ["ps"]],
    ["ps of the branch", ["ps", "feat/home"]],
    ["logs", ["logs", "feat/home"]],
    ["exec, also of a failing command", ["exec", "feat/home", "false"]],
    ["git", ["git", "feat/home", "status"]],
    ["stop", ["stop", "feat/home"]],
  ])("by %s", async (_, args) => {
    const tip = await newCommit();
    await sandbox.hjk(args);
    expect(await instance.at()).toBe(tip);
  });

  test("from a stopped instance", async () => {
    expect((await instance.view()).status).toBe("stopped");
    await runProgram(["docker", "start", instance.container]);
    const tip = await newCommit();
    await runProgram(["docker", "stop", "-t", "0", instance.container]);
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(tip);
    const shown = await instance.hjk("git", "log", "-1", "--format=%H");
    expect(shown).toMatchObject({ code: 0, stdout: `${tip}\n` });
  });

  test("by themselves when a session ends", async () => {
    await sandbox.ok([
      "exec",
      "-d",
      "feat/home",
      "sh",
      "-c",
      "echo x > ended; git add -A; git commit -qm ended",
    ]);
    await eventually(
      async () => (await instance.git("log", "-1", "--format=%s", "feat/home")) === "ended",
      "the session's commit is on the branch",
    );
  });

  test("by themselves each time a session's screen comes to rest", async () => {
    const work = 'work() { echo x > "$1"; git add -A; git commit -qm "$1"; echo "$1"; }';
    const script = `${work}; work first-rest; sleep 6; work second-rest; sleep 1000`;
    await sandbox.ok(["exec", "-d", "-n", "resting", "feat/home", "sh", "-c", script]);
    for (const subject of ["first-rest", "second-rest"]) {
      await eventually(
        async () => (await instance.git("log", "-1", "--format=%s", "feat/home")) === subject,
        `${subject} is on the branch`,
      );
    }
    await sandbox.ok(["kill", "feat/home/resting"]);
  }, 30_000);

  test("before rm, which then says that nothing is lost; with unsaved work it says what", async () => {
    const other = await Instance.make(sandbox, "feat/removed");
    const tip = await other.commit("x.txt");
    await other.inside(
      "echo changed >> README.md; echo new > untracked.txt; git stash -q; echo new > untracked.txt",
    );
    const refused = await other.hjk("rm");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("untracked.txt");
    expect(refused.stderr).toContain("  stash/0");
    expect(refused.stderr).not.toContain("lose");
    await other.inside("rm untracked.txt; git stash drop -q");
    expect((await other.hjk("rm")).stderr).not.toContain("lose");
    await other.remove();
    expect(await other.at()).toBe(tip);
    expect((await leftovers(sandbox)).filter((left) => left.includes(other.id))).toEqual([]);
  });
});

/** What instances that other tests still have leave: in a shared repository those are no leftovers. */
async function ofLiving(): Promise<string[]> {
  const living = (await sandbox.instances()).map((instance) => instance.id);
  const all = await leftovers(sandbox);
  return all.filter((left) => living.some((id) => left.includes(id)));
}

describe("the branch", () => {
  test(
    "the user can check it out while the instance lives, and then sees each new commit",
    async () => {
      const repo = await repository("checkout");
      const instance = await Instance.make(sandbox, "feat/x", { repo });
      await instance.commit("one.txt");
      await instance.sync();
      await git(repo, "checkout", "--quiet", "feat/x");
      expect(await readFile(join(repo, "one.txt"), "utf8")).toBe("one.txt\n");

      // Clean: the files follow.
      const second = await instance.commit("two.txt");
      expect(await instance.sync()).toBe("");
      expect(await git(repo, "rev-parse", "HEAD")).toBe(second);
      expect(await readFile(join(repo, "two.txt"), "utf8")).toBe("two.txt\n");
      expect(await git(repo, "status", "--porcelain")).toBe("");

      // With changes of the user's own: nothing of theirs is touched, and the printed command works.
      await writeFile(join(repo, "one.txt"), "mine\n");
      const third = await instance.commit("three.txt");
      const notice = await instance.sync();
      expect(await git(repo, "rev-parse", "HEAD")).toBe(second);
      expect(await readFile(join(repo, "one.txt"), "utf8")).toBe("mine\n");
      const command = /git merge --ff-only (\S+)$/.exec(notice)?.[0] ?? "";
      expect(notice).toContain(repo);
      expect((await sandbox.hjk(["ps"], { cwd: repo })).stdout).toContain(command);
      await git(repo, "stash", "--quiet");
      await git(repo, ...command.split(" ").slice(1));
      expect(await git(repo, "rev-parse", "HEAD")).toBe(third);
      expect(await instance.sync()).toBe("");
      await git(repo, "stash", "pop", "--quiet");

      // An untracked file of the user's in the way of a new one.
      await git(repo, "checkout", "--quiet", "--", "one.txt");
      await writeFile(join(repo, "four.txt"), "mine\n");
      const fourth = await instance.commit("four.txt");
      expect(await instance.sync()).toContain("merge --ff-only");
      expect(await readFile(join(repo, "four.txt"), "utf8")).toBe("mine\n");
      await rm(join(repo, "four.txt"));
      expect(await instance.sync()).toBe("");
      expect(await git(repo, "rev-parse", "HEAD")).toBe(fourth);
      await instance.remove();
      expect(await leftovers(sandbox, repo)).toEqual([]);
    },
    minute,
  );

  test(
    "checked out in a linked worktree of the user's, and in one whose folder is gone",
    async () => {
      const repo = await repository("linked-checkout");
      const linked = join(sandbox.folder, "linked-folder");
      const instance = await Instance.make(sandbox, "feat/x", { repo });
      await git(repo, "worktree", "add", "--quiet", linked, "feat/x");
      const first = await instance.commit("one.txt");
      expect(await instance.sync()).toBe("");
      expect(await git(linked, "rev-parse", "HEAD")).toBe(first);
      expect(await exists(join(linked, "one.txt"))).toBe(true);
      await rm(linked, { recursive: true });
      const second = await instance.commit("two.txt");
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(second);
      await instance.remove();
      // Only what is ours is gone.
      expect(await git(repo, "worktree", "list")).toContain("linked-folder");
    },
    minute,
  );

  test(
    "diverged: both are kept, told, and still there after rm",
    async () => {
      const repo = await repository("diverged");
      const instance = await Instance.make(sandbox, "feat/x", { repo });
      const theirs = await instance.commit("theirs.txt");
      await git(repo, "checkout", "--quiet", "feat/x");
      await git(repo, "commit", "--quiet", "--allow-empty", "-m", "mine");
      const mine = await git(repo, "rev-parse", "HEAD");
      await git(repo, "checkout", "--quiet", "main");
      const notice = await instance.sync();
      const kept = /refs\/headjack\/\S+[a-z]/.exec(notice)?.[0] ?? "none";
      expect(await instance.at()).toBe(mine);
      expect(await git(repo, "rev-parse", kept)).toBe(theirs);
      await instance.remove();
      expect(await instance.at()).toBe(mine);
      expect(await git(repo, "rev-parse", kept)).toBe(theirs);
      // Merged by the user while the instance lives: nothing is left to tell.
      const again = await Instance.make(sandbox, "feat/y", { repo });
      await again.commit("y.txt");
      await git(repo, "branch", "-f", "feat/y", mine);
      expect(await again.sync()).toContain("diverged");
      await git(repo, "checkout", "--quiet", "feat/y");
      await git(repo, "merge", "--quiet", "--no-edit", `refs/headjack/${again.id}/head`);
      // Nothing of the instance's is missing; it lacks the user's, and the command that is printed mends it.
      const [, command = ""] =
        /^The instance lacks 2 commits of yours. Take them in: hjk (.*)$/.exec(await again.sync()) ?? [];
      await sandbox.ok(command.split(" "), { cwd: repo });
      expect(await again.sync()).toBe("");
      expect(await again.inside("git rev-parse HEAD")).toBe(await again.at());
      await git(repo, "checkout", "--quiet", "main");
      await again.remove();
      expect(await git(repo, "for-each-ref", `refs/headjack/${again.id}`)).toBe("");
    },
    minute,
  );

  test("commits of the user on the branch are told, and come in by the printed command", async () => {
    const repo = await repository("ahead");
    const instance = await Instance.make(sandbox, "feat/ahead", { repo });
    await git(repo, "checkout", "--quiet", "feat/ahead");
    await git(repo, "commit", "--quiet", "--allow-empty", "-m", "mine");
    const notice = await instance.sync();
    expect(notice).toMatch(
      /^The instance lacks 1 commit of yours. Take them in: hjk git feat\/ahead merge --ff-only \w+$/,
    );
    await sandbox.ok(notice.slice(notice.indexOf("hjk ") + 4).split(" "), { cwd: repo });
    expect(await instance.sync()).toBe("");
    const tip = await instance.commit("after.txt");
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(tip);
    // Diverged again: the printed rebase settles it.
    await git(repo, "commit", "--quiet", "--allow-empty", "-m", "mine, too");
    await instance.commit("theirs.txt");
    const diverged = await instance.sync();
    expect(diverged).toContain("have diverged (1 commit and 1 commit)");
    const [, rebase = ""] = /hjk (git \S+ rebase \w+)/.exec(diverged) ?? [];
    await sandbox.ok(rebase.split(" "), { cwd: repo });
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(await instance.inside("git rev-parse HEAD"));
    await instance.remove();
  });

  test("attack 18: an amended commit that was home already: both are kept", async () => {
    const instance = await Instance.make(sandbox, "feat/amended");
    const before = await instance.commit("a.txt");
    await instance.sync();
    await instance.inside("git commit -q --amend -m 'better words'");
    expect(await instance.sync()).toContain("diverged");
    expect(await instance.at()).toBe(before);
    expect(await instance.at(`refs/headjack/${instance.id}/head`)).toBe(
      await instance.inside("git rev-parse HEAD"),
    );
    // Taken over by the user, it is settled.
    await instance.git("branch", "-f", "feat/amended", `refs/headjack/${instance.id}/head`);
    expect(await instance.sync()).toBe("");
    expect(await instance.at(`refs/headjack/${instance.id}/head`)).toBe("");
    await instance.remove();
  });

  test("renamed, left or orphaned inside: the commits come home under the instance's branch", async () => {
    const instance = await Instance.make(sandbox, "feat/renamed");
    await instance.inside("git branch -m other-name");
    const renamed = await instance.commit("renamed.txt");
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(renamed);
    expect(await instance.at("refs/heads/other-name")).toBe("");
    await instance.inside("git branch -m feat/renamed/deeper; git branch -m feat/renamed");
    const back = await instance.commit("back.txt");
    await instance.inside("git checkout -q --orphan nothing-yet");
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(back);
    // Commits on a second branch are not lost by rm without a word, and kept where HEAD is there.
    await instance.inside("git checkout -qf feat/renamed; git checkout -qb second");
    await instance.commit("second.txt");
    expect((await instance.hjk("rm")).stderr).not.toContain("lose");
    await instance.commit("third.txt");
    await instance.inside("git checkout -q feat/renamed");
    expect((await instance.hjk("rm")).stderr).toContain("  heads/second");
    await instance.remove();
  });

  test("one that exists goes on from where it is; --from is for new ones", async () => {
    await sandbox.git("branch", "feat/existing", "main~1");
    const instance = await Instance.make(sandbox, "feat/existing");
    expect(await instance.inside("git rev-parse HEAD")).toBe(await instance.at("main~1"));
    await instance.remove();
    const refused = await sandbox.hjk(["run", "feat/existing", "-d", "--from", "main"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("exists already");
    expect(await leftovers(sandbox)).toEqual(await ofLiving());
  });

  test(
    "of a remote only: begins there and follows it, several at once too",
    async () => {
      const origin = await repository("origin");
      const branches = ["feat/one", "feat/two", "feat/three", "feat/four"];
      for (const branch of branches) await git(origin, "branch", branch, "main~1");
      const repo = await repository("clone", (_, target) => git("/", "clone", "--quiet", origin, target));
      const made = await Promise.all(branches.map((branch) => Instance.make(sandbox, branch, { repo })));
      for (const instance of made) {
        expect(await instance.inside("git rev-parse HEAD")).toBe(
          await git(repo, "rev-parse", "origin/main~1"),
        );
        expect(await git(repo, "rev-parse", "--abbrev-ref", `${instance.branch}@{upstream}`)).toBe(
          `origin/${instance.branch}`,
        );
      }
      await Promise.all(made.map((instance) => instance.remove()));

      await git(repo, "remote", "add", "second", origin);
      await git(repo, "fetch", "--quiet", "second");
      await git(repo, "branch", "-D", "feat/one");
      const refused = await sandbox.hjk(["run", "feat/one", "-d"], { cwd: repo });
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("origin/feat/one, second/feat/one");
      const chosen = await Instance.make(sandbox, "feat/one", { repo, flags: ["--from", "second/feat/one"] });
      await chosen.remove();
    },
    minute,
  );

  test(
    "attack 41: names with slashes and of any language, and names that look alike, are instances apart",
    async () => {
      const branches = [
        "a/b/c/d",
        "look-alike",
        "look/alike",
        "größe/ändern",
        "機能/追加",
        "@work#1/a+b=c,100%",
      ];
      const made = await Promise.all(branches.map((branch) => Instance.make(sandbox, branch)));
      expect(new Set(made.map((instance) => instance.container)).size).toBe(branches.length);
      const tips = await Promise.all(made.map((instance) => instance.commit("here.txt", instance.branch)));
      const listed = await sandbox.ok(["ps"]);
      for (const [index, instance] of made.entries()) {
        expect(await instance.at()).toBe(tips[index] ?? "");
        expect(await instance.inside("cat here.txt")).toBe(instance.branch);
        expect(listed).toContain(`\n${instance.branch}\trunning\t`);
      }
      await sandbox.ok(["rm", "-f", ...branches]);
    },
    minute,
  );

  test("one that git cannot have beside another is refused, and nothing is made", async () => {
    await sandbox.git("branch", "taken", "main");
    await sandbox.git("branch", "deep/down", "main");
    for (const [wanted, blocking] of [
      ["taken/a", "taken"],
      ["deep", "deep/down"],
    ]) {
      const refused = await sandbox.hjk(["run", wanted ?? "", "-d"]);
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toContain(`git cannot have it beside the branch ${blocking ?? ""}.`);
      expect(refused.stderr).toContain("hint: ");
    }
    expect(await leftovers(sandbox)).toEqual(await ofLiving());
    expect(await sandbox.git("rev-parse", "taken", "deep/down")).not.toBe("");
  });
  test("a run that comes to nothing leaves nothing, not even what a branch would have followed", async () => {
    const origin = await repository("origin-of-failure");
    await git(origin, "branch", "feat/remote", "main~1");
    const repo = await repository("failure", (_, target) => git("/", "clone", "--quiet", origin, target));
    await git(repo, "pack-refs", "--all");
    const before = await fingerprintOf(join(repo, ".git"));
    for (const branch of ["feat/remote", "feat/new"]) {
      const failed = await sandbox.hjk(["run", branch, "-d", "--image", "no-such-image"], { cwd: repo });
      expect(failed).toMatchObject({ code: 3, stdout: "" });
    }
    await git(repo, "pack-refs", "--all");
    expect(difference(before, await fingerprintOf(join(repo, ".git")))).toEqual([]);
    expect(await leftovers(sandbox, repo)).toEqual(await ofLiving());
  });

  test(
    "--from takes a branch, a tag, a commit that no ref leads to, and nothing else",
    async () => {
      await sandbox.git("tag", "-a", "-m", "one", "v1", "main~1");
      await sandbox.git("checkout", "--quiet", "--detach", "main");
      await sandbox.git("commit", "--quiet", "--allow-empty", "-m", "on no branch");
      const lost = await sandbox.git("rev-parse", "HEAD");
      await sandbox.git("checkout", "--quiet", "main");
      for (const [from, commit] of [
        ["main", await sandbox.git("rev-parse", "main")],
        ["v1", await sandbox.git("rev-parse", "main~1")],
        [lost.slice(0, 12), lost],
      ]) {
        const instance = await Instance.make(sandbox, `from/${from ?? ""}`, {
          flags: ["--from", from ?? ""],
        });
        expect(await instance.inside("git rev-parse HEAD")).toBe(commit ?? "");
        if (commit === lost) {
          // It is borrowed from the main repository, which must not forget it.
          await sandbox.git("branch", "-D", instance.branch);
          await sandbox.git("reflog", "expire", "--expire=all", "--all");
          await sandbox.git("gc", "--quiet", "--prune=now");
          await instance.inside("git fsck --strict --no-dangling; git log -1");
        }
        await instance.remove();
      }
      for (const from of ["no-such-ref", "-x", "", "main:README.md", "main^{tree}", "$(id)"]) {
        const refused = await sandbox.hjk(["run", "from/bad", "-d", `--from=${from}`]);
        expect(refused).toMatchObject({ code: 3, stdout: "" });
        expect(refused.stderr).toContain("hint: --from takes a branch, a tag or a commit");
      }
      expect(await leftovers(sandbox)).toEqual(await ofLiving());
    },
    minute,
  );

  test("attack 21: deleted and pruned under an instance: its history stays whole", async () => {
    const repo = await repository("pruned");
    await git(repo, "checkout", "--quiet", "-b", "base");
    for (const name of ["one", "two"]) await git(repo, "commit", "--quiet", "--allow-empty", "-m", name);
    const instance = await Instance.make(sandbox, "feat/x", { repo });
    const prune = async (from: string, ...branches: string[]): Promise<void> => {
      await git(from, "checkout", "--quiet", "main");
      await git(from, "branch", "-D", ...branches);
      await git(from, "reflog", "expire", "--expire=all", "--all");
      await git(from, "gc", "--quiet", "--prune=now");
    };
    // What shares objects without a ref that keeps them loses its history.
    const [copy, sharer] = [join(sandbox.folder, "copy"), join(sandbox.folder, "sharer")];
    await git("/", "clone", "--quiet", "--no-local", repo, copy);
    await git(copy, "branch", "--quiet", "main", "origin/main");
    await git("/", "clone", "--quiet", "--shared", copy, sharer);
    await git(copy, "remote", "remove", "origin");
    await prune(copy, "base");
    expect((await runProgram(["git", "log"], { cwd: sharer, env: sandbox.env })).code).not.toBe(0);
    await prune(repo, "base", "feat/x");
    expect(await instance.inside("git fsck --strict --no-dangling; git log --format=%s -2")).toBe("two\none");
    const tip = await instance.commit("on.txt");
    await instance.sync();
    expect(await instance.at()).toBe(tip);
    await instance.remove();
    await git(repo, "fsck", "--strict", "--no-dangling");
    expect(await leftovers(sandbox, repo)).toEqual([]);
  });
  test("other branches and tags that it has copies of are deleted and pruned: it goes on all the same", async () => {
    const repo = await repository("pruned-others");
    await git(repo, "checkout", "--quiet", "-b", "other");
    await git(repo, "commit", "--quiet", "--allow-empty", "-m", "other");
    await git(repo, "tag", "-a", "-m", "one", "v-other");
    await git(repo, "checkout", "--quiet", "main");
    const instance = await Instance.make(sandbox, "feat/x", { repo });
    await git(repo, "tag", "-d", "v-other");
    await git(repo, "branch", "-D", "other");
    await git(repo, "reflog", "expire", "--expire=all", "--all");
    await git(repo, "gc", "--quiet", "--prune=now");
    const tip = await instance.commit("on.txt");
    await instance.inside(
      "git status; git stash list; git rebase -q main; git checkout -qb aside; git checkout -q feat/x",
    );
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(tip);
    expect((await instance.hjk("rm")).stderr).not.toMatch(/lose|could not/);
    await runProgram(["docker", "stop", "-t", "0", instance.container]);
    expect((await instance.hjk("rm")).stderr).not.toMatch(/lose|could not/);
    await instance.remove();
    expect(await leftovers(sandbox, repo)).toEqual([]);
  });

  test("links that lead out of the repository come home with a warning that stays until they are gone", async () => {
    const instance = await Instance.make(sandbox, "feat/links");
    await instance.inside(
      "ln -s /etc/passwd out; ln -s ../../up deep; ln -s README.md in; git add -A; git commit -qm links",
    );
    const told = async (): Promise<string> => {
      await sandbox.ok(["ps"]);
      return (await sandbox.instance("feat/links")).notice;
    };
    expect(await told()).toBe("It has links that lead out of the repository: deep, out.");
    expect(await told()).toContain("deep, out");
    expect(await instance.at()).toBe(await instance.inside("git rev-parse HEAD"));
    await instance.inside("git rm -q out deep; git commit -qm 'no links'");
    expect(await told()).toBe("");
    await instance.remove();
    // Nothing of it stays in the hub either.
    const hubs = join(sandbox.folder, "hjk", "data", "hubs");
    const [hub = ""] = await readdir(hubs);
    const left = await runProgram(["git", "for-each-ref", `refs/instances/${instance.id}`], {
      cwd: join(hubs, hub),
    });
    expect(left).toMatchObject({ code: 0, stdout: "" });
  });

  test("attack 13: a commit that adds a submodule is kept out, and told; without it the rest comes home", async () => {
    const instance = await Instance.make(sandbox, "feat/gitlink");
    await instance.commit("fine.txt");
    await instance.sync();
    const before = await instance.at();
    await instance.inside(
      "git config --global user.name x; git config --global user.email x@x; git init -q sub; git -C sub commit -q --allow-empty -m x; git add sub 2>/dev/null; git commit -qm sub",
    );
    const bad = await instance.inside("git rev-parse HEAD");
    const notice = await instance.sync();
    expect(notice).toContain("submodules (sub)");
    expect(await instance.at()).toBe(before);
    expect((await runProgram(["git", "cat-file", "-e", bad], { cwd: sandbox.repo })).code).not.toBe(0);
    const refused = await instance.hjk("rm");
    expect(refused.stderr).toContain("This would lose 1 commit that is not in your repository:");
    expect(refused.stderr).toContain("error: feat/gitlink was not removed. Its files could not be kept");
    await instance.inside("git reset -q --hard HEAD~1; rm -rf sub");
    const good = await instance.commit("better.txt");
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(good);
    await instance.remove();
  });
});

test("a user who lets git work in no bare repository but those they name", async () => {
  await git("/", "config", "--global", "safe.bareRepository", "explicit");
  try {
    const instance = await Instance.make(sandbox, "feat/explicit");
    const tip = await instance.commit("x.txt");
    expect(await instance.sync()).toBe("");
    expect(await instance.at()).toBe(tip);
    await sandbox.ok(["stop", "feat/explicit"]);
    await sandbox.ok(["run", "feat/explicit", "-d"]);
    expect((await instance.hjk("rm")).stderr).not.toMatch(/lose|could not/);
    await instance.remove();
    expect((await leftovers(sandbox)).filter((left) => left.includes(instance.id))).toEqual([]);
  } finally {
    await git("/", "config", "--global", "--unset", "safe.bareRepository");
  }
});

describe("repositories of every kind", () => {
  const shapes: Record<string, { make: () => Promise<string>; cwd?: (repo: string) => string }> = {
    "a linked worktree": {
      make: async () => {
        const linked = join(sandbox.folder, "linked");
        await git(sandbox.repo, "worktree", "add", "--quiet", "--detach", linked, "main~1");
        return linked;
      },
    },
    // As those work who keep a bare repository and only worktrees of it.
    "a worktree with settings of its own, inside another one, of a bare repository": {
      make: async () => {
        const bare = join(sandbox.folder, "worktrees.git");
        await git("/", "clone", "--quiet", "--bare", sandbox.repo, bare);
        const outer = join(sandbox.folder, "outer");
        await git(bare, "worktree", "add", "--quiet", outer, "main");
        const inner = join(outer, "inner");
        await git(outer, "worktree", "add", "--quiet", "-b", "topic", inner, "main~1");
        await git(bare, "config", "extensions.worktreeConfig", "true");
        await git(bare, "config", "--unset", "core.bare");
        await git(bare, "config", "--file", join(bare, "config.worktree"), "core.bare", "true");
        await git(inner, "config", "--worktree", "user.name", "Only Here");
        await git(inner, "commit", "--quiet", "--allow-empty", "-m", "on topic");
        return inner;
      },
    },
    "a subfolder": { make: () => repository("subfolder"), cwd: (repo) => join(repo, "src", "routes") },
    "a bare repository": {
      make: () =>
        repository("bare.git", (source, target) => git("/", "clone", "--quiet", "--bare", source, target)),
    },
    "a shallow clone": {
      make: () =>
        repository("shallow", (source, target) =>
          git("/", "clone", "--quiet", "--depth=1", `file://${source}`, target),
        ),
    },
    "a partial clone": {
      make: () =>
        repository("partial", async (source, target) => {
          await git(source, "config", "uploadpack.allowFilter", "true");
          await git("/", "clone", "--quiet", "--filter=blob:none", `file://${source}`, target);
        }),
    },
    "a sha256 repository": {
      make: () =>
        repository("sha256", async (source, target) => {
          await git("/", "init", "--quiet", "--object-format=sha256", target);
          await runProgram(["cp", "-r", join(source, "src"), target]);
          await git(target, "add", ".");
          await git(target, "commit", "--quiet", "-m", "start");
        }),
    },
    "a clone that borrows objects, of one that does": {
      make: () =>
        repository("shared", async (source, target) => {
          await git("/", "clone", "--quiet", "--shared", source, `${target}-between`);
          await git(`${target}-between`, "commit", "--quiet", "--allow-empty", "-m", "between");
          await git("/", "clone", "--quiet", "--shared", `${target}-between`, target);
          await git(target, "commit", "--quiet", "--allow-empty", "-m", "own");
        }),
    },
    "one with submodules, which git is told to follow": {
      make: () =>
        repository("super", async (source, target) => {
          await git("/", "clone", "--quiet", source, target);
          const add = ["submodule", "--quiet", "add", source, "lib"];
          await git(target, "-c", "protocol.file.allow=always", ...add);
          await git(target, "commit", "--quiet", "-m", "with a submodule");
          await git(target, "config", "submodule.recurse", "true");
        }),
    },
    "a sparse checkout with a split index": {
      make: () =>
        repository("sparse", async (source, target) => {
          await git("/", "clone", "--quiet", source, target);
          await git(target, "config", "core.splitIndex", "true");
          await git(target, "config", "core.untrackedCache", "true");
          await git(target, "sparse-checkout", "set", "docs");
        }),
    },
    "packed refs, many of them": {
      make: () =>
        repository("packed", async (source, target) => {
          await git("/", "clone", "--quiet", source, target);
          const lines = Array.from({ length: 3000 }, (_, index) => `create refs/tags/t${index} HEAD\n`);
          await runProgram(["git", "update-ref", "--stdin"], { cwd: target, input: lines.join("") });
          await git(target, "pack-refs", "--all");
        }),
    },
    "a path that needs care": {
      make: async () => {
        const folder = join(sandbox.folder, `a "b", 'c' $d; ü:e`);
        await mkdir(folder);
        return await repository(`a "b", 'c' $d; ü:e/repo name`);
      },
    },
  };

  test.each(Object.keys(shapes))(
    "%s",
    async (name) => {
      const shape = shapes[name];
      if (shape === undefined) return;
      const repo = await shape.make();
      const cwd = shape.cwd?.(repo) ?? repo;
      const common = await git(repo, "rev-parse", "--path-format=absolute", "--git-common-dir");
      const start = await git(repo, "rev-parse", "HEAD");
      await git(repo, "pack-refs", "--all");
      const before = await fingerprintOf(common);
      const instance = await Instance.make(sandbox, "feat/x", { repo: cwd });
      expect(await instance.inside("git status --porcelain; git rev-parse HEAD")).toBe(start);
      // Not a word of complaint from any command.
      expect((await instance.try("git log -p -1 > /dev/null; git fsck")).stderr).not.toMatch(
        /error|fatal|missing/,
      );
      const tip = await instance.commit("new.txt");
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(tip);
      expect(await git(repo, "cat-file", "-p", `${tip}:new.txt`)).toBe("new.txt");
      // Also when the container has stopped, and its image's git reads alone.
      await runProgram(["docker", "start", instance.container]);
      const second = await instance.commit("second.txt");
      await runProgram(["docker", "stop", "-t", "0", instance.container]);
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(second);
      await instance.remove();
      await git(repo, "fsck");
      expect((await leftovers(sandbox, repo)).filter((left) => left.includes(instance.id))).toEqual([]);
      // With the branch gone too, the repository is as it was.
      await git(repo, "branch", "-D", "feat/x");
      await git(repo, "pack-refs", "--all");
      expect(difference(before, await fingerprintOf(common))).toEqual([]);
    },
    minute,
  );
});

describe("the wall", () => {
  let instance: Instance;
  let common: string;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/wall");
    common = join(sandbox.repo, ".git");
  }, minute);
  afterAll(async () => await instance.remove(), minute);

  test(
    "attack 11, attack 14: root in the container cannot change a byte of the user's repository",
    async () => {
      const home = await instance.commit("before.txt");
      await instance.sync();
      const before = await fingerprintOf(common);
      const objects = await objectsOf(common);
      const sealed = await readFile(join(await instance.workspace, ".git"), "utf8");
      expect(sealed).toBe("gitdir: /nonexistent/hjk-sealed\n");

      const attempts = [
        "rm -f /workspace/.git",
        "rm -rf /workspace/.git",
        "mv /workspace/.git /workspace/x",
        "mv /workspace /w",
        "ln -sfn /tmp /workspace/.git",
        "mkdir /workspace/.git",
        "echo 'gitdir: /tmp' > /workspace/.git",
        "cp /etc/passwd /workspace/.git",
        "truncate -s 0 /workspace/.git",
        "chmod 666 /workspace/.git",
        "touch /workspace/.git",
        "umount /workspace/.git",
        "umount -l /workspace",
        "mount --bind /tmp /workspace/.git",
        "mount -t tmpfs none /workspace",
        "mount -o remount,rw,bind /workspace/.git",
        "mount -o remount,rw,bind /hjk/base-objects",
        "umount /hjk/base-objects",
        "touch /hjk/base-objects/x",
        "mkdir /hjk/base-objects/zz",
        "rm -rf /hjk/base-objects/pack",
        "echo x > /hjk/base-objects/info/alternates",
        "find /hjk/base-objects -type f -exec chmod 666 {} + -exec sh -c ': > \"$1\"' _ {} ';' -quit; false",
        "unshare -m true",
        "unshare -Urm true",
        "nsenter -t 1 -m true",
        "mknod /tmp/disk b 254 0 && cat /tmp/disk",
        "ls /var/run/docker.sock",
      ];
      // In a worktree that is mounted as it is, the pointer that host git obeys is anybody's to write.
      const plain = join(sandbox.folder, "plain");
      await sandbox.git("worktree", "add", "--quiet", "--detach", plain);
      const image = (await sandbox.instance("feat/wall")).image;
      const rewrite =
        "echo 'gitdir: /tmp' > /workspace/.git; mv /workspace/.git /workspace/x; mkdir /workspace/.git";
      const flags = ["--rm", "--user", "0:0", "--volume", `${plain}:/workspace`];
      expect(await runProgram(["docker", "run", ...flags, image, "bash", "-ec", rewrite])).toMatchObject({
        code: 0,
      });
      await rm(plain, { recursive: true });
      await sandbox.git("worktree", "prune");

      const succeeded: string[] = [];
      for (const user of ["root", "1000"]) {
        for (const attempt of attempts) {
          if ((await instance.try(attempt, user)).code === 0) succeeded.push(`${user}: ${attempt}`);
        }
      }
      expect(succeeded).toEqual([]);
      expect(await readFile(join(await instance.workspace, ".git"), "utf8")).toBe(sealed);
      expect(await fingerprintOf(common)).toEqual(before);
      expect(await objectsOf(common)).toEqual(objects);

      // And the same after all that it can do to its own git directory, and a sync of it.
      await instance.inside(
        `git config core.fsmonitor 'touch /tmp/x'; git config core.hooksPath /workspace/hooks; git config uploadpack.packObjectsHook false
       printf '#!/bin/sh\\ntouch /workspace/hook-ran' > /hjk/git/hooks-x; git update-ref refs/heads/main HEAD; git tag planted
       mkdir -p /hjk/git/hooks; printf '#!/bin/sh\\nexit 1' > /hjk/git/hooks/reference-transaction`,
      );
      const tip = await instance.inside(
        "git -c core.fsmonitor= -c core.hooksPath=/dev/null commit -q --allow-empty -m x; git rev-parse HEAD",
      );
      expect(await instance.sync()).toBe("");
      const changed = difference(before, await fingerprintOf(common));
      // The one ref, and the HEAD of our own worktree, which keeps what came home.
      const expected = /refs\/heads\/feat\/wall|worktrees\/feat-wall-[^/]+\/(logs\/)?HEAD/;
      expect(changed.filter((line) => !expected.test(line))).toEqual([]);
      expect(await instance.at()).toBe(tip);
      expect(tip).not.toBe(home);
      // Of the objects that were there none is changed.
      const after = new Set(await objectsOf(common));
      expect(objects.filter((line) => !after.has(line))).toEqual([]);
      expect(await sandbox.git("fsck", "--strict", "--no-dangling")).toBe("");
      await instance.inside("git config --unset core.fsmonitor; git config --unset core.hooksPath");
    },
    minute,
  );

  test("attack 13, attack 15: a host git status in the workspace runs nothing that was planted there", async () => {
    const workspace = await instance.workspace;
    const ran = join(sandbox.folder, "planted-ran");
    await instance.inside(
      `git config --global user.name x; git config --global user.email x@x; git init -q trap; cd trap; echo x > f; git add f; git commit -qm x; cd ..
       printf '#!/bin/sh\\ntouch ${ran}.$1\\n' > evil; chmod +x evil
       printf '* filter=evil\\n' > trap/.gitattributes
       git -C trap config core.fsmonitor '${workspace}/evil fsmonitor'
       git -C trap config filter.evil.clean '${workspace}/evil filter; cat'
       git update-index --add --cacheinfo 160000,$(git -C trap rev-parse HEAD),trap
       echo y > trap/f`,
    );
    const marks = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const what of ["fsmonitor", "filter"]) {
        if (await exists(`${ran}.${what}`)) found.push(what);
        await rm(`${ran}.${what}`, { force: true });
      }
      return found;
    };
    for (const command of [["status"], ["diff"], ["add", "-A"], ["log"], ["rev-parse", "--git-dir"]]) {
      const looked = await runProgram(["git", ...command], { cwd: workspace, env: sandbox.env });
      expect(looked.code).not.toBe(0);
      expect(looked.stderr).toContain("not a git repository: /nonexistent/hjk-sealed");
    }
    expect(await marks()).toEqual([]);
    // hjk's own looking does not either.
    await sandbox.hjk(["ps"]);
    await instance.hjk("rm");
    expect(await marks()).toEqual([]);

    // The trap is real: without the seal the same command springs it.
    const gitDir = await instance.gitDir;
    const unsealed = {
      ...sandbox.env,
      GIT_DIR: join(common, "worktrees", workspace.split("/").at(-1) ?? ""),
      GIT_WORK_TREE: workspace,
      GIT_INDEX_FILE: join(gitDir, "index"),
    };
    await runProgram(["git", "status"], { cwd: workspace, env: unsealed });
    expect(await marks()).toEqual(["fsmonitor", "filter"]);
    await instance.inside("rm -rf trap evil; git read-tree HEAD");
  });

  describe("against a git that is not git", () => {
    const fake = "/home/developer/.local/bin/git";
    async function plant(script: string): Promise<void> {
      const text = Buffer.from(`#!/bin/sh\n${script}\n`).toString("base64");
      await instance.inside(`echo ${text} | base64 -d > ${fake}; chmod +x ${fake}`);
    }
    async function honest(): Promise<void> {
      await instance.inside(`rm -f ${fake}`);
    }
    // Otherwise the clean-up would wait for it.
    afterAll(honest);

    test(
      "attack 40: escape sequences and garbage reach neither the terminal nor the repository",
      async () => {
        const tip = await instance.commit("hidden.txt");
        const before = await instance.at();
        const sequences = String.raw`\033]52;c;UFdORUQ=\007\033]0;owned\007\033[6n\033P1000p\033\\\302\233\061\155\r\342\200\256`;
        for (const script of [
          `printf '${sequences}' >&2; exit 3`,
          `printf '${sequences}'; head -c 3000000 /dev/urandom`,
          `yes "$(printf '${sequences}')" | head -c 4000000 >&2; exit 1`,
        ]) {
          await plant(script);
          // Whoever passes on what git prints passes this on.
          const raw = await runProgram(["docker", "exec", instance.container, "git", "status"]);
          expect(raw.stdout + raw.stderr).toContain("\u001b]52;");
          for (const args of [
            ["ps"],
            ["ps", "--json"],
            ["logs", instance.id],
            ["git", instance.id, "status"],
            ["rm", instance.id],
          ]) {
            const said = await sandbox.hjk(args);
            // Colours are git's own to print; nothing else is.
            const text =
              args[0] === "git" ? stripColours(said.stdout + said.stderr) : said.stdout + said.stderr;
            // eslint-disable-next-line no-control-regex
            expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
            expect(said.stderr.length).toBeLessThan(args[0] === "git" ? 20_000_000 : 10_000);
          }
          expect(await instance.sync()).toContain("could not be fetched");
          expect(await instance.at()).toBe(before);
        }
        await honest();
        expect(await instance.sync()).toBe("");
        expect(await instance.at()).toBe(tip);
        expect(await sandbox.git("fsck", "--strict", "--no-dangling")).toBe("");
      },
      minute,
    );

    test(
      "one that hangs holds nobody up, and leaves nothing running on the host",
      async () => {
        await instance.commit("late.txt");
        await plant("exec sleep 1000");
        const listed = await sandbox.hjk(["ps"], { timeoutMs: 40_000 });
        expect(listed).toMatchObject({ code: 0 });
        expect(listed.stdout).toContain("feat/wall\trunning");
        const clients = await runProgram(["pgrep", "-af", `docker exec .*${instance.container}`]);
        expect(clients.stdout).toBe("");
        await honest();
        expect(await instance.sync()).toBe("");
        expect(await instance.at()).toBe(await instance.inside("git rev-parse HEAD"));
      },
      minute,
    );
  });

  test(
    "a container whose shell hangs can still be stopped and removed",
    async () => {
      const stuck = await Instance.make(sandbox, "feat/stuck");
      await sandbox.ok(["exec", "-d", "feat/stuck", "sleep", "1000"]);
      await stuck.inside(
        "printf '#!/bin/bash\\nexec sleep 1000\\n' > ~/.local/bin/sh; chmod +x ~/.local/bin/sh",
      );
      expect(await sandbox.hjk(["stop", "feat/stuck"])).toMatchObject({ code: 0 });
      expect((await stuck.view()).status).toBe("stopped");
      await stuck.remove();
    },
    2 * minute,
  );
});

test("a workspace and a repository that are gone lose no commit without a word", async () => {
  const instance = await Instance.make(sandbox, "feat/gone");
  const workspace = await instance.workspace;
  const tip = await instance.commit("saved.txt");
  await runProgram(["docker", "stop", "-t", "0", instance.container]);
  await rename(workspace, `${workspace}-moved`);
  // The files are gone, the commits are not.
  expect((await instance.hjk("rm")).code).toBe(1);
  expect(await instance.at()).toBe(tip);
  await instance.remove();
  await rm(`${workspace}-moved`, { recursive: true });
});

test("at the end nothing is left of any instance, and the repository is sound", async () => {
  expect((await sandbox.instances()).map((instance) => instance.branch)).toEqual([]);
  // Of the instances that diverged their commits are kept.
  const left = await leftovers(sandbox);
  expect(left).toEqual([]);
  expect(await sandbox.git("fsck", "--strict", "--no-dangling")).toBe("");
});

/** Lines that are in one list only. */
function difference(a: string[], b: string[]): string[] {
  const inA = new Set(a);
  const inB = new Set(b);
  return [...a.filter((line) => !inB.has(line)), ...b.filter((line) => !inA.has(line))];
}

function stripColours(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/\u001b\[[0-9;:]*m/g, "");
}
