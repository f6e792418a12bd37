import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { binary, runProgram, Terminal, type Output } from "../support/harness.ts";
import { buildWithFaults } from "../support/faults/build.ts";
import { commands } from "../support/faults/commands.ts";
import { pointsOf } from "../support/faults/suite.ts";
import { branch, World } from "../support/faults/world.ts";

/* Disks that are full or read-only, and an engine or a container that dies. */

const minute = 60_000;
const isRoot = process.getuid?.() === 0;

async function must(...command: string[]): Promise<void> {
  expect(await runProgram(command)).toMatchObject({ code: 0, stderr: "" });
}

/** A small disk of its own in the place of a folder, with what was in the folder. */
async function onSmallDisk(folder: string): Promise<void> {
  await must("mv", folder, `${folder}-moved`);
  await must("mkdir", folder);
  await must("mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "none", folder);
  await must("cp", "-a", `${folder}-moved/.`, folder);
  await must("rm", "-r", `${folder}-moved`);
}

/** Ways in which a disk refuses to be written; each returns what ends it. */
const troubles = {
  full: async (folder: string): Promise<() => Promise<void>> => {
    const filler = join(folder, "filler");
    await runProgram(["sh", "-c", `cat /dev/zero > '${filler}'`]);
    return async () => await rm(filler);
  },
  "read-only": async (folder: string): Promise<() => Promise<void>> => {
    await must("mount", "-o", "remount,ro", folder);
    return async () => await must("mount", "-o", "remount,rw", folder);
  },
};

describe.skipIf(!isRoot)("a disk", () => {
  describe.each(["hjk", "my-app"])("with %s on it", (name) => {
    let world: World;
    let folder: string;
    beforeAll(async () => {
      world = await World.create("", async (sandbox) => {
        folder = join(sandbox.folder, name);
        await onSmallDisk(folder);
      });
      await world.ready();
      // So that there is a snapshot to restore.
      await world.ok("recreate", branch);
    }, minute);
    afterAll(async () => {
      await runProgram([
        "tmux",
        "-S",
        join(world.sandbox.folder, "hjk", "data", "run", "tmux"),
        "kill-server",
      ]);
      await runProgram(["umount", "-l", folder]);
      await world[Symbol.asyncDispose]();
    }, minute);

    test.each(Object.keys(troubles) as (keyof typeof troubles)[])(
      "%s: what cannot be done is refused, nothing is lost, and it goes on when there is room",
      async (trouble) => {
        await world.ready();
        await world.otherFiles();
        // Otherwise the last snapshot may have all of it.
        await world.instance.inside("date +%s%N > only-b.txt");
        const before = await world.look();
        const user = await world.user();
        const end = await troubles[trouble](folder);
        const failed: string[] = [];
        let halfway = false;
        try {
          for (const args of [
            ["ps"],
            ["restore", branch, "1"],
            ["merge", branch, "--allow-uncommitted", "--no-ff"],
            ["merge", branch, "--allow-uncommitted"],
            ["apply", branch],
            ["recreate", branch],
            ["stop", branch],
            ["run", "feat/another", "-d"],
            ["gc"],
          ]) {
            const result = await world.hjk(...args);
            expect(result.stderr).not.toContain("internal error");
            if (result.code !== 0) failed.push(args[0] ?? "");
            // git writes file by file, so a disk can become full in between: then that is said.
            halfway ||= /Some of (its files|the changes) may be in/.test(result.stderr);
          }
          const removed = await removedByHand(world);
          expect({ trouble, name, ...removed }).toMatchObject({ code: 1 });
          expect(removed.screen).toContain("error: ");
        } finally {
          await end();
        }
        expect(failed).toContain("restore");
        expect(failed).toContain("merge");
        if (halfway) {
          expect((await world.user()).head).toBe(user.head);
          await world.resetUser();
        }
        await world.ok("ps");
        await world.ok("start", branch);
        expect(await world.look()).toBe(before);
        expect(await world.user()).toEqual(user);
        await world.expectSound();
        await world.ok("rm", "-f", branch);
        await world.ok("undo");
        expect(await world.look()).toBe(before);
      },
      2 * minute,
    );
  });
});

/** `hjk rm`, as a person at a terminal who says yes: --force would go on where files cannot be kept. */
async function removedByHand(world: World): Promise<Pick<Output, "code"> & { screen: string }> {
  const terminal = await Terminal.open(world.sandbox);
  try {
    return await terminal.ends(async () => {
      await terminal.type(`hjk rm ${branch}`);
      const screen = await terminal.waitFor(/\[y\/N\]|error:/);
      if (screen.includes("[y/N]")) await terminal.type("y");
    });
  } finally {
    await terminal.close();
  }
}

describe("a power cut", () => {
  test.skipIf(Bun.which("strace") === null)(
    "before rm removes anything, all that brings it back is on the disk",
    async () => {
      await using world = await World.create("");
      await world.ready();
      const { folder, repo, env } = world.sandbox;
      const trace = join(folder, "trace");
      const calls = "trace=fsync,rename,renameat,renameat2,unlink,unlinkat,rmdir";
      const command = ["strace", "-f", "-y", "-o", trace, "-e", calls, binary, "rm", "-f", branch];
      expect(await runProgram(command, { cwd: repo, env })).toMatchObject({ code: 0 });
      const lines = (await readFile(trace, "utf8")).split("\n");
      const data = join(folder, "hjk", "data");
      const removal = lines.findIndex(
        (line) => line.includes(`${data}/worktrees/`) && / (unlink|rmdir)/.test(line),
      );
      expect(removal).toBeGreaterThan(0);
      const before = lines.slice(0, removal);
      const refs = before.flatMap((line, at) => {
        const name = /rename\(".*\/my-app\/\.git\/(?:\.\/)?(refs\/[^"]+\.lock)"/.exec(line)?.[1];
        return name === undefined ? [] : [{ name, at }];
      });
      expect(refs.map(({ name }) => name).join(" ")).toContain(
        `refs/headjack/${world.instance.id}/snapshots/1.lock`,
      );
      for (const { name, at } of refs) {
        const isKept = (line: string): boolean => line.includes(" fsync(") && line.includes(`/${name}>`);
        expect({ name, kept: before.slice(0, at).some(isKept) }).toEqual({ name, kept: true });
      }
      // The objects, before the refs that name them.
      const objects = before.findIndex((line) => /fsync\(.*my-app\/\.git\/objects\//.test(line));
      expect(objects).toBeGreaterThan(0);
      expect(objects).toBeLessThan(refs.at(-1)?.at ?? 0);
      // And last the record of what is about to go.
      const record = before.findLastIndex(
        (line) => line.includes(`fsync(`) && line.includes("/headjack.db-wal>"),
      );
      expect(record).toBeGreaterThan(refs.at(-1)?.at ?? Infinity);
    },
    minute,
  );
});

describe("a container that dies while it is asked for something", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create("", async ({ folder }) => await buildWithFaults(join(folder, "faulty")));
  }, minute);
  afterAll(async () => await world[Symbol.asyncDispose](), minute);

  test.each(["rm", "recreate", "restore", "commit", "stop", "ps, which brings commits home"])(
    "%s: it goes on without it, or again when it has been started",
    async (name) => {
      const command = commands.find((one) => one.name === name);
      if (command === undefined) throw new Error(name);
      const { steps } = await world.killed(await command.prepare(world));
      const asked = /^(POST|DELETE|sh sh git fetch)/;
      const points = pointsOf(steps).filter(({ when, what }) => when === "under way" && asked.test(what));
      expect(points.length).toBeGreaterThan(0);
      for (const point of points) {
        const args = await command.prepare(world);
        const { container } = world.instance;
        const { stderr } = await world.killed(args, point, `docker kill ${container} >/dev/null 2>&1`);
        expect(stderr).not.toContain("internal error");
        await world.ok("ps");
        if (await world.isThere()) await world.ok("start", branch);
        await command.heals(world, args);
        await world.expectSound();
      }
    },
    3 * minute,
  );
});
