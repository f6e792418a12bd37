import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { baseImageTag, eventually, runProgram, Sandbox, type Output } from "../support/harness.ts";

/*
 * What the container of an instance must not let happen, under each profile, and what must work in it all the
 * same. Each attack is first seen to succeed in a container without the defence: otherwise its failure would
 * say nothing.
 */

setDefaultTimeout(120_000);

const profiles = ["strict", "sudo"] as const;
const gigabyte = 1024 ** 3;

const image = await baseImageTag();
const asked = ["apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update"];
const reachesDebian =
  (await runProgram(["docker", "run", "--rm", "--user", "0:0", image, ...asked])).code === 0;
const noDebian = reachesDebian ? "" : " (skipped: a container does not reach Debian's packages here)";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  await sandbox.ok(["run", "strict", "-d"]);
  await sandbox.ok(["config", "security.profile", "sudo"]);
  await sandbox.ok(["run", "sudo", "-d"]);
  await sandbox.ok(["config", "--unset", "security.profile"]);
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
});

/** Runs a script of shell in an instance as its user. */
async function inside(branch: string, script: string): Promise<Output> {
  return await sandbox.inside(branch, ["bash", "-c", script]);
}

/** Runs a script as root in a container that nothing holds in but the given flags, on a folder of the host. */
async function unprotected(flags: string[], script: string): Promise<Output> {
  const folder = await mkdtemp(join(tmpdir(), "hjk-attack-"));
  try {
    const mount = ["--volume", `${folder}:/workspace`, "--workdir", "/workspace"];
    const command = ["docker", "run", "--rm", "--init", "--user", "0:0", ...mount, ...flags, image];
    return await runProgram([...command, "bash", "-c", script]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Number of a system call on this processor. */
const call = (x64: number, arm64: number): number => (process.arch === "arm64" ? arm64 : x64);

/** Succeeds when the kernel itself looks at a call, whatever it says of its arguments. */
const reaches = (number: number, args: string): string => `python3 -c '
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
refused = libc.syscall(${number}, ${args}) < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)
sys.exit(refused)'`;

/** Succeeds when a call of the 32-bit kind does not fail; its texts and numbers must lie where such a program's do. */
const by32Bits = (
  before: string,
  made: string,
): string => `${before}; cd /tmp && rm -f 32.c && cat > 32.c <<'END'
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
static int call(int number, int a, int b, int c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
  return result;
}
int main() {
  char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  int text = (int)(long)strcpy(low, "/tmp/32"), numbers = text + 64;
  *(int *)(low + 64) = 40, *(int *)(low + 68) = 1;
  (void)text, (void)numbers;
  return ${made} < 0;
}
END
gcc -w -o 32bit 32.c && ./32bit`;

/** Succeeds when python can do it. */
const python = (line: string): string => `python3 -c 'import os, socket; ${line}'`;

const unfiltered = ["--security-opt", "seccomp=unconfined"];
/** Not --privileged: an engine that runs in a container itself may not have all of that to give. */
const admin = ["--cap-add", "SYS_ADMIN", "--cap-add", "DAC_READ_SEARCH", ...unfiltered];
const tmpFile = `os.O_TMPFILE | os.O_WRONLY`;

/** What is tried, and the flags with which a container lets it happen. */
const attacks: Record<string, { script: string; without: string[] }> = {
  "attack 3: a setuid file, by chmod": { script: "cp /bin/true s && chmod 4755 s && test -u s", without: [] },
  "attack 3: a setgid file, by chmod": { script: "cp /bin/true s && chmod g+s s && test -g s", without: [] },
  "attack 3: a setuid file, by open": {
    script: python('os.close(os.open("o", os.O_CREAT | os.O_WRONLY, 0o4755))') + " && test -u o",
    without: [],
  },
  "attack 3: a setuid file, without a name": {
    script: python(`os.open(".", ${tmpFile}, 0o4755)`),
    without: [],
  },
  "attack 3: a setuid file, by mknod": {
    script: python('os.mknod("m", 0o104755)') + " && test -u m",
    without: [],
  },
  "attack 3: a setuid file, by openat2": { script: reaches(437, "-100, 0, 0, 0"), without: unfiltered },
  "attack 4: a device of the host": { script: "mknod d b 7 0", without: [] },
  "attack 2: a user namespace": { script: "unshare -Ur true", without: unfiltered },
  "attack 2: a namespace, by clone3": { script: reaches(435, "0, 0"), without: unfiltered },
  "attack 2: a namespace of another": { script: reaches(call(308, 268), "-1, 0"), without: admin },
  "attack 2: a mount": { script: "mount -t tmpfs none /mnt", without: admin },
  "attack 2: a mount, by the newer calls": { script: reaches(428, "-100, 0, 0"), without: admin },
  "attack 2: keys of the kernel": { script: reaches(call(250, 219), "0, -3, 0"), without: unfiltered },
  "attack 2: a key of the kernel, added": {
    script: reaches(call(248, 217), "0, 0, 0, 0, -3"),
    without: unfiltered,
  },
  "attack 2: programs in the kernel": { script: reaches(call(321, 280), "0, 0, 0"), without: admin },
  "attack 2: counters of the processor": {
    script: reaches(call(298, 241), "0, 0, 0, 0, 0"),
    without: admin,
  },
  "attack 2: faults of memory, handled": { script: reaches(call(323, 282), "1"), without: admin },
  "attack 2: io_uring": { script: reaches(425, "1, 0"), without: unfiltered },
  "attack 2: a file by its handle": { script: reaches(call(304, 265), "-1, 0, 0"), without: admin },
  "attack 2: another root folder": { script: "mkdir -p r && chroot / true", without: [] },
  "attack 23: a raw socket": {
    script: python("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    without: [],
  },
  "attack 2: a socket to the virtual machine's host": {
    script: python("socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)"),
    without: unfiltered,
  },
  ...(process.arch === "x64"
    ? {
        "attack 3: a setuid file, by a call of 32 bits": {
          script: by32Bits("touch /tmp/32", "call(15, text, 04755, 0)"),
          without: unfiltered,
        },
        "attack 2: a socket to the virtual machine's host, by a call of 32 bits": {
          script: by32Bits("true", "call(102, 1, numbers, 0)"),
          without: unfiltered,
        },
      }
    : {}),
  // Writes what is there already: without the defence it is the host's.
  "attack 10: a setting of the kernel": {
    script: 'f=/proc/sys/kernel/core_pattern; v="$(cat $f)" && printf "%s" "$v" > $f',
    without: ["--security-opt", "systempaths=unconfined"],
  },
  "attack 23: a firewall of its own": {
    script: python("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    without: [],
  },
};

describe("must not happen", () => {
  test.each(Object.entries(attacks))("%s", async (_, { script, without }) => {
    expect(await unprotected(without, script)).toMatchObject({ code: 0 });
    expect((await inside("strict", script)).code).not.toBe(0);
    // Root in the container, which sudo makes of its user.
    expect((await inside("sudo", `sudo bash -c '${script.replaceAll("'", `'\\''`)}'`)).code).not.toBe(0);
    // What root in the engine's own exec may do is no more than that.
    expect((await sandbox.inside("strict", ["bash", "-c", script], "0:0")).code).not.toBe(0);
  });

  test("attack 3, attack 4: nothing of all that is left on the host", async () => {
    for (const branch of profiles) {
      const { workspace } = await sandbox.instance(branch);
      const found = await runProgram(["find", workspace, "(", "-perm", "/6000", "-o", "-type", "b", ")"]);
      expect(found).toMatchObject({ code: 0, stdout: "" });
    }
  });

  test("under strict, sudo says why it does nothing", async () => {
    const refused = await inside("strict", "sudo -n id");
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain('"no new privileges" flag is set');
  });
});

describe.each(profiles)("must work under %s", (branch) => {
  const work: Record<string, string> = {
    "git, up to a commit":
      "echo a > a.txt && git add a.txt && git commit -qm a && git gc -q && git status --short",
    "a program in C with threads, compiled and run": `
cat > c.c <<'END'
#include <pthread.h>
void *f(void *x) { return x; }
int main() { pthread_t t; return pthread_create(&t, 0, f, 0) || pthread_join(t, 0); }
END
gcc -pthread -o c c.c && ./c`,
    "node, with a worker, a process and a server": `
cat > n.mjs <<'END'
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
END
node n.mjs`,
    "npm, from a package beside": `
mkdir p q && cd p && npm init -y > /dev/null && npm pack --silent > /dev/null
cd ../q && npm init -y > /dev/null && npm install --offline --silent ../p/p-1.0.0.tgz && test -d node_modules/p`,
    "python, with a virtual environment and a package beside": `
python3 -m venv v && mkdir one-1.dist-info && cd one-1.dist-info
printf 'Metadata-Version: 2.1\nName: one\nVersion: 1\n' > METADATA
printf 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n' > WHEEL
printf 'one.py,,\none-1.dist-info/METADATA,,\none-1.dist-info/WHEEL,,\none-1.dist-info/RECORD,,\n' > RECORD
cd .. && echo 'print("one")' > one.py && python3 -m zipfile -c one-1-py3-none-any.whl one.py one-1.dist-info
v/bin/pip install -q --no-index ./one-1-py3-none-any.whl && rm one.py && v/bin/python -c 'import one'`,
    "python, with processes that share memory": `
cat > m.py <<'END'
import multiprocessing
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-1]), multiprocessing.Value("i", 1).value)
END
python3 m.py`,
    "a debugger, without random addresses": `
python3 -c 'import ctypes; assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0' && setarch -R true`,
    "a sticky folder, links, a pipe and a file without rights":
      "\nmkdir -m 1777 t && cd t && mkfifo f && ln -s f l && ln f h && touch x && chmod 0 x",
    "a pseudo-terminal": `python3 -c 'import pty, sys; sys.exit(pty.spawn(["true"]))'`,
    "the modes of files, by tar and cp": `
echo a > a && chmod 751 a && tar -cf a.tar a && rm a && tar -xpf a.tar && cp -a a b && stat -c %a b | grep -x 751`,
  };
  test.each(Object.entries(work))("%s", async (_, script) => {
    const folder = `set -e; cd "$(mktemp -d)"`;
    const where = script.startsWith("\n") ? folder : "set -e";
    expect(await inside(branch, `${where}; ${script}`)).toMatchObject({ code: 0, stderr: "" });
  });
});

/** Installs a package of Debian's in the instance `sudo`. */
async function apt(name: string): Promise<Output> {
  return await inside(
    "sudo",
    `sudo apt-get -qq update && sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ${name}`,
  );
}

describe("the profile sudo", () => {
  test("installs a package that was built here, with its scripts and owners", async () => {
    const built = await inside(
      "sudo",
      "rm -rf /tmp/d && mkdir -p /tmp/d/DEBIAN /tmp/d/opt/one && echo hi > /tmp/d/opt/one/f && cd /tmp && " +
        "printf 'Package: one\\nVersion: 1\\nArchitecture: all\\nMaintainer: Ann <ann@example.com>\\nDescription: one\\n' > d/DEBIAN/control && " +
        "printf '#!/bin/sh\\nuseradd --system one && chown one /opt/one/f && chmod 640 /opt/one/f\\n' > d/DEBIAN/postinst && " +
        "chmod 755 d/DEBIAN/postinst && dpkg-deb --root-owner-group -b d one.deb && sudo apt-get -qq install -y ./one.deb",
    );
    expect(built).toMatchObject({ code: 0 });
    expect((await inside("sudo", "stat -c '%U %a' /opt/one/f")).stdout).toBe("one 640\n");
    expect((await inside("sudo", "sudo -u one cat /opt/one/f")).stdout).toBe("hi\n");
  });

  test("installs a package whose files are setuid and setgid, without these bits", async () => {
    const built = await inside(
      "sudo",
      "rm -rf /tmp/d && mkdir -p /tmp/d/DEBIAN /tmp/d/opt/two && echo hi > /tmp/d/opt/two/u && cd /tmp && " +
        // As dpkg-deb would read them from the folder: in the archive they can be set, here they cannot.
        "printf 'Package: two\\nVersion: 1\\nArchitecture: all\\nMaintainer: Ann <ann@example.com>\\nDescription: two\\n' > d/DEBIAN/control && " +
        "printf '#!/bin/sh\\nset -e\\ninstall -d -m 2755 /opt/two/g\\nchmod u+s /opt/two/u\\n' > d/DEBIAN/postinst && " +
        "chmod 755 d/DEBIAN/postinst && dpkg-deb --root-owner-group -b d two.deb && " +
        "mkdir ar && cd ar && ar x ../two.deb && tar -xf data.tar.xz && tar --mode=u+s,g+s --owner=0 --group=0 -cJf data.tar.xz ./opt && " +
        "ar r ../two.deb data.tar.xz",
    );
    expect(built).toMatchObject({ code: 0 });
    const bare = await inside("sudo", "sudo /usr/bin/dpkg -i /tmp/two.deb");
    expect(bare.stderr).toContain("error setting permissions of");
    expect(await inside("sudo", "sudo dpkg -i /tmp/two.deb")).toMatchObject({ code: 0 });
    expect((await inside("sudo", "stat -c %a /opt/two/u /opt/two/g")).stdout).toBe("644\n755\n");
    expect((await inside("sudo", "sudo apt-get -qq check")).stdout).toBe("");
  });

  test.skipIf(!reachesDebian)(`installs packages of Debian's${noDebian}`, async () => {
    // The second has a library with a setgid program.
    expect(await apt("tree tmux")).toMatchObject({ code: 0 });
    expect((await inside("sudo", "tree --version")).stdout).toMatch(/^tree v/);
    const script = "tmux new-session -d -s x 'sleep 100' && tmux ls && tmux kill-server";
    expect((await inside("sudo", script)).stdout).toContain("x: 1 windows");
  });

  test("says nothing but what was asked, and ends what it has started", async () => {
    expect(await inside("sudo", "sudo id -u")).toEqual({ code: 0, stdout: "0\n", stderr: "" });
    await inside("sudo", "sudo sleep 1000 & sleep 0.5; sudo pkill -x sleep -n; wait");
    expect((await inside("sudo", "pgrep -fx 'sleep 1000'")).code).toBe(1);
  });

  test("files that root has made inside are kept by a snapshot, come back, and go with the instance", async () => {
    await sandbox.ok(["run", "rooted", "-d", "--profile", "sudo"]);
    const made =
      "sudo mkdir -p made/by && echo one | sudo tee made/by/root > /dev/null && sudo chmod 700 made/by";
    await inside("rooted", `${made}; echo two | sudo tee readable > /dev/null`);
    const { workspace } = await sandbox.instance("rooted");
    expect((await stat(join(workspace, "readable"))).uid).toBe(0);
    expect(await sandbox.ok(["recreate", "rooted"])).toContain("Recreated");
    expect((await inside("rooted", "sudo cat made/by/root readable")).stdout).toBe("one\ntwo\n");
    expect((await sandbox.instance("rooted")) as unknown).toMatchObject({ profile: "sudo" });
    const removed = await sandbox.hjk(["rm", "-f", "rooted"]);
    expect(removed).toMatchObject({ code: 0 });
    expect(await stat(workspace).catch(() => undefined)).toBeUndefined();
    await sandbox.ok(["undo"]);
    expect((await inside("rooted", "cat readable")).stdout).toBe("two\n");
    expect((await inside("rooted", "sudo id -u")).stdout).toBe("0\n");
  });
});

type HostConfig = Record<string, unknown> & { Memory: number; NanoCpus: number; PidsLimit: number };

/** How the engine holds the container of an instance in. */
async function hostConfig(branch: string): Promise<HostConfig> {
  const { container } = await sandbox.instance(branch);
  const { stdout } = await runProgram(["docker", "inspect", "-f", "{{json .HostConfig}}", container]);
  return JSON.parse(stdout) as HostConfig;
}

/** Nothing at all is written in several ways. */
function withoutEmpty(config: HostConfig): object {
  const { Mounts: _, ...rest } = config;
  return JSON.parse(
    JSON.stringify(rest, (_key, value: unknown) =>
      value === null ||
      value === "" ||
      value === "no" ||
      JSON.stringify(value) === "[]" ||
      JSON.stringify(value) === "{}"
        ? undefined
        : value,
    ),
  );
}

describe("limits", () => {
  test("a container has some by default, and neither swap nor dumps", async () => {
    const config = await hostConfig("strict");
    const { stdout } = await runProgram(["docker", "info", "-f", "{{json .}}"]);
    const machine = JSON.parse(stdout) as { NCPU: number; MemTotal: number };
    expect(config).toMatchObject({
      Memory: Math.min(8 * gigabyte, Math.floor(machine.MemTotal / 2)),
      MemorySwap: config.Memory,
      NanoCpus: Math.max(1, machine.NCPU - 1) * 1e9,
      PidsLimit: 2048,
      IpcMode: "private",
      Ulimits: [{ Name: "core", Hard: 0, Soft: 0 }],
      Privileged: false,
    });
  });

  test("a container that is made by the command line of the engine is the same as one by its socket", async () => {
    for (const branch of profiles) {
      // Flags are what the command line is for; this one changes nothing of what is compared.
      await sandbox.ok(["run", `cli/${branch}`, "-d", "--profile", branch, "--", "--label", "a=b"]);
      // Each has a network of its own.
      const own = { ExtraHosts: [expect.stringMatching(/^hjk-gateway:/)], NetworkMode: expect.any(String) };
      const [byCli, bySocket] = [await hostConfig(`cli/${branch}`), await hostConfig(branch)];
      expect(bySocket).toMatchObject(own);
      expect(withoutEmpty(byCli)).toEqual({ ...withoutEmpty(bySocket), ...own });
      await sandbox.ok(["rm", "-f", `cli/${branch}`]);
    }
  });

  test("are the configuration's, or the command's, and what the command said outlasts recreate", async () => {
    await sandbox.ok(["config", "limits.memory", "700m"]);
    await sandbox.ok(["config", "limits.pids", "500"]);
    await sandbox.ok(["run", "limits", "-d", "--memory", "600m", "--cpus", "0.5"]);
    const given = { Memory: 600 * 1024 ** 2, MemorySwap: 600 * 1024 ** 2, NanoCpus: 5e8 };
    expect(await hostConfig("limits")).toMatchObject({ ...given, PidsLimit: 500 });
    await sandbox.ok(["config", "limits.pids", "400"]);
    await sandbox.ok(["config", "security.profile", "sudo"]);
    // What is there stays as it is until it is made anew.
    await sandbox.ok(["stop", "limits"]);
    await sandbox.ok(["start", "limits"]);
    expect(await hostConfig("limits")).toMatchObject({ ...given, PidsLimit: 500 });
    await sandbox.ok(["recreate", "limits"]);
    expect(await hostConfig("limits")).toMatchObject({ ...given, PidsLimit: 400 });
    expect((await inside("limits", "sudo id -u")).stdout).toBe("0\n");
    await sandbox.ok(["recreate", "limits", "--memory", "1g", "--profile", "strict"]);
    expect(await hostConfig("limits")).toMatchObject({ Memory: gigabyte, NanoCpus: 5e8 });
    expect((await inside("limits", "sudo id -u")).code).toBe(1);
    await sandbox.ok(["undo"]);
    expect(await hostConfig("limits")).toMatchObject({ ...given, PidsLimit: 400 });
    expect((await inside("limits", "sudo id -u")).stdout).toBe("0\n");
    for (const key of ["limits.memory", "limits.pids", "security.profile"])
      await sandbox.ok(["config", "--unset", key]);
    const refused = await sandbox.hjk(["run", "limits", "-d", "--memory", "2g"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("hjk recreate limits");
    await sandbox.ok(["rm", "-f", "limits"]);
  });

  test("flags of the engine win over ours", async () => {
    const flags = ["--memory", "20g", "--cpu-quota", "50000", "--pids-limit", "100", "--shm-size", "1g"];
    await sandbox.ok(["run", "flags", "-d", "--", ...flags]);
    expect(await hostConfig("flags")).toMatchObject({
      Memory: 20 * gigabyte,
      NanoCpus: 0,
      PidsLimit: 100,
      ShmSize: gigabyte,
    });
    await sandbox.ok(["rm", "-f", "flags"]);
  });

  test.each([
    ["--memory", "4", "such as 512m or 8g"],
    ["--memory", "1m", "from 64m"],
    ["--cpus", "0", "from 0.1"],
    ["--pids", "1", "from 32"],
    ["--profile", "root", "strict, sudo"],
  ])("%s %s is refused", async (option, value, said) => {
    const refused = await sandbox.hjk(["run", "refused", "-d", option, value]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(said);
  });
});

describe("bombs", () => {
  beforeAll(async () => {
    await sandbox.ok(["run", "bombs", "-d", "--memory", "300m", "--pids", "100"]);
  });

  test("attack 43: of memory: what takes it is killed, and all else goes on", async () => {
    const bomb = `python3 -c 'x = bytearray(${gigabyte})'`;
    expect(await unprotected([], bomb)).toMatchObject({ code: 0 });
    expect((await inside("bombs", bomb)).code).toBe(137);
    expect((await inside("bombs", "echo goes on")).stdout).toBe("goes on\n");
    const { sessions, status } = await sandbox.instance("bombs");
    expect(status).toBe("running");
    expect(sessions.map((session) => session.status)).toEqual(["detached"]);
  });

  test("attack 43: of processes: it stops at the limit, and exec, stop and rm still work", async () => {
    const { container } = await sandbox.instance("bombs");
    const without = "for i in $(seq 150); do sleep 1000 & done; jobs -r | wc -l; kill $(jobs -p)";
    expect((await unprotected([], without)).stdout).toBe("150\n");
    // Each holds on to its place: so there is none for anybody else.
    const bomb = "while true; do sleep 1000 & done";
    const count = async (): Promise<number> =>
      (await runProgram(["docker", "top", container, "-eo", "pid"])).stdout.trim().split("\n").length - 1;
    await runProgram(["docker", "exec", "-d", container, "bash", "-c", bomb]);
    await eventually(
      async () => (await count()) >= 95,
      async () => `it grows: ${await count()}`,
    );
    await Bun.sleep(1000);
    expect(await count()).toBeLessThanOrEqual(100);
    expect(await sandbox.ok(["exec", "bombs", "echo", "still"])).toBe("still\n");
    const stopped = await sandbox.hjk(["stop", "bombs"]);
    expect(stopped).toMatchObject({ code: 0 });
    expect((await sandbox.instance("bombs")).status).toBe("stopped");
    await sandbox.ok(["start", "bombs"]);
    expect(await sandbox.ok(["exec", "bombs", "echo", "again"])).toBe("again\n");
    await runProgram(["docker", "exec", "-d", container, "bash", "-c", bomb]);
    await eventually(async () => (await count()) >= 95, "it grows again");
    expect(await sandbox.hjk(["rm", "-f", "bombs"])).toMatchObject({ code: 0 });
    expect((await sandbox.instances()).map(({ branch }) => branch)).not.toContain("bombs");
  });

  test("attack 42: of output: what a session prints without an end does not fill the disk", async () => {
    // The engine keeps all that a container of its own prints, on the host's disk.
    const name = `hjk-test-loud-${crypto.randomUUID().slice(0, 8)}`;
    await runProgram(["docker", "run", "--name", name, image, "sh", "-c", "yes loud | head -c 2000000"]);
    const kept = await runProgram(["docker", "logs", name]);
    await runProgram(["docker", "rm", "-f", name]);
    expect(kept.stdout).toHaveLength(2_000_000);
    const own = await runProgram(["docker", "logs", (await sandbox.instance("strict")).container]);
    expect(own.stdout).toBe("");
    await sandbox.ok([
      "exec",
      "-d",
      "-n",
      "loud",
      "strict",
      "sh",
      "-c",
      "yes loud | head -c 150000000; echo over",
    ]);
    await eventually(
      async () =>
        (await sandbox.instance("strict")).sessions.some((one) => one.name === "loud" && one.exitCode === 0),
      "it has printed all",
      100_000,
    );
    const folder = join(sandbox.folder, "hjk", "data", "logs");
    const files = await readdir(folder, { recursive: true, withFileTypes: true });
    const sizes = await Promise.all(
      files
        .filter((file) => file.isFile())
        .map(async (file) => (await stat(join(file.parentPath, file.name))).size),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(40 * 1024 ** 2);
    expect(await sandbox.ok(["logs", "strict", "loud"])).toContain("over");
  });
});
