import { branch, type World } from "./world.ts";

/** A command that is killed, and what must hold whenever that happens. */
export interface Command {
  name: string;
  /** Brings the world into the state in which it begins; the words of the command. */
  prepare: (world: World) => Promise<string[]>;
  /**
   * After the kill and the next command, `hjk ps`: fails when anything is lost, or when what is there cannot be
   * gone on with. Leaves nothing half done.
   */
  heals: (world: World, args: string[]) => Promise<void>;
}

function expect(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(what);
}

/** The instance is there with all it had, or `hjk undo` brings it back with that. */
async function thereOrUndone(world: World): Promise<void> {
  if (!(await world.isThere())) await world.ok("undo");
  await world.expectWhole();
}

/** The same after a removal that goes on, as the user would have it, before it is undone. */
async function removedThenUndone(world: World, args: string[]): Promise<void> {
  if (await world.isThere()) {
    await world.expectWhole();
    await world.ok(...args);
  }
  await world.ok("undo");
  await world.expectWhole();
}

const otherContent = { "only-b.txt": "b\n", "one.txt": "one\nb\n" };
const firstContent = { "staged.txt": "staged\n", "new/untracked.txt": "untracked\n" };

/** Neither the files before a restore nor those that it puts back are lost, in whatever state it was killed. */
async function expectBothContents(world: World): Promise<void> {
  const at = await world.look();
  expect(
    at.includes("only-b.txt") || (await world.isInSnapshot(otherContent)),
    `files before it are lost:\n${at}`,
  );
  expect(await world.isInSnapshot(firstContent), "files of the snapshot are lost");
}

/** A workspace with other files than its newest snapshot has; the snapshot's number. */
async function snapshotThenOtherFiles(world: World): Promise<string> {
  await world.ready();
  await world.ok("recreate", branch);
  const number = await world.newestSnapshot();
  await world.otherFiles();
  return String(number);
}

/** Undoes until the files are those from before the restore: also a restore that was killed can be undone. */
async function undoRestore(world: World): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    if ((await world.look()).includes("only-b.txt")) return;
    await world.ok("undo");
  }
  throw new Error(`undo did not bring the files back:\n${await world.look()}`);
}

/** The user's branch is where it was, or has all that the instance's has; the files are those of its commit. */
async function isTakenIn(world: World, from: string): Promise<boolean> {
  const { head, status, others } = await world.user();
  expect(status === "?? mine.txt", `the user's files were touched: ${status}`);
  expect(others.startsWith("refs/heads/main "), `the user's branches were touched: ${others}`);
  if (head === from) return false;
  const names = (await world.git("ls-tree", "-r", "--name-only", "HEAD")).split("\n");
  expect(names.includes("one.txt"), "the merge is half done");
  if (from === world.ahead) expect(names.includes("ahead.txt"), "a commit of the user's is lost");
  return true;
}

function merge(name: string, flags: string[], from: (world: World) => string): Command {
  return {
    name: `merge${name}`,
    prepare: async (world) => {
      await world.ready();
      await world.resetUser(from(world));
      return ["merge", branch, "--allow-uncommitted", ...flags];
    },
    heals: async (world, args) => {
      if (!(await isTakenIn(world, from(world)))) await world.ok(...args);
      expect(await isTakenIn(world, from(world)), "the merge did not go on");
      await thereOrUndone(world);
    },
  };
}

export const commands: Command[] = [
  {
    name: "run",
    prepare: async (world) => {
      await world.resetUser();
      await world.gone();
      return ["run", branch, "-d"];
    },
    heals: async (world, args) => {
      if (!(await world.isThere())) {
        expect((await world.git("branch", "--list", branch)) === "", "a branch is left");
        // The lock of one that is dead is none.
        const left = (await world.leftOver()).filter((what) => !what.startsWith("lock "));
        expect(left.length === 0, `left over: ${left.join(", ")}`);
        await world.ok(...args);
      }
      const status = await world.sandbox.inside(branch, ["git", "status", "--porcelain", "--branch"]);
      expect(status.stdout.trim() === `## ${branch}`, `not whole: ${status.stdout}${status.stderr}`);
      await world.gone();
    },
  },
  {
    name: "rm",
    prepare: async (world) => {
      await world.ready();
      return ["rm", "-f", branch];
    },
    heals: removedThenUndone,
  },
  {
    name: "rm --delete-branch",
    prepare: async (world) => {
      await world.ready();
      await world.git("merge", "--quiet", "--ff-only", branch);
      return ["rm", "-f", "--delete-branch", branch];
    },
    heals: removedThenUndone,
  },
  {
    name: "undo of rm",
    prepare: async (world) => {
      await world.ready();
      await world.ok("rm", "-f", branch);
      return ["undo"];
    },
    heals: thereOrUndone,
  },
  {
    name: "recreate",
    prepare: async (world) => {
      await world.ready();
      return ["recreate", branch];
    },
    heals: async (world, args) => {
      await world.ok("start", branch);
      await world.expectWhole();
      await world.ok(...args);
      await world.expectWhole();
    },
  },
  {
    name: "undo of recreate",
    prepare: async (world) => {
      await world.ready();
      await world.ok("recreate", branch);
      return ["undo"];
    },
    heals: async (world) => {
      await world.ok("start", branch);
      await world.expectWhole();
    },
  },
  {
    name: "restore",
    prepare: async (world) => ["restore", branch, await snapshotThenOtherFiles(world)],
    heals: async (world, args) => {
      await expectBothContents(world);
      await world.ok(...args);
      await world.expectWhole();
      await undoRestore(world);
    },
  },
  {
    name: "undo of restore",
    prepare: async (world) => {
      await world.ok("restore", branch, await snapshotThenOtherFiles(world));
      return ["undo"];
    },
    heals: async (world) => {
      await expectBothContents(world);
      await undoRestore(world);
    },
  },
  {
    name: "restore --to",
    prepare: async (world) => {
      const number = await snapshotThenOtherFiles(world);
      return ["restore", branch, number, "--to", "rescued"];
    },
    heals: async (world, args) => {
      if ((await world.git("branch", "--list", "rescued")) === "") await world.ok(...args);
      const tree = await world.git("rev-parse", "rescued^{tree}");
      const wanted = await world.git(
        "rev-parse",
        `refs/headjack/${world.instance.id}/snapshots/${args[2]}^{tree}`,
      );
      expect(tree === wanted, "the branch has other files");
      await world.git("branch", "-D", "rescued");
    },
  },
  merge(", fast-forward", [], (world) => world.base),
  merge(", merge commit", [], (world) => world.ahead),
  merge(" --squash", ["--squash"], (world) => world.ahead),
  merge(" --rebase", ["--rebase"], (world) => world.ahead),
  merge(" --rm", ["--rm"], (world) => world.ahead),
  {
    name: "apply",
    prepare: async (world) => {
      await world.ready();
      return ["apply", branch];
    },
    heals: async (world, args) => {
      const isDone = async (): Promise<boolean> => (await world.user()).status.includes("?? one.txt");
      if (!(await isDone())) {
        expect((await world.user()).status === "?? mine.txt", `half applied: ${(await world.user()).status}`);
        await world.ok(...args);
      }
      const { head, status } = await world.user();
      expect(head === world.base, "a commit was made");
      const wanted = " M README.md\n?? mine.txt\n?? new/untracked.txt\n?? one.txt\n?? staged.txt";
      expect(status === wanted.trim(), `half applied: ${status}`);
      await world.expectWhole();
    },
  },
  {
    name: "commit",
    prepare: async (world) => {
      await world.ready();
      return ["commit", branch, "-m", "all of it"];
    },
    heals: async (world, args) => {
      if ((await world.instance.inside("git status --porcelain")) !== "") await world.ok(...args);
      const files = await world.instance.inside("git show --name-only --format=%s HEAD");
      expect(files === "all of it\n\nREADME.md\nnew/untracked.txt\nstaged.txt", `committed: ${files}`);
      await world.bringHome(await world.instance.inside("git rev-parse HEAD"));
    },
  },
  {
    name: "stop",
    prepare: async (world) => {
      await world.ready();
      await world.ok("exec", "-d", branch, "sleep", "1000");
      return ["stop", branch];
    },
    heals: async (world, args) => {
      await world.ok(...args);
      await world.ok("start", branch);
      await world.expectWhole();
    },
  },
  {
    name: "start",
    prepare: async (world) => {
      await world.ready();
      await world.ok("stop", branch);
      return ["start", branch];
    },
    heals: async (world, args) => {
      await world.ok(...args);
      await world.expectWhole();
    },
  },
  {
    name: "gc",
    prepare: async (world) => {
      // Those of other commands would be as many steps more.
      await world.ok("config", "snapshots.max", "1");
      await world.ok("gc");
      await world.ok("config", "--unset", "snapshots.max");
      await snapshotThenOtherFiles(world);
      await world.ok("recreate", branch);
      await world.ok("config", "snapshots.max", "1");
      return ["gc"];
    },
    heals: async (world, args) => {
      await world.ok(...args);
      await world.ok("config", "--unset", "snapshots.max");
      expect(await world.isInSnapshot(otherContent), "the newest snapshot is lost");
      expect(!(await world.isInSnapshot(firstContent)), "an old snapshot was not removed");
    },
  },
  {
    name: "push",
    prepare: async (world) => {
      await world.ready();
      const remote = `${world.sandbox.folder}/remote.git`;
      await world.git("init", "--quiet", "--bare", remote);
      await world.git("config", "remote.origin.url", remote);
      await world.git("push", "--quiet", "--delete", "origin", `refs/heads/${branch}`).catch(() => undefined);
      return ["push", branch];
    },
    heals: async (world, args) => {
      await world.ok(...args);
      const pushed = (await world.git("ls-remote", "origin", `refs/heads/${branch}`)).split("\t")[0];
      expect(pushed === (await world.instance.at()), "the branch was not pushed");
      await world.expectWhole();
    },
  },
  {
    name: "ps, which brings commits home",
    prepare: async (world) => {
      await world.ready();
      await world.instance.inside("git commit -q --allow-empty -m two");
      return ["ps"];
    },
    heals: async (world) => {
      await world.bringHome(await world.instance.inside("git rev-parse HEAD"));
    },
  },
  {
    name: "ps, where both sides have gone on",
    prepare: async (world) => {
      await world.ready();
      await world.git("update-ref", `refs/heads/${branch}`, world.ahead);
      await world.instance.inside("git commit -q --allow-empty -m two");
      return ["ps"];
    },
    heals: async (world) => {
      const tip = await world.instance.inside("git rev-parse HEAD");
      await world.bringHome(tip, `refs/headjack/${world.instance.id}/head`);
      expect((await world.instance.at()) === world.ahead, "the user's branch was moved");
      // The user takes its version.
      await world.git("update-ref", `refs/heads/${branch}`, tip);
      await world.bringHome(tip);
    },
  },
];
