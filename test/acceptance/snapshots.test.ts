import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, eventually, ModelStub, runProgram, Sandbox } from "../support/harness.ts";
import { gitIn, Instance, leftovers } from "../support/workbench.ts";

/* What is in no commit is kept, and can be had again. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

/** Every kind of thing that may lie in a workspace, none of it committed. */
const makeMess = `
  printf 'changed\\r\\n\\0binary\\377' >> README.md
  rm src/server.js; chmod +x package.json; git mv docs/api/products.md moved.md
  echo one > staged.txt; git add staged.txt; echo two >> staged.txt
  mkdir -p deep/er 'with space'; echo u > deep/er/untracked; echo n > $'new\\nline "q"'; echo d > -dash
  printf 'latin \\351' > $'b\\351'; : > empty; echo x > 'with space/run.sh'; chmod 755 'with space/run.sh'
  ln -s /etc/passwd out; ln -s README.md in; ln -s nowhere dangling; ln -s deep folder-link
  head -c 300000 /dev/urandom > random.bin; echo ignored > .gitignore; echo i > ignored
`;

/** Everything of a workspace: names, kinds, modes, targets of links, hashes; and what git says of it. */
const allOf = `
  find . -path ./.git -prune -o ! -type d ! -name ignored ! -name big.bin -print0 | sort -z |
    xargs -0 -I{} sh -c 'if [ -L "$1" ]; then readlink "$1"; else stat -c %a "$1"; sha256sum < "$1"; fi; echo "$1"' sh {}
  git status --porcelain=v1 -z | sed 's/\\x0/|/g'; git rev-parse HEAD
  git diff --cached | sha256sum
`;

async function idOf(branch: string): Promise<string> {
  return (await sandbox.instance(branch)).id;
}

async function inside(branch: string, script: string): Promise<string> {
  const result = await sandbox.inside(branch, ["bash", "-ec", script]);
  if (result.code !== 0) throw new Error(`${script}: ${result.stderr}`);
  return result.stdout.trim();
}

interface SnapshotJson {
  name: string;
  number: number;
  instance: string;
  reason: string;
  commit: string;
  parent: string | null;
  files: number;
  leftOut: { path: string; why: string }[];
}

async function history(branch: string, cwd = sandbox.repo): Promise<SnapshotJson[]> {
  const text = await sandbox.ok(["history", branch, "--json"], { cwd });
  return (JSON.parse(text) as { snapshots: SnapshotJson[] }).snapshots;
}

async function numbersOf(branch: string): Promise<number[]> {
  return (await history(branch)).map(({ number }) => number);
}

/** Makes a snapshot, if there is anything to keep, and returns the newest. */
async function take(branch: string): Promise<SnapshotJson> {
  await sandbox.ok(["recreate", branch]);
  const made = (await history(branch)).at(-1);
  if (made === undefined) throw new Error("no snapshot");
  return made;
}

/** Starts `hjk` and kills it after a while. */
async function killed(args: string[], afterMs: number): Promise<void> {
  const child = Bun.spawn([binary, ...args], {
    cwd: sandbox.repo,
    env: sandbox.env,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  await Bun.sleep(afterMs);
  child.kill("SIGKILL");
  await child.exited;
}

describe("rm", () => {
  test(
    "undo brings every byte back, also after a gc of the user's repository",
    async () => {
      const instance = await Instance.make(sandbox, "feat/all");
      await instance.commit("mine.txt");
      await instance.inside(makeMess);
      const before = await instance.inside(allOf);
      const removed = await instance.hjk("rm", "-f");
      expect(removed).toMatchObject({ code: 0 });
      expect(removed.stderr).toContain("hjk undo");
      await sandbox.git("reflog", "expire", "--expire=all", "--all");
      await sandbox.git("gc", "--quiet", "--prune=now");
      expect(await sandbox.ok(["undo"])).toContain(
        `Brought back instance ${instance.id} for branch feat/all`,
      );
      expect(await idOf("feat/all")).toBe(instance.id);
      expect(await inside("feat/all", allOf)).toBe(before);
      expect(await inside("feat/all", "git fsck --strict --no-dangling; git branch --show-current")).toBe(
        "feat/all",
      );
      // It goes on as before.
      await inside("feat/all", "git add -A; git commit -qm all");
      await sandbox.ok(["ps"]);
      expect(await sandbox.git("log", "-1", "--format=%s", "feat/all")).toBe("all");
      expect((await sandbox.hjk(["undo"])).code).toBe(3);
      await sandbox.ok(["rm", "-f", "feat/all"]);
    },
    2 * minute,
  );

  test(
    "a stopped instance, HEAD away from the branch: all is as it was",
    async () => {
      const instance = await Instance.make(sandbox, "feat/away");
      await instance.commit("on-branch.txt");
      await instance.inside(
        "git checkout -q --detach HEAD~1; echo d > detached; git add .; git commit -qm detached",
      );
      await instance.inside("echo more > more.txt");
      const before = await instance.inside(allOf);
      await sandbox.ok(["stop", "feat/away"]);
      const asked = await instance.hjk("rm");
      expect(asked.stderr).toContain("1 file in no commit:\n  more.txt\nThis stays as snapshot 1");
      expect(asked.stderr).not.toContain("lose");
      await sandbox.ok(["rm", "-f", "feat/away"]);
      await sandbox.ok(["undo"]);
      expect(await inside("feat/away", allOf)).toBe(before);
      expect(await inside("feat/away", "git branch --show-current; git log -1 --format=%s feat/away")).toBe(
        "add on-branch.txt",
      );
      await sandbox.ok(["rm", "-f", "feat/away"]);
    },
    2 * minute,
  );

  test(
    "the branch went on meanwhile, or was deleted: the instance is as it was, and both sides are kept",
    async () => {
      const instance = await Instance.make(sandbox, "feat/on");
      const tip = await instance.commit("its.txt");
      await instance.inside("echo u > uncommitted");
      await sandbox.ok(["rm", "-f", "feat/on"]);
      const newer = await sandbox.git("commit-tree", "-p", tip, "-m", "mine", `${tip}^{tree}`);
      await sandbox.git("branch", "-f", "feat/on", newer);
      await sandbox.ok(["undo"]);
      expect(await inside("feat/on", "git rev-parse HEAD; cat uncommitted; git status --porcelain")).toBe(
        `${tip}\nu\n?? uncommitted`,
      );
      expect((await sandbox.instance("feat/on")).notice).toContain("lacks 1 commit of yours");
      expect(await sandbox.git("rev-parse", "feat/on")).toBe(newer);
      await sandbox.ok(["rm", "-f", "feat/on"]);
      await sandbox.git("branch", "-D", "feat/on");
      await sandbox.ok(["undo"]);
      expect(await inside("feat/on", "git rev-parse feat/on; cat uncommitted")).toBe(`${tip}\nu`);
      expect(await sandbox.git("rev-parse", "feat/on")).toBe(tip);
      await sandbox.ok(["rm", "-f", "feat/on"]);
    },
    2 * minute,
  );

  test(
    "other branches, tags and stashes that the agent has made are kept, and there again after undo",
    async () => {
      const instance = await Instance.make(sandbox, "feat/refs");
      await instance.inside(`
        git checkout -qb side/one; echo 1 > one; git add one; git commit -qm one; git tag light; git tag -a -m a v1
        git checkout -q feat/refs; echo s1 > README.md; git stash -q; echo s2 > README.md; git stash -q -m mine
        git branch merged; echo u > uncommitted`);
      const refs = "git for-each-ref refs/heads refs/tags; git stash list --format='%H %gs'";
      const lines = async (): Promise<string[]> =>
        (await inside("feat/refs", refs)).split("\n").filter((line) => !line.includes("/merged"));
      const before = await lines();
      const asked = await instance.hjk("rm");
      expect(asked.stderr).toContain(
        "branches, tags and stashes that are not in your repository, kept there",
      );
      expect(asked.stderr).not.toContain("lose");
      await sandbox.ok(["rm", "-f", "feat/refs"]);
      await sandbox.git("reflog", "expire", "--expire=all", "--all");
      await sandbox.git("gc", "--quiet", "--prune=now");
      await sandbox.ok(["undo"]);
      expect(await lines()).toEqual(before);
      expect(await inside("feat/refs", "git stash show -p 1 | tail -1; git show v1:one")).toBe("+s1\n1");
      // And once more, though they are in the user's repository by now.
      await sandbox.ok(["rm", "-f", "feat/refs"]);
      await sandbox.ok(["undo"]);
      expect(await lines()).toEqual(before);
      // Also where nothing is uncommitted.
      await inside("feat/refs", "rm uncommitted");
      await sandbox.ok(["rm", "-f", "feat/refs"]);
      await sandbox.ok(["undo"]);
      expect(await lines()).toEqual(before);
      expect(await inside("feat/refs", "git status --porcelain")).toBe("");
      await sandbox.ok(["rm", "-f", "feat/refs"]);
    },
    2 * minute,
  );

  test(
    "a container whose git an agent has replaced: the files are kept all the same",
    async () => {
      const instance = await Instance.make(sandbox, "feat/replaced");
      await instance.inside("echo u > uncommitted");
      const real = await instance.inside("command -v git");
      await instance.inside(`rm -f ${real}; printf '#!/bin/sh\\nexit 1\\n' > ${real}; chmod +x ${real}`, "0");
      await sandbox.ok(["rm", "-f", "feat/replaced"]);
      await sandbox.ok(["undo"]);
      expect(await inside("feat/replaced", "cat uncommitted")).toBe("u");
      await sandbox.ok(["rm", "-f", "feat/replaced"]);
    },
    2 * minute,
  );

  test(
    "a snapshot that cannot be made: refused with the reason; with -f it goes on and says so",
    async () => {
      const instance = await Instance.make(sandbox, "feat/broken");
      await instance.inside("echo u > uncommitted; chmod 000 /hjk/git/objects");
      const refused = await instance.hjk("rm");
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("error: feat/broken was not removed. Its files could not be kept");
      expect(refused.stderr).toContain("hint: ");
      expect((await sandbox.instance("feat/broken")).status).toBe("running");
      const forced = await instance.hjk("rm", "-f");
      expect(forced).toMatchObject({ code: 0 });
      expect(forced.stderr).toContain("Its files could not be kept");
      // The branch is all that is left, and that comes back.
      await sandbox.ok(["undo"]);
      expect(await inside("feat/broken", "git status --porcelain")).toBe("");
      await sandbox.ok(["rm", "-f", "feat/broken"]);
    },
    2 * minute,
  );
});

describe("a snapshot", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/kinds");
  }, minute);
  afterAll(async () => await instance.remove(), minute);

  test(
    "leaves out what is large, what cannot be read and repositories inside, and says so",
    async () => {
      await instance.inside(`
        head -c 60000000 /dev/zero > big.bin; echo small > small; git init -q nested; echo f > nested/f
        git init -q committed; cd committed; echo f > f; git add f
        git -c user.name=x -c user.email=x@x commit -qm x; cd ..; git add committed 2>/dev/null
        chmod 777 .; mkdir ours; chmod 777 ours`);
      await instance.inside("umask 077; echo r > closed; mkdir closed-folder; echo r > closed-folder/f", "0");
      await instance.inside("umask 022; echo readable > ours/of-root", "0");
      const made = await take("feat/kinds");
      expect(made).toMatchObject({ reason: "recreate", files: 2 });
      expect(made.leftOut.toSorted((a, b) => (a.path < b.path ? -1 : 1))).toEqual([
        { path: "big.bin", why: "large" },
        { path: "closed", why: "unreadable" },
        { path: "closed-folder", why: "unreadable" },
        { path: "committed", why: "repository" },
        { path: "nested", why: "repository" },
      ]);
      const names = await sandbox.git("diff", "--name-only", `${made.commit}^`, made.commit);
      expect(names).toBe("ours/of-root\nsmall");
      const asked = await instance.hjk("rm");
      expect(asked.stderr).toContain(
        "This would lose 5 files that no snapshot takes:\n  big.bin (too large)\n",
      );
      // Restoring leaves them where they are.
      await instance.inside("rm small; rm -f ours/of-root; echo other > other");
      await sandbox.ok(["restore", "feat/kinds", made.name]);
      expect(
        await instance.inside("cat small ours/of-root; ls nested/f committed/f; stat -c %s big.bin; ls"),
      ).toMatch(/^small\nreadable\ncommitted\/f\nnested\/f\n60000000\n(?![^]*other)/);
      expect(await instance.inside("git status --porcelain")).toContain("?? committed/");
      await instance.inside("rm -rf closed closed-folder ours", "0");
      await instance.inside("rm -rf big.bin nested committed; git reset -q; git clean -fdq");
    },
    2 * minute,
  );

  test(
    "of more than it may be lacks the largest files, and no more of them than it must",
    async () => {
      await instance.inside(`mkdir many; for i in $(seq 300); do echo $i > many/$i; done
        for size in 100000 200000 300000 400000 600000; do head -c $size /dev/urandom > "of $size"; done`);
      const env = { HEADJACK_SNAPSHOTS_MAX_SIZE: "1m" };
      await sandbox.ok(["recreate", "feat/kinds"], { env });
      const made = (await history("feat/kinds")).at(-1);
      expect(made?.leftOut).toEqual([{ path: "of 600000", why: "large" }]);
      expect(made?.files).toBe(304);
      expect((await sandbox.hjk(["rm", "feat/kinds"], { env })).stderr).toContain(
        "This would lose 1 file that no snapshot takes:\n  of 600000 (too large)",
      );
      await instance.inside("head -c 500000 /dev/urandom > 'of 600000'");
      await sandbox.ok(["recreate", "feat/kinds"], { env });
      expect((await history("feat/kinds")).at(-1)?.leftOut).toEqual([{ path: "of 600000", why: "large" }]);
      // And all with room for them.
      await sandbox.ok(["recreate", "feat/kinds"]);
      expect((await history("feat/kinds")).at(-1)).toMatchObject({ files: 305, leftOut: [] });
      await instance.inside("git reset -q --hard; git clean -fdq");
    },
    minute,
  );

  test(
    "is made while an agent writes, and never touches its index or HEAD",
    async () => {
      await instance.inside(
        "echo base > base; git add base; git commit -qm base; echo staged > s; git add s",
      );
      const index = await instance.inside("sha256sum < /hjk/git/index; git rev-parse HEAD");
      await runProgram([
        "docker",
        "exec",
        "-d",
        instance.container,
        "bash",
        "-c",
        "mkdir w; cd w; for i in $(seq 100000); do echo $i > $((i % 200)); mv $((i % 200)) m$((i % 50)); rm -f m$(((i + 25) % 50)); head -c $((RANDOM * 9)) /dev/zero > z; done",
      ]);
      for (let round = 0; round < 5; round += 1) {
        await instance.inside(`echo ${round} > round`);
        const asked = await instance.hjk("rm");
        expect(asked.stderr).toContain("This stays as snapshot");
        const made = (await history("feat/kinds")).at(-1);
        expect(await sandbox.git("show", `${made?.commit ?? ""}:round`)).toBe(String(round));
        expect(await sandbox.git("show", `${made?.commit ?? ""}:s`)).toBe("staged");
      }
      expect(
        await instance.inside("sha256sum < /hjk/git/index; git rev-parse HEAD; ls /hjk/git"),
      ).toStartWith(index);
      expect(await instance.inside("ls /hjk/git")).not.toContain("hjk-snapshot");
      await instance.inside(
        "pkill -f '[s]eq 100000'; sleep 0.3; rm -rf w; git reset -q --hard; git clean -fdq",
      );
    },
    2 * minute,
  );

  test("in the middle of a merge takes the files as they are", async () => {
    await instance.inside(
      "git checkout -qb other; echo 1 > c; git add c; git commit -qm 1; git checkout -q feat/kinds; echo 2 > c; git add c; git commit -qm 2; git merge other || true",
    );
    const made = await take("feat/kinds");
    expect(await sandbox.git("show", `${made.commit}:c`)).toContain("<<<<<<<");
    await instance.inside("git merge --abort; git branch -qD other");
  });

  test("of a clean workspace is none; the same state is not kept twice", async () => {
    const count = (await history("feat/kinds")).length;
    await sandbox.ok(["recreate", "feat/kinds"]);
    expect(await history("feat/kinds")).toHaveLength(count);
    await instance.inside("echo again > again");
    const made = await take("feat/kinds");
    await instance.hjk("rm");
    expect(await take("feat/kinds")).toMatchObject({ number: made.number });
    await instance.inside("rm again");
  });

  test(
    "in a repository without a commit inside, and in a sha256 one",
    async () => {
      const repo = join(sandbox.folder, "sha256");
      await gitIn(sandbox, "/", "init", "--quiet", "--object-format=sha256", repo);
      await writeFile(join(repo, "a.txt"), "a\n");
      await gitIn(sandbox, repo, "add", ".");
      await gitIn(sandbox, repo, "commit", "--quiet", "-m", "a");
      const other = await Instance.make(sandbox, "feat/x", { repo });
      await other.inside("git checkout -q --orphan nothing; git rm -rqf .; echo o > orphan");
      await sandbox.ok(["rm", "-f", "feat/x"], { cwd: repo });
      const [made] = await history("feat/x", repo);
      expect(made).toMatchObject({ parent: null, files: 1 });
      expect(made?.commit).toMatch(/^[0-9a-f]{64}$/);
      await sandbox.ok(["undo"], { cwd: repo });
      const { container } = await sandbox.instance("feat/x");
      const listed = await runProgram([
        "docker",
        "exec",
        container,
        "sh",
        "-c",
        "cat orphan; ls; git fsck --no-dangling",
      ]);
      expect(listed.stdout).toBe("o\norphan\n");
      await sandbox.ok(["rm", "-f", "feat/x"], { cwd: repo });
      await rm(repo, { recursive: true });
    },
    2 * minute,
  );
});

test(
  "an agent that has stopped working leaves its files in a snapshot",
  async () => {
    const stub = await ModelStub.start();
    try {
      await using own = await Sandbox.create({ stub });
      await own.ok(["run", "feat/agent", "--agent", "claude", "-d", "SCRIPT:ask"]);
      const kept = async (): Promise<SnapshotJson[]> =>
        (JSON.parse(await own.ok(["history", "feat/agent", "--json"])) as { snapshots: SnapshotJson[] })
          .snapshots;
      await eventually(async () => (await kept()).length > 0, "there is a snapshot", minute);
      const [made] = await kept();
      expect(made).toMatchObject({ reason: expect.stringMatching(/^(waiting|done|idle)$/) as unknown });
      expect(await own.git("show", "--stat", "--format=", made?.commit ?? "")).toContain("hello.txt");
      // The agent commits nothing of ours, and nothing is kept twice.
      await own.ok(["send", "feat/agent", "REPLY: nothing new", "--wait"]);
      await own.ok(["stop", "feat/agent"]);
      expect(await kept()).toHaveLength(1);
    } finally {
      await stub.stop();
    }
  },
  2 * minute,
);

describe("restore and undo", () => {
  test(
    "in place: files and index go back, commits stay, and undo takes it back; running or stopped",
    async () => {
      const instance = await Instance.make(sandbox, "feat/place");
      await instance.inside(makeMess);
      const messy = await instance.inside(allOf);
      await sandbox.hjk(["recreate", "feat/place"]);
      await instance.inside(
        "git reset -q --hard; git clean -fdq; echo clean > other; mkdir -p deep; echo 1 > deep/more",
      );
      const clean = await instance.inside(allOf);
      for (const round of ["running", "stopped"]) {
        if (round === "stopped") await sandbox.ok(["stop", "feat/place"]);
        const restored = await sandbox.hjk(["restore", "feat/place", "1"]);
        expect(restored).toMatchObject({
          code: 0,
          stdout: "Restored the files of feat/place as of snapshot 1\n",
        });
        if (round === "stopped") await sandbox.ok(["start", "feat/place"]);
        expect(await instance.inside(allOf)).toBe(messy);
        if (round === "stopped") await sandbox.ok(["stop", "feat/place"]);
        expect(await sandbox.ok(["undo"])).toBe("Took back restore of feat/place\n");
        if (round === "stopped") await sandbox.ok(["start", "feat/place"]);
        expect(await instance.inside(allOf)).toBe(clean);
      }
      // Commits made since stay.
      const tip = await instance.commit("later.txt");
      await sandbox.ok(["restore", "feat/place", "1"]);
      expect(await instance.inside("git rev-parse HEAD; git log --format=%s -1; ls later.txt || true")).toBe(
        `${tip}\nadd later.txt`,
      );
      await sandbox.ok(["undo"]);
      expect(await instance.inside("cat later.txt; git status --porcelain")).toBe("later.txt");
      await instance.remove();
    },
    2 * minute,
  );

  test(
    "as a new branch, and of an instance that was removed",
    async () => {
      const instance = await Instance.make(sandbox, "feat/branch");
      const tip = await instance.commit("base.txt");
      await instance.inside("echo u > uncommitted");
      await instance.remove();
      expect(await sandbox.ok(["history", "feat/branch"])).toMatch(
        /^SNAPSHOT\tTAKEN\tWHEN\tFILES\tCOMMIT\n1\t.*\trm\t1\t/,
      );
      expect(await sandbox.ok(["restore", "feat/branch", "--to", "rescued"])).toContain(
        "Made branch rescued",
      );
      expect(await sandbox.git("show", "rescued:uncommitted")).toBe("u");
      expect(await sandbox.git("rev-parse", "rescued^")).toBe(tip);
      expect((await sandbox.hjk(["restore", "feat/branch", "--to", "rescued"])).code).toBe(1);
      expect((await sandbox.hjk(["restore", "feat/branch", "7"])).code).toBe(3);
      expect((await sandbox.hjk(["history", "feat/nothing"])).code).toBe(3);
      expect(await sandbox.ok(["restore", "feat/branch"])).toContain("Brought back instance");
      expect(await inside("feat/branch", "cat uncommitted; git rev-parse HEAD")).toBe(`u\n${tip}`);
      // That was the removal, undone.
      expect(await sandbox.ok(["undo", "--list"])).toMatch(/rm\tfeat\/branch\t1\tundone/);
      await sandbox.ok(["rm", "-f", "feat/branch"]);
      // With a new instance on the branch, the files can be had beside it.
      const next = await Instance.make(sandbox, "feat/branch");
      const refused = await sandbox.hjk(["undo"]);
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.stderr).toContain("has another instance by now");
      await sandbox.ok(["restore", "feat/branch", `${instance.id}/1`]);
      expect(await next.inside("cat uncommitted")).toBe("u");
      await next.remove();
    },
    2 * minute,
  );

  test("of recreate: the image and flags from before", async () => {
    const instance = await Instance.make(sandbox, "feat/renewed", { flags: ["--", "--env", "COLOUR=red"] });
    await sandbox.ok(["recreate", "feat/renewed", "--", "--env", "COLOUR=blue"]);
    expect(await instance.inside("echo $COLOUR")).toBe("blue");
    expect(await sandbox.ok(["undo"])).toBe("Took back recreate of feat/renewed\n");
    expect(await instance.inside("echo $COLOUR")).toBe("red");
    await instance.remove();
  });
});

describe("kill -9 at any moment", () => {
  test(
    "rm and undo lose nothing",
    async () => {
      const instance = await Instance.make(sandbox, "feat/killed");
      await instance.inside(makeMess);
      const before = await instance.inside(allOf);
      const there = async (): Promise<boolean> =>
        (await sandbox.instances()).some((one) => one.branch === "feat/killed");
      let usualMs = performance.now();
      await sandbox.ok(["rm", "-f", "feat/killed"]);
      await sandbox.ok(["undo"]);
      usualMs = performance.now() - usualMs;
      for (let moment = 30; moment < usualMs; moment += usualMs / 10) {
        await killed(["rm", "-f", "feat/killed"], moment);
        if (await there()) {
          expect(await inside("feat/killed", allOf)).toBe(before);
          await sandbox.ok(["rm", "-f", "feat/killed"]);
        }
        await killed(["undo"], moment);
        if (!(await there())) await sandbox.ok(["undo"]);
        expect(await inside("feat/killed", allOf)).toBe(before);
      }
      await sandbox.ok(["rm", "-f", "feat/killed"]);
    },
    4 * minute,
  );

  test(
    "restore loses nothing",
    async () => {
      const instance = await Instance.make(sandbox, "feat/halfway");
      await instance.inside(makeMess);
      const messy = await instance.inside(allOf);
      await sandbox.ok(["recreate", "feat/halfway"]);
      await instance.inside("git reset -q --hard; git clean -fdq; echo other > other");
      const clean = await instance.inside(allOf);
      let usualMs = performance.now();
      await sandbox.ok(["restore", "feat/halfway", "1"]);
      usualMs = performance.now() - usualMs;
      await sandbox.ok(["undo"]);
      for (let moment = 20; moment < usualMs * 1.2; moment += usualMs / 10) {
        await killed(["restore", "feat/halfway", "1"], moment);
        await sandbox.ok(["restore", "feat/halfway", "1"]);
        expect(await instance.inside(allOf)).toBe(messy);
        const kept = await history("feat/halfway");
        const target = kept.find(({ reason }) => reason === "restore");
        await sandbox.ok(["restore", "feat/halfway", target?.name ?? ""]);
        expect(await instance.inside(allOf)).toBe(clean);
      }
      await instance.remove();
    },
    4 * minute,
  );
});

describe("gc", () => {
  test(
    "removes what sessions of removed instances left, once it is too old",
    async () => {
      const instance = await Instance.make(sandbox, "feat/left");
      await instance.remove();
      const left = join(sandbox.folder, "hjk", "data", "removed", instance.id);
      expect((await readdir(left)).toSorted()).toEqual(["recordings", "sessions", "state"]);
      expect(await sandbox.ok(["gc", "--dry-run"])).not.toContain(instance.id);
      const longAgo = new Date(Date.now() - 40 * 24 * 3_600_000);
      await utimes(left, longAgo, longAgo);
      expect(await sandbox.ok(["gc"])).toContain(`Removed sessions of removed instance ${instance.id}`);
      expect(await readdir(join(left, ".."))).not.toContain(instance.id);
    },
    minute,
  );

  test(
    "removes snapshots that are too many or too old, and hubs of repositories that are gone",
    async () => {
      const instance = await Instance.make(sandbox, "feat/many");
      for (const word of ["one", "two", "three"]) {
        await instance.inside(`echo ${word} > file`);
        await take("feat/many");
      }
      const gone = join(sandbox.folder, "gone");
      await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, gone);
      const other = await Instance.make(sandbox, "feat/gone", { repo: gone });
      await other.commit("x.txt");
      await other.sync();
      await other.remove();
      await rm(gone, { recursive: true });
      const two = { env: { HEADJACK_SNAPSHOTS_MAX: "2" } };
      const planned = await sandbox.ok(["gc", "--dry-run"], two);
      expect(planned).toContain(`Would remove snapshot ${instance.id}/1 of my-app\n`);
      expect(planned).toContain("whose repository is gone");
      expect(await numbersOf("feat/many")).toEqual([1, 2, 3]);
      const hubs = join(sandbox.folder, "hjk", "data", "hubs");
      const before = (await readdir(hubs)).length;
      await sandbox.ok(["gc"], two);
      expect(await numbersOf("feat/many")).toEqual([2, 3]);
      expect((await readdir(hubs)).length).toBe(
        before - (planned.match(/^Would remove hub /gm) ?? []).length,
      );
      expect(await sandbox.ok(["gc", "--dry-run"], two)).not.toContain("snapshot");
      // One of long ago, whose record is lost.
      const tree = await sandbox.git("rev-parse", "HEAD^{tree}");
      const old = await runProgram(["git", "commit-tree", "-m", "old", tree], {
        cwd: sandbox.repo,
        env: { ...sandbox.env, GIT_COMMITTER_DATE: "2020-01-01T00:00:00Z" },
      });
      await sandbox.git("update-ref", "refs/headjack/abc123/snapshots/1", old.stdout.trim());
      await sandbox.git("update-ref", "refs/headjack/abc123/kept/1577836800/heads/old", "HEAD");
      expect(await sandbox.ok(["gc", "--dry-run"])).toBe(
        "Would remove snapshot abc123/1 of my-app\nWould remove heads/old of instance abc123 of my-app\n",
      );
      expect(await sandbox.ok(["gc"])).toContain("Removed snapshot abc123/1 of my-app\n");
      expect(await sandbox.git("for-each-ref", "refs/headjack/abc123")).toBe("");
      expect(await numbersOf("feat/many")).toEqual([2, 3]);
      await instance.remove();
    },
    2 * minute,
  );

  test("removes base images that no instance uses, but for those of today", async () => {
    const name = `headjack-base:test-${crypto.randomUUID().slice(0, 8)}`;
    const folder = join(sandbox.folder, "image");
    await mkdir(folder);
    const config = {
      architecture: "amd64",
      os: "linux",
      created: "2020-01-01T00:00:00Z",
      config: { Labels: { "headjack.version": "0" } },
      rootfs: { type: "layers", diff_ids: [] },
    };
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    const manifest = [{ Config: "config.json", RepoTags: [name], Layers: [] }];
    await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
    const loaded = await runProgram(["sh", "-c", "tar -c manifest.json config.json | docker load"], {
      cwd: folder,
    });
    expect(loaded).toMatchObject({ code: 0 });
    try {
      expect(await sandbox.ok(["gc", "--dry-run"])).toBe(`Would remove image ${name}\n`);
      expect(await sandbox.ok(["gc"])).toBe(`Removed image ${name}\n`);
      expect((await runProgram(["docker", "image", "inspect", name])).code).not.toBe(0);
    } finally {
      await runProgram(["docker", "rmi", name]);
    }
  });
});

test("at the end nothing but snapshots is left, and the repository is sound", async () => {
  expect(await sandbox.instances()).toEqual([]);
  expect(await leftovers(sandbox)).toEqual([]);
  await sandbox.git("fsck", "--strict", "--no-dangling");
});
