import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, exists, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, eventually, ModelStub, runProgram, Sandbox, type Output } from "../support/harness.ts";
import { fingerprintOf, gitIn, Instance } from "../support/workbench.ts";

/* A branch comes into one of the user's, as plain git would do it, or nothing happens at all. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

/** A branch of an instance and one of the user's that have both gone on from the same commit. */
class Work {
  readonly repo: string;
  readonly instance: Instance;

  private constructor(repo: string, instance: Instance) {
    this.repo = repo;
    this.instance = instance;
  }

  /** The scripts make the commit to begin with, the agent's and the user's. */
  static async make(name: string, scripts: { base?: string; agent?: string; user?: string }): Promise<Work> {
    const repo = join(sandbox.folder, name);
    await gitIn(sandbox, "/", "init", "--quiet", repo);
    const lines =
      "for n in $(seq 20); do echo line $n; done > text.txt; for n in $(seq 20); do echo $n; done > list.txt";
    await commitIn(repo, `${lines}\n${scripts.base ?? ""}`);
    const instance = await Instance.make(sandbox, "feat/work", { repo });
    if (scripts.agent !== undefined)
      await instance.inside(`${scripts.agent}\ngit add -A; git commit -qm 'of the agent'`);
    if (scripts.user !== undefined) await commitIn(repo, scripts.user);
    return new Work(repo, instance);
  }

  async hjk(...args: string[]): Promise<Output> {
    const [command = "", ...rest] = args;
    return await sandbox.hjk([command, "feat/work", ...rest], { cwd: this.repo });
  }

  async git(...args: string[]): Promise<string> {
    return await gitIn(sandbox, this.repo, ...args);
  }

  /** Everything of the user's that a merge which comes to nothing must leave: refs, settings, index and files. */
  async state(): Promise<string> {
    const files = await runProgram(
      ["find", ".", "-name", ".git", "-prune", "-o", "-type", "f", "-exec", "sha256sum", "{}", "+"],
      {
        cwd: this.repo,
      },
    );
    const refs = await this.git("for-each-ref");
    return [refs, await this.git("status", "--porcelain"), ...files.stdout.split("\n").toSorted()].join("\n");
  }

  /** What plain git makes of the same two branches: a tree, or the files in conflict. */
  async plain(...way: string[]): Promise<{ tree: string; conflicts: string[] }> {
    await this.hjk("ps");
    const clone = join(sandbox.folder, `plain-${crypto.randomUUID()}`);
    await gitIn(sandbox, "/", "clone", "--quiet", this.repo, clone);
    await runProgram(["git", ...way, "origin/feat/work"], { cwd: clone, env: sandbox.env });
    const unmerged = await gitIn(sandbox, clone, "diff", "--name-only", "--diff-filter=U");
    const conflicts = unmerged === "" ? [] : unmerged.split("\n");
    const tree = conflicts.length > 0 ? "" : await gitIn(sandbox, clone, "write-tree");
    return { tree, conflicts };
  }

  async remove(): Promise<void> {
    await this.instance.remove();
  }
}

async function commitIn(repo: string, script: string): Promise<void> {
  const all = `set -e\n${script}\ngit add -A; git commit -qm 'of the user'`;
  const result = await runProgram(["bash", "-c", all], { cwd: repo, env: sandbox.env });
  if (result.code !== 0) throw new Error(`${script}: ${result.stderr}`);
}

describe("what plain git does", () => {
  const clean = {
    "different files": { agent: "echo a > a.txt", user: "echo b > b.txt" },
    "different lines of a file": { agent: "sed -i 2s/$/X/ text.txt", user: "sed -i 18s/$/Y/ text.txt" },
    "a rename here and a change there": {
      agent: "git mv text.txt moved.txt",
      user: "sed -i 3s/$/Y/ text.txt",
    },
    "modes, links and binary files": {
      agent: "chmod +x text.txt; ln -s text.txt link; printf '\\\\0\\\\1' > blob",
      user: "sed -i 3s/$/Y/ text.txt",
    },
    "a repository with a submodule": {
      base: "git -c protocol.file.allow=always submodule --quiet add ../my-app sub",
      agent: "sed -i 2s/$/X/ text.txt",
      user: "sed -i 18s/$/Y/ text.txt",
    },
    "union, by an attribute": {
      base: "echo 'list.txt merge=union' > .gitattributes",
      agent: "echo agent >> list.txt",
      user: "echo user >> list.txt",
    },
  };

  test.each(Object.entries(clean))(
    "clean: %s",
    async (name, scripts) => {
      const work = await Work.make(`clean ${name}`, scripts);
      const plain = await work.plain("merge", "--quiet", "--no-edit");
      expect(plain.conflicts).toEqual([]);
      const before = await work.git("rev-parse", "main");
      const merged = await work.hjk("merge");
      expect(merged).toMatchObject({ code: 0, stderr: "" });
      expect(await work.git("rev-parse", "main^{tree}")).toBe(plain.tree);
      expect(await work.git("log", "-1", "--format=%s|%an|%ae|%P")).toBe(
        `Merge branch 'feat/work' into main|Ann|ann@example.com|${before} ${await work.instance.at()}`,
      );
      // The checkout has followed.
      expect(await work.git("status", "--porcelain")).toBe("");
      expect((await work.hjk("merge")).stdout).toContain("main has everything of feat/work already");
      await work.remove();
    },
    minute,
  );

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "histories that chance has made: %d",
    async (seed) => {
      const work = await Work.make(`chance ${seed}`, {
        base: "for f in 0 1 2 3 4 5; do for n in $(seq 20); do echo $f line $n; done > f$f.txt; done",
        agent: `${historyOf(seed, "agent")}\necho a > end-agent.txt`,
        user: `${historyOf(seed + 1000, "user")}\necho b > end-user.txt`,
      });
      const plain = await work.plain("merge", "--quiet", "--no-edit");
      const merged = await work.hjk("merge");
      if (plain.conflicts.length > 0) {
        expect(merged.code).toBe(1);
        const listed = /in conflict in \d+ files?: (.*)\. Nothing/.exec(merged.stderr)?.[1];
        expect(listed?.split(", ").toSorted()).toEqual(plain.conflicts.toSorted());
      } else {
        expect(merged).toMatchObject({ code: 0, stderr: "" });
        expect(await work.git("rev-parse", "main^{tree}")).toBe(plain.tree);
      }
      await work.remove();
    },
    minute,
  );

  const conflicting = {
    "a folder that moves": {
      base: "mkdir d; echo 1 > d/1; echo 2 > d/2",
      agent: "git mv d e",
      user: "echo 3 > d/3",
    },
    content: { agent: "sed -i 2s/$/X/ text.txt", user: "sed -i 2s/$/Y/ text.txt" },
    "add/add": { agent: "echo a > new.txt", user: "echo b > new.txt" },
    "delete here, change there": { agent: "git rm -q text.txt", user: "sed -i 2s/$/Y/ text.txt" },
    "change here, delete there": { agent: "sed -i 2s/$/X/ text.txt", user: "git rm -q text.txt" },
    "two renames of a file": { agent: "git mv text.txt a.txt", user: "git mv text.txt b.txt" },
    "two files renamed to one name": { agent: "git mv text.txt one.txt", user: "git mv list.txt one.txt" },
    "a file and a folder": { agent: "mkdir x; echo 1 > x/1", user: "echo file > x" },
    "binary files": { agent: "printf '\\\\0a' > b.bin", user: "printf '\\\\0b' > b.bin" },
    "several files": {
      agent: "sed -i 2s/$/X/ text.txt list.txt; echo a > ok.txt",
      user: "sed -i 2s/$/Y/ text.txt list.txt",
    },
  };

  test.each(Object.entries(conflicting))(
    "conflict: %s",
    async (name, scripts) => {
      const work = await Work.make(`conflict ${name.replaceAll("/", "-")}`, scripts);
      const plain = await work.plain("merge", "--quiet", "--no-edit");
      const before = await work.state();
      for (const way of [[], ["--squash"], ["--no-ff"]]) {
        const refused = await work.hjk("merge", ...way);
        expect(refused).toMatchObject({ code: 1, stdout: "" });
        const listed = /in conflict in \d+ files?: (.*)\. Nothing/.exec(refused.stderr)?.[1];
        expect(listed?.split(", ").toSorted()).toEqual(plain.conflicts.toSorted());
        expect(refused.stderr).toContain(`hjk send feat/work "Merge `);
      }
      expect((await work.hjk("merge", "--rebase")).code).toBe(1);
      expect(await work.state()).toBe(before);
      expect(await desks()).toEqual([]);
      await work.remove();
    },
    minute,
  );

  test(
    "--squash and --rebase give what git's own do",
    async () => {
      const work = await Work.make("ways", {
        agent: "sed -i 2s/$/X/ text.txt",
        user: "sed -i 18s/$/Y/ text.txt",
      });
      await work.instance.inside("echo 2 > two.txt; git add -A; git commit -qm second");
      const plain = await work.plain("merge", "--quiet", "--squash");
      const before = await work.git("rev-parse", "main");
      expect(await work.hjk("merge", "--squash")).toMatchObject({ code: 0 });
      expect(await work.git("rev-parse", "main^{tree}", "main^")).toBe(`${plain.tree}\n${before}`);
      expect(await work.git("log", "-1", "--format=%B")).toBe(
        "Take in feat/work\n\n* of the agent\n* second",
      );
      await work.git("reset", "--quiet", "--hard", before);
      expect(await work.hjk("merge", "--squash", "-m", "My words")).toMatchObject({ code: 0 });
      expect(await work.git("log", "-1", "--format=%B")).toBe("My words");
      await work.git("reset", "--quiet", "--hard", before);
      expect(await work.hjk("merge", "--rebase")).toMatchObject({ code: 0 });
      expect(await work.git("rev-parse", "main^{tree}", "main~2")).toBe(`${plain.tree}\n${before}`);
      expect(await work.git("log", "-2", "--format=%s %P")).toMatch(
        /^second [0-9a-f]+\nof the agent [0-9a-f]+$/,
      );
      expect(await work.hjk("merge", "--rebase", "--squash")).toMatchObject({ code: 2 });
      await work.remove();
    },
    minute,
  );

  test(
    "commits are signed where the user signs theirs",
    async () => {
      const work = await Work.make("signed", {
        agent: "sed -i 2s/$/X/ text.txt",
        user: "sed -i 18s/$/Y/ text.txt",
      });
      const key = join(sandbox.folder, "key");
      await runProgram(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
      const before = await work.git("rev-parse", "main");
      const settings = { "gpg.format": "ssh", "user.signingKey": `${key}.pub`, "commit.gpgSign": "true" };
      for (const [name, value] of Object.entries(settings)) await work.git("config", name, value);
      for (const way of [[], ["--squash"], ["--rebase"]]) {
        expect(await work.hjk("merge", ...way)).toMatchObject({ code: 0 });
        expect(await work.git("cat-file", "commit", "main")).toContain("-----BEGIN SSH SIGNATURE-----");
        await work.git("reset", "--quiet", "--hard", before);
      }
      await work.remove();
    },
    minute,
  );

  test(
    "in a shallow clone",
    async () => {
      const source = await Work.make("deep", { user: "echo b > b.txt" });
      const repo = join(sandbox.folder, "shallow");
      await gitIn(sandbox, "/", "clone", "--quiet", "--depth=1", `file://${source.repo}`, repo);
      const instance = await Instance.make(sandbox, "feat/work", { repo });
      await instance.commit("a.txt");
      await commitIn(repo, "echo c > c.txt");
      const merged = await sandbox.hjk(["merge", "feat/work"], { cwd: repo });
      expect(merged).toMatchObject({ code: 0 });
      expect(await gitIn(sandbox, repo, "ls-tree", "--name-only", "main")).toContain("a.txt\nb.txt\nc.txt");
      await commitIn(repo, "git reset -q --hard HEAD~1; echo d > d.txt");
      expect(await sandbox.hjk(["apply", "feat/work"], { cwd: repo })).toMatchObject({ code: 0 });
      expect((await sandbox.hjk(["review", "feat/work"], { cwd: repo })).code).toBe(0);
      await instance.remove();
      await source.remove();
    },
    minute,
  );

  test(
    "a branch that is only ahead moves yours forward; --no-ff makes a commit",
    async () => {
      const work = await Work.make("forward", { agent: "echo a > a.txt" });
      const before = await work.git("rev-parse", "main");
      expect(await work.hjk("merge", "--no-ff")).toMatchObject({ code: 0 });
      expect(await work.git("log", "-1", "--format=%P")).toBe(`${before} ${await work.instance.at()}`);
      await work.git("reset", "--quiet", "--hard", before);
      expect(await work.hjk("merge")).toMatchObject({ code: 0 });
      expect(await work.git("rev-parse", "main")).toBe(await work.instance.at());
      expect(await readFile(join(work.repo, "a.txt"), "utf8")).toBe("a\n");
      await work.remove();
    },
    minute,
  );
});

/** A history of edits, additions, removals and renames; the same one for the same seed. */
function historyOf(seed: number, side: string): string {
  let state = seed;
  const roll = (sides: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(state / 65_536) % sides;
  };
  const edit = (): string => {
    const file = `f${roll(6)}.txt`;
    const other = `f${roll(9)}.txt`;
    return (
      [
        `sed -i '${roll(20) + 1}s/$/ ${side}${roll(9)}/' ${file}`,
        `sed -i '${roll(20) + 1}d' ${file}`,
        `echo ${side}${roll(3)} >> ${file}`,
        `test -e ${file} && git mv -f ${file} ${other}`,
        `echo ${side}${roll(2)} > new${roll(4)}.txt`,
        roll(3) === 0 ? `git rm -qf ${file}` : `sed -i '1s/^/${side} /' ${file}`,
      ][roll(6)] ?? ""
    );
  };
  const commits = Array.from({ length: 1 + (seed % 4) }, () => `(${edit()}; ${edit()}) 2>/dev/null || true`);
  return commits.map((edits) => `${edits}; git add -A; git commit -qm ${side} --allow-empty`).join("\n");
}

/** What is left of putting commits together. */
async function desks(): Promise<string[]> {
  const hubs = join(sandbox.folder, "hjk", "data", "hubs");
  const below = (await readdir(hubs)).flatMap((name) => [
    join(hubs, name, "worktrees"),
    join(hubs, name, "desk"),
  ]);
  return (await Promise.all(below.map((folder) => readdir(folder).catch(() => [])))).flat();
}

describe("hjk commit", () => {
  test(
    "commits all that is left, as the agent would, and brings it home",
    async () => {
      const work = await Work.make("commit", { agent: "echo a > a.txt; echo node_modules > .gitignore" });
      await work.instance.inside(`
      echo more >> a.txt; rm list.txt; echo new > new.txt; mkdir node_modules; echo x > node_modules/x; mkdir d; echo d > d/d`);
      const message = '-Words; $(touch /tmp/evil) "quoted"\n\nand more';
      const done = await work.hjk("commit", "-m", message);
      expect(done).toMatchObject({ code: 0, stderr: "" });
      expect(done.stdout).toMatch(/^Committed [0-9a-f]{10} on feat\/work: 4 files\n$/);
      expect(await work.git("log", "-1", "--format=%B|%an", "feat/work")).toBe(`${message}\n|Ann`);
      expect(await work.git("show", "--format=", "--name-only", "feat/work")).toBe(
        "a.txt\nd/d\nlist.txt\nnew.txt",
      );
      expect(await work.instance.inside("git status --porcelain; test ! -e /tmp/evil")).toBe("");
      const again = await work.hjk("commit", "-m", "again");
      expect(again).toMatchObject({ code: 0, stdout: "" });
      expect(await work.hjk("commit")).toMatchObject({ code: 2 });
      expect(await work.hjk("commit", "-m", " ")).toMatchObject({ code: 2 });
      await work.remove();
    },
    minute,
  );

  test(
    "not on another branch, and not in the middle of a merge",
    async () => {
      const work = await Work.make("commit-not", { agent: "echo a > a.txt" });
      await work.instance.inside("git checkout -qb other; echo x > x.txt");
      const elsewhere = await work.hjk("commit", "-m", "x");
      expect(elsewhere).toMatchObject({ code: 1, stdout: "" });
      expect(elsewhere.stderr).toContain("not on that branch");
      await work.instance.inside(
        "echo 1 > a.txt; git add -A; git commit -qm 1; git checkout -q feat/work; echo 2 > a.txt; git commit -qam 2; ! git merge -q other",
      );
      const unresolved = await work.hjk("commit", "-m", "x");
      expect(unresolved).toMatchObject({ code: 1, stdout: "" });
      expect(unresolved.stderr).toContain("conflicts");
      expect(await work.instance.inside("git ls-files --unmerged | wc -l")).toBe("3");
      await work.remove();
    },
    minute,
  );
});

describe("hjk apply", () => {
  test(
    "puts all of it into the user's files, without a commit, also on top of what they have changed since",
    async () => {
      const work = await Work.make("apply", {
        base: "echo gone > gone.txt; printf '\\0a' > blob",
        agent:
          "sed -i 2s/$/X/ text.txt; git mv list.txt moved.txt; chmod +x moved.txt; ln -s text.txt link; git rm -q gone.txt; printf '\\0b' > blob",
        user: "sed -i 18s/$/Y/ text.txt",
      });
      await work.instance.inside("echo new > new.txt");
      const head = await work.git("rev-parse", "HEAD");
      await writeFile(join(work.repo, "mine.txt"), "mine\n");
      const text = (await readFile(join(work.repo, "text.txt"), "utf8")).replace("line 10\n", "line 10Z\n");
      await writeFile(join(work.repo, "text.txt"), text);
      const below = join(work.repo, "below");
      await runProgram(["mkdir", below]);
      const applied = await sandbox.hjk(["apply", "feat/work"], { cwd: below });
      expect(applied).toMatchObject({ code: 0, stderr: "" });
      expect(applied.stdout).toBe("Applied feat/work: 6 files, uncommitted\n");
      expect(await work.git("rev-parse", "HEAD")).toBe(head);
      expect(await work.git("diff", "--cached", "--name-only")).toBe("");
      expect(
        (await work.git("status", "--porcelain"))
          .split("\n")
          .map((line) => line.trim())
          .toSorted(),
      ).toEqual([
        "?? link",
        "?? mine.txt",
        "?? moved.txt",
        "?? new.txt",
        "D gone.txt",
        "D list.txt",
        "M blob",
        "M text.txt",
      ]);
      const after = await readFile(join(work.repo, "text.txt"), "utf8");
      for (const part of ["line 2X\n", "line 10Z\n", "line 18Y\n"]) expect(after).toContain(part);
      await work.git("add", "-A");
      await work.git("commit", "--quiet", "-m", "taken");
      const again = await work.hjk("apply");
      expect(again).toMatchObject({ code: 0, stdout: "" });
      expect(again.stderr).toContain("have everything");
      await work.remove();
    },
    minute,
  );

  test(
    "refuses before it touches anything",
    async () => {
      const work = await Work.make("apply-not", {
        agent: "sed -i 2s/$/X/ text.txt list.txt; echo a > a.txt",
        user: "sed -i 5s/$/Y/ text.txt",
      });
      await work.hjk("ps");
      const refused = async (script: string, says: string): Promise<void> => {
        await runProgram(["bash", "-c", script], { cwd: work.repo });
        const before = await work.state();
        const result = await work.hjk("apply");
        expect(result).toMatchObject({ code: 1, stdout: "" });
        expect(result.stderr).toContain(says);
        expect(result.stderr).toContain("Nothing was changed");
        expect(await work.state()).toBe(before);
        expect(await desks()).toEqual([]);
        await runProgram(["bash", "-c", "git reset -q --hard; git clean -fdq"], {
          cwd: work.repo,
          env: sandbox.env,
        });
      };
      await refused("echo mine > a.txt", "a.txt");
      await refused("echo a.txt >> .git/info/exclude; echo mine > a.txt", "a.txt");
      await refused("rm a.txt; sed -i 2s/$/MINE/ list.txt", "list.txt");
      await refused("rm list.txt", "list.txt");
      await commitIn(work.repo, "sed -i 2s/$/CONFLICT/ text.txt");
      await refused("true", "conflicts with what you have committed, in: text.txt");
      const elsewhere = await sandbox.hjk(["apply", work.instance.id], { cwd: sandbox.folder });
      expect(elsewhere).toMatchObject({ code: 2 });
      await work.remove();
    },
    minute,
  );

  test(
    "attack 5: writes through no link, of the user's or the agent's",
    async () => {
      const outside = join(sandbox.folder, "outside");
      await runProgram(["mkdir", outside]);
      const work = await Work.make("apply-links", {
        agent: `mkdir d; echo evil > d/x; ln -s ${outside} link`,
      });
      await runProgram(["ln", "-s", outside, "d"], { cwd: work.repo });
      const refused = await work.hjk("apply");
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(await readdir(outside)).toEqual([]);
      await runProgram(["rm", "d"], { cwd: work.repo });
      const applied = await work.hjk("apply");
      expect(applied.code).toBe(0);
      expect(applied.stderr).toContain("links that lead out of the repository");
      await work.remove();
    },
    minute,
  );
});

describe("hjk push and hjk pr", () => {
  let work: Work;
  let remote: string;
  let tools: string;
  beforeAll(async () => {
    work = await Work.make("push", { agent: "echo a > a.txt" });
    remote = join(sandbox.folder, "remote.git");
    await gitIn(sandbox, "/", "init", "--quiet", "--bare", remote);
    tools = join(sandbox.folder, "tools");
    await mkdir(tools);
  }, minute);
  afterAll(async () => await work.remove(), minute);

  test(
    "without a remote, or where there are several, it says what to do",
    async () => {
      expect(await work.hjk("push")).toMatchObject({ code: 2, stdout: "" });
      await work.git("remote", "add", "one", remote);
      await work.git("remote", "add", "two", join(sandbox.folder, "nowhere.git"));
      const several = await work.hjk("push");
      expect(several).toMatchObject({ code: 2, stdout: "" });
      expect(several.stderr).toContain("hjk push feat/work one");
      // git's own exit code.
      expect(await work.hjk("push", "two")).toMatchObject({ code: 128 });
    },
    minute,
  );

  test(
    "this one branch, as any push of the user's: with their hooks, and followed from then on",
    async () => {
      const trace = join(sandbox.folder, "pre-push");
      await writeFile(
        join(work.repo, ".git", "hooks", "pre-push"),
        `#!/bin/sh\necho "$1 $PWD" >> ${trace}\n`,
      );
      await chmod(join(work.repo, ".git", "hooks", "pre-push"), 0o755);
      const tip = await work.instance.commit("pushed.txt");
      expect(await work.hjk("push", "one")).toMatchObject({ code: 0 });
      expect(await gitIn(sandbox, remote, "for-each-ref", "--format=%(refname) %(objectname)")).toBe(
        `refs/heads/feat/work ${tip}`,
      );
      expect(await readFile(trace, "utf8")).toBe(`one ${work.repo}\n`);
      expect(await work.git("rev-parse", "--abbrev-ref", "feat/work@{upstream}")).toBe("one/feat/work");
      const next = await work.instance.commit("next.txt");
      expect(await work.hjk("push")).toMatchObject({ code: 0 });
      expect(await gitIn(sandbox, remote, "rev-parse", "feat/work")).toBe(next);
      await writeFile(join(work.repo, ".git", "hooks", "pre-push"), "#!/bin/sh\nexit 1\n");
      await work.instance.commit("refused.txt");
      expect(await work.hjk("push")).toMatchObject({ code: 1 });
      await rm(join(work.repo, ".git", "hooks", "pre-push"));
    },
    minute,
  );

  test(
    "a pull request is gh's affair: it gets the branch, pushed, and what follows --",
    async () => {
      const tip = await work.instance.commit("pr.txt");
      const path = process.env["PATH"] ?? "";
      const without = (await runProgram(["sh", "-c", "command -v gh"])).code !== 0;
      if (without) {
        const missing = await work.hjk("pr");
        expect(missing).toMatchObject({ code: 1, stdout: "" });
        expect(missing.stderr).toContain("gh auth login");
        expect(await gitIn(sandbox, remote, "rev-parse", "feat/work")).not.toBe(tip);
      }
      await writeFile(join(tools, "gh"), `#!/bin/sh\nprintf '%s\\n' "$@" "$PWD" > ${tools}/said; exit 4\n`);
      await chmod(join(tools, "gh"), 0o755);
      const env = { PATH: `${tools}:${path}` };
      const args = ["pr", "feat/work", "--", "--title", "A title", "--draft"];
      expect(await sandbox.hjk(args, { cwd: work.repo, env })).toMatchObject({ code: 4 });
      expect(await readFile(join(tools, "said"), "utf8")).toBe(
        ["pr", "create", "--head=feat/work", "--title", "A title", "--draft", work.repo, ""].join("\n"),
      );
      expect(await gitIn(sandbox, remote, "rev-parse", "feat/work")).toBe(tip);
    },
    minute,
  );
});

describe("the user's side", () => {
  test(
    "--into a branch that is not checked out leaves the files alone",
    async () => {
      const work = await Work.make("into", { agent: "echo a > a.txt", user: "echo b > b.txt" });
      await work.git("branch", "develop");
      const complete = (word: string, cwd = work.repo): Promise<string> =>
        sandbox.ok(["complete", "--", "merge", "feat/work", "--into", word], { cwd });
      expect((await complete("")).split("\n").toSorted()).toEqual(
        ["", "develop\t", "feat/work\t", "main\t"].toSorted(),
      );
      expect(await complete("de")).toBe("develop\t\n");
      expect(await complete("", "/")).toBe("");
      await writeFile(join(work.repo, "b.txt"), "changed\n");
      expect(await work.hjk("merge", "--into", "develop")).toMatchObject({ code: 0 });
      expect(await work.git("show", "develop:a.txt")).toBe("a");
      expect(await exists(join(work.repo, "a.txt"))).toBe(false);
      expect(await work.git("status", "--porcelain")).toBe("M b.txt");
      expect(await work.hjk("merge", "--into", "nowhere")).toMatchObject({ code: 3 });
      expect(await work.hjk("merge", "--into", "feat/work")).toMatchObject({ code: 2 });
      await work.remove();
    },
    minute,
  );

  test(
    "changes of theirs: refused before anything is done; a file in the way: refused, and nothing was",
    async () => {
      const work = await Work.make("dirty", { agent: "echo a > a.txt", user: "echo b > b.txt" });
      await writeFile(join(work.repo, "b.txt"), "mine\n");
      await work.hjk("diff", "--stat");
      const before = await work.state();
      const refused = await work.hjk("merge", "--check", "touch /tmp/checked");
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toContain("main is checked out with changes of yours");
      expect((await work.instance.try("test -e /tmp/checked")).code).toBe(1);
      expect(await work.state()).toBe(before);
      await work.git("checkout", "--quiet", "b.txt");
      await writeFile(join(work.repo, "a.txt"), "mine\n");
      const inTheWay = await work.hjk("merge");
      expect(inTheWay).toMatchObject({ code: 1, stdout: "" });
      expect(inTheWay.stderr).toContain("a.txt");
      expect(await readFile(join(work.repo, "a.txt"), "utf8")).toBe("mine\n");
      expect(await work.git("status", "--porcelain")).toBe("?? a.txt");
      await work.remove();
    },
    minute,
  );

  test(
    "what is in no commit: refused with a hint, or left out",
    async () => {
      const work = await Work.make("uncommitted", { agent: "echo a > a.txt" });
      await work.instance.inside("echo more > more.txt");
      const refused = await work.hjk("merge");
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.stderr).toContain("1 file in no commit: more.txt");
      expect(refused.stderr).toContain("hjk commit feat/work");
      expect(await work.hjk("merge", "--allow-uncommitted")).toMatchObject({ code: 0 });
      expect(await exists(join(work.repo, "more.txt"))).toBe(false);
      await work.remove();
    },
    minute,
  );

  test(
    "--check runs in the instance and stops at a failure; --rm removes it afterwards",
    async () => {
      const work = await Work.make("check", { agent: "echo a > a.txt" });
      const before = await work.state();
      const failed = await work.hjk(
        "merge",
        "--rm",
        "--check",
        "cat a.txt; echo 'on stderr' >&2; printf '\\033]0;t\\a'; exit 7",
      );
      expect(failed).toMatchObject({ code: 1, stdout: "" });
      expect(failed.stderr).toContain("a\n");
      expect(failed.stderr).toContain("on stderr");
      expect(failed.stderr).toContain("failed with exit code 7");
      expect(failed.stderr).not.toContain("\u001B");
      expect((await work.git("for-each-ref")).replaceAll(/.*feat\/work\n?/g, "")).toBe(
        before
          .split("\n\n")[0]
          ?.split("\n")
          .filter((line) => line.endsWith("main"))
          .join("\n") ?? "",
      );
      const moving = "echo x > x.txt; git add x.txt; git commit -qm 'while it is checked'";
      const moved = await work.hjk("merge", "--rm", "--check", moving);
      expect(moved).toMatchObject({ code: 1, stdout: "" });
      expect(moved.stderr).toContain("new commits since its check began");
      const merged = await work.hjk("merge", "--rm", "--check", "test -f a.txt");
      expect(merged).toMatchObject({ code: 0 });
      expect(merged.stdout).toContain("Took feat/work into main: 2 commits, now at");
      expect(merged.stdout).toContain("Removed instance");
      expect(await sandbox.hjk(["diff", "feat/work"], { cwd: work.repo })).toMatchObject({ code: 3 });
    },
    minute,
  );

  test(
    "commits of theirs on the branch come along; where both have gone on, nothing is decided for them",
    async () => {
      const work = await Work.make("theirs", { agent: "echo a > a.txt" });
      await work.hjk("ps");
      await work.git("checkout", "--quiet", "feat/work");
      await commitIn(work.repo, "echo own > own.txt");
      await work.git("checkout", "--quiet", "main");
      expect(await work.hjk("merge")).toMatchObject({ code: 0 });
      expect(await exists(join(work.repo, "own.txt"))).toBe(true);
      await work.instance.commit("later.txt");
      const diverged = await work.hjk("merge");
      expect(diverged).toMatchObject({ code: 1, stdout: "" });
      expect(diverged.stderr).toContain("have diverged");
      await work.remove();
    },
    minute,
  );

  test(
    "outside of the repository it wants to be told the branch",
    async () => {
      const work = await Work.make("outside", { agent: "echo a > a.txt" });
      const at = { cwd: sandbox.folder };
      expect(await sandbox.hjk(["merge", work.instance.id], at)).toMatchObject({ code: 2 });
      expect(await sandbox.hjk(["merge", work.instance.id, "--into", "main"], at)).toMatchObject({ code: 0 });
      expect(await exists(join(work.repo, "a.txt"))).toBe(true);
      await work.remove();
    },
    minute,
  );
});

describe("hostile branches", () => {
  test(
    "attack 15: hooks, filters and merge drivers of the user's do not run while it is put together",
    async () => {
      const work = await Work.make("drivers", {
        base: "mkdir tools; printf '#!/bin/sh\\necho ran >> \"$TRACE\"; cat\\n' > tools/run.sh; chmod +x tools/run.sh",
        agent: `printf '* filter=own merge=own diff=own\\n' > .gitattributes; sed -i 2s/$/X/ text.txt
        printf '#!/bin/sh\\ntouch /tmp/evil\\n' > tools/run.sh`,
        user: "sed -i 18s/$/Y/ text.txt",
      });
      const trace = join(sandbox.folder, "trace");
      for (const key of ["merge.own.driver", "diff.own.textconv"])
        await work.git("config", key, `tools/run.sh; touch ${trace}; false`);
      await work.git("config", "core.hooksPath", "tools/hooks");
      await work.git("config", "gpg.program", "./tools/run.sh");
      await work.git("branch", "develop");
      expect(await work.hjk("merge", "--into", "develop")).toMatchObject({ code: 0 });
      expect(await exists(trace)).toBe(false);
      expect(await work.git("show", "develop:text.txt")).toContain("line 2X");
      await work.remove();
    },
    minute,
  );

  test(
    "links out of the tree are told, and nothing is written through them",
    async () => {
      const outside = join(sandbox.folder, "outside.txt");
      await writeFile(outside, "mine\n");
      const work = await Work.make("links", {
        agent: `ln -s ${outside} link; ln -s ${sandbox.folder} folder`,
        user: "sed -i 18s/$/Y/ text.txt",
      });
      const merged = await work.hjk("merge");
      expect(merged.code).toBe(0);
      expect(merged.stderr).toContain("links that lead out of the repository");
      expect(await readFile(outside, "utf8")).toBe("mine\n");
      await work.remove();
    },
    minute,
  );

  test(
    "names with escape sequences in a conflict reach no terminal",
    async () => {
      const name = "$(printf 'a\\033]0;t\\a\\nb')";
      const work = await Work.make("names", { agent: `echo a > "${name}"`, user: `echo b > "${name}"` });
      const refused = await work.hjk("merge");
      expect(refused.code).toBe(1);
      expect(refused.stderr.replaceAll("\n", "")).not.toMatch(/\p{C}/u);
      await work.remove();
    },
    minute,
  );

  test(
    "submodules keep the whole branch out",
    async () => {
      const work = await Work.make("submodule", {
        agent:
          "git init -q sub; git -C sub -c user.name=a -c user.email=a commit -q --allow-empty -m x 2>/dev/null",
      });
      const refused = await work.hjk("merge");
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toContain("submodules (sub)");
      await work.remove();
    },
    minute,
  );
});

describe("hjk merge --fix", () => {
  let stub: ModelStub;
  beforeAll(async () => {
    stub = await ModelStub.start();
    await sandbox.useModel(stub);
  }, minute);
  afterAll(async () => await stub.stop());

  test(
    "has the agent resolve the conflicts, waits, and tries once more",
    async () => {
      const run = ["run", "feat/fix", "--agent", "claude", "-d", "SCRIPT:work"];
      await sandbox.ok(run);
      await sandbox.ok(["wait", "feat/fix", "--for", "done", "--timeout", "60s"]);
      await commitIn(sandbox.repo, "echo mine > hello.txt; echo other > other.txt");
      const conflict = await sandbox.hjk(["merge", "feat/fix"]);
      expect(conflict).toMatchObject({ code: 1, stdout: "" });
      expect(conflict.stderr).toContain("hello.txt");
      const fixed = await sandbox.hjk(["merge", "feat/fix", "--fix"]);
      expect(fixed).toMatchObject({ code: 0 });
      expect(await readFile(join(sandbox.repo, "hello.txt"), "utf8")).toBe("hello from the stand-in model\n");
      expect(await exists(join(sandbox.repo, "other.txt"))).toBe(true);
      expect(await sandbox.git("status", "--porcelain")).toBe("");
    },
    2 * minute,
  );

  test(
    "without an agent that could be asked it says so",
    async () => {
      const work = await Work.make("nobody", {
        agent: "sed -i 2s/$/X/ text.txt",
        user: "sed -i 2s/$/Y/ text.txt",
      });
      await work.hjk("ps");
      const before = await work.state();
      const refused = await work.hjk("merge", "--fix");
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toContain("Nothing was sent");
      expect(await work.state()).toBe(before);
      await work.remove();
    },
    minute,
  );
});

describe("kill -9", () => {
  test(
    "at any moment leaves the user's branch either as it was or moved, with its files",
    async () => {
      const work = await Work.make("killed", {
        base: "mkdir many; for n in $(seq 300); do echo $n > many/$n; done",
        agent: "for n in $(seq 300); do echo X >> many/$n; done",
        user: "echo b > b.txt",
      });
      await work.hjk("ps");
      const before = await work.state();
      const main = await work.git("rev-parse", "main");
      const gitDir = join(work.repo, ".git");
      const settings = async () =>
        (await fingerprintOf(gitDir)).filter((line) => /\.\/(config|hooks|info)/.test(line));
      const settingsBefore = await settings();
      for (let round = 0; round < 12; round += 1) {
        const child = Bun.spawn([binary, "merge", "feat/work"], {
          cwd: work.repo,
          env: sandbox.env,
          stdio: ["ignore", "ignore", "ignore"],
        });
        await Bun.sleep(40 * round);
        child.kill("SIGKILL");
        await child.exited;
        // The git that it had started may be finishing.
        await eventually(
          async () =>
            (await work.git("status", "--porcelain")) === "" && !(await exists(join(gitDir, "index.lock"))),
          "the checkout is whole",
        );
        expect(await settings()).toEqual(settingsBefore);
        if ((await work.git("rev-parse", "main")) === main) expect(await work.state()).toBe(before);
        else await work.git("reset", "--quiet", "--hard", main);
      }
      expect(await work.hjk("merge")).toMatchObject({ code: 0 });
      expect(await desks()).toEqual([]);
      await work.remove();
    },
    2 * minute,
  );

  test(
    "two at once: each is whole",
    async () => {
      const work = await Work.make("twice", { agent: "echo a > a.txt", user: "echo b > b.txt" });
      await work.git("branch", "develop");
      const both = await Promise.all([work.hjk("merge"), work.hjk("merge", "--into", "develop")]);
      expect(both.map((one) => one.code)).toEqual([0, 0]);
      expect(await work.git("rev-parse", "main^{tree}")).toBe(await work.git("rev-parse", "develop^{tree}"));
      expect(await desks()).toEqual([]);
      await work.remove();
    },
    minute,
  );
});
