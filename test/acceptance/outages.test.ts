import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  baseImageTag,
  binary,
  eventually,
  gatewayImageTag,
  runProgram,
  Terminal,
  type Output,
} from "../support/harness.ts";
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
      world = await World.create({
        prepare: async (sandbox) => {
          folder = join(sandbox.folder, name);
          await onSmallDisk(folder);
        },
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
      await using world = await World.create();
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

/** What `hjk` asks of the engine, by itself or through git. */
const asked = /^(POST|DELETE|sh sh git fetch)/;

/** Lets something die at each request of a command to the engine, while it is under way. */
async function disturb(
  world: World,
  name: string,
  how: { dies: () => string; back: () => Promise<void> },
): Promise<void> {
  const command = commands.find((one) => one.name === name);
  if (command === undefined) throw new Error(name);
  const { steps } = await world.killed(await command.prepare(world));
  const points = pointsOf(steps).filter(({ when, what }) => when === "under way" && asked.test(what));
  expect(points.length).toBeGreaterThan(0);
  for (const point of points) {
    const args = await command.prepare(world);
    const { stderr } = await world.killed(args, point, how.dies());
    expect(stderr).not.toContain("internal error");
    await how.back();
    await world.ok("ps");
    if (await world.isThere()) await world.ok("start", branch);
    await command.heals(world, args);
    await world.expectSound();
  }
}

describe("while it is asked for something, there dies", () => {
  let folder: string;
  let faulty: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hjk-outages-"));
    faulty = join(folder, "hjk");
    await buildWithFaults(faulty);
  }, minute);
  afterAll(async () => await rm(folder, { recursive: true, force: true }), minute);

  describe("the container", () => {
    let world: World;
    beforeAll(async () => {
      world = await World.create({ faulty });
    }, minute);
    afterAll(async () => await world[Symbol.asyncDispose](), minute);

    test.each(["rm", "recreate", "restore", "commit", "stop", "ps, which brings commits home"])(
      "%s: it goes on without it, or again when it has been started",
      async (name) => {
        await disturb(world, name, {
          dies: () => `docker kill ${world.instance.container} >/dev/null 2>&1`,
          back: () => Promise.resolve(),
        });
      },
      3 * minute,
    );
  });

  describe.skipIf(!isRoot)("the engine", () => {
    let engine: OwnEngine;
    const usual = process.env["DOCKER_HOST"];
    beforeAll(async () => {
      engine = await OwnEngine.start(join(folder, "engine"));
      process.env["DOCKER_HOST"] = engine.host;
    }, 2 * minute);
    afterAll(async () => {
      if (usual === undefined) delete process.env["DOCKER_HOST"];
      else process.env["DOCKER_HOST"] = usual;
      await engine.stop();
    }, minute);

    // Docker 20.10 that dies while it removes a network may not start again, with or without us: it panics in
    // `reservePools`. So what removes instances is tried without networks of their own.
    describe.each([
      { how: "with gateways", flags: [], names: ["run", "undo of rm"] },
      { how: "without gateways", flags: ["--network=none"], names: ["rm", "recreate", "restore"] },
    ])("$how", ({ flags, names }) => {
      let world: World;
      beforeAll(async () => {
        world = await World.create({ faulty });
        await world.ok("config", "default.base_image", engine.image);
        // No agents are asked for, so that it lacks nothing.
        await world.ok("config", "image.agents", "");
        if (flags.length > 0) await world.ok("config", "runtime.flags", "--", ...flags);
      }, minute);
      afterAll(async () => await world[Symbol.asyncDispose](), minute);

      test.each(names)(
        "%s: nothing is lost, and it works again when the engine is back",
        async (name) => {
          await disturb(world, name, { dies: () => `kill -9 ${engine.pid}`, back: () => engine.again() });
        },
        5 * minute,
      );
    });
  });
});

/** Name of the bridge of the engine below; one that no machine has. */
const bridge = "hjk-test0";

/**
 * An engine of the test's own. In a network of its own, which outlives it as that of a machine does: a second dockerd
 * would otherwise take over, or remove, the bridge of the machine's.
 */
class OwnEngine {
  readonly host: string;
  readonly image = "hjk-test-small:1";
  readonly #folder: string;
  readonly #network: Bun.Subprocess;
  #daemon: Bun.Subprocess | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    const bridgeUp = [
      "ip link set lo up",
      `ip link add ${bridge} type bridge`,
      `ip addr add 172.30.255.1/24 dev ${bridge}`,
      `ip link set ${bridge} up`,
    ].join(" && ");
    this.#network = Bun.spawn(["unshare", "--net", "sh", "-c", `${bridgeUp} && exec sleep 100000`]);
    this.host = `unix://${folder}/socket`;
  }

  static async start(folder: string): Promise<OwnEngine> {
    await mkdir(folder);
    const engine = new OwnEngine(folder);
    await engine.again();
    // What the tests need of the base image: a shell and git.
    const left = ["usr/local", "usr/share", "opt", "var", "proc", "sys"].map((path) => `--exclude=./${path}`);
    const files = `docker run --rm --user 0 --network none ${await baseImageTag()} tar c ${left.join(" ")} -C / .`;
    await must("sh", "-c", `${files} | docker -H ${engine.host} import - ${engine.image} >/dev/null`);
    await must(
      "sh",
      "-c",
      `docker save ${await gatewayImageTag()} | docker -H ${engine.host} load --quiet >/dev/null`,
    );
    return engine;
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0;
  }

  /** Starts it, or starts it again when it has died. */
  async again(): Promise<void> {
    const answers = async (): Promise<boolean> =>
      (await runProgram(["docker", "-H", this.host, "version"])).code === 0;
    if (await answers()) return;
    // The process ids in these may be those of others by now.
    for (const name of ["pid", "exec-root/containerd/containerd.pid"])
      await rm(join(this.#folder, name), { force: true });
    const folders = ["data-root", "exec-root"].map((name) => `--${name}=${this.#folder}/${name}`);
    const own = [...folders, `--pidfile=${this.#folder}/pid`, `--host=${this.host}`, "--iptables=false"];
    const inNetwork = ["nsenter", `--net=/proc/${this.#network.pid}/ns/net`];
    // Not before the bridge is there.
    await eventually(
      async () => (await runProgram([...inNetwork, "ip", "link", "show", bridge, "up"])).stdout !== "",
      "its network is there",
    );
    const log = join(this.#folder, "log");
    this.#daemon = Bun.spawn(
      [...inNetwork, "sh", "-c", `exec dockerd --bridge=${bridge} "$@" 2>> '${log}'`, "sh", ...own],
      { stdio: ["ignore", "ignore", "ignore"] },
    );
    // It waits ten seconds for each container that it finds running, and for what else was under way.
    await eventually(
      answers,
      async () => {
        const said = (await readFile(log, "utf8")).split("\n").slice(-40).join("\n");
        return `the engine of the test's own answers, which says:\n${said}`;
      },
      minute,
    );
  }

  async stop(): Promise<void> {
    await this.again();
    this.#daemon?.kill("SIGTERM");
    await this.#daemon?.exited;
    this.#network.kill();
    const mounts = (await readFile("/proc/mounts", "utf8"))
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "");
    for (const mount of mounts.filter((path) => path.startsWith(`${this.#folder}/`)).toReversed())
      await runProgram(["umount", "-l", mount]);
  }
}
