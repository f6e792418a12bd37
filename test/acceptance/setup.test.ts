import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { baseImageTag, runProgram, Sandbox, Terminal } from "../support/harness.ts";

/* What a repository may ask for in its .headjack.yaml, and that nothing of it happens before the user has approved it. */

setDefaultTimeout(180_000);

let sandbox: Sandbox;
/** In the lines, so that no image of an earlier run of this test is found. */
const mark = crypto.randomUUID();

beforeAll(async () => {
  sandbox = await Sandbox.create();
  Object.assign(sandbox.env, { ANTHROPIC_API_KEY: "sk-not-in-an-image" });
});

afterAll(async () => {
  const before = await setupImages();
  await sandbox[Symbol.asyncDispose]();
  for (const image of before) await runProgram(["docker", "rmi", image]);
});

/** Commits what the repository asks for; returns the commit. */
async function ask(config: object | string): Promise<string> {
  // JSON is YAML.
  const text = typeof config === "string" ? config : JSON.stringify(config);
  await writeFile(join(sandbox.repo, ".headjack.yaml"), text);
  await sandbox.git("add", ".headjack.yaml");
  await sandbox.git("commit", "--quiet", "-m", "ask");
  return await sandbox.git("rev-parse", "HEAD");
}

/** Names of the images with a setup that this world has made. */
async function setupImages(): Promise<string[]> {
  const format = "{{.Repository}}:{{.Tag}} {{.ID}}";
  const { stdout } = await runProgram(["docker", "images", "headjack-setup", "--format", format]);
  const own: string[] = [];
  for (const line of stdout.split("\n").filter((one) => one !== "")) {
    const [name = ""] = line.split(" ");
    const { stdout: history } = await runProgram([
      "docker",
      "history",
      "--no-trunc",
      "--format",
      "{{.CreatedBy}}",
      name,
    ]);
    if (history.includes(mark)) own.push(name);
  }
  return own;
}

const profileOf = async (branch: string): Promise<unknown> =>
  ((await sandbox.instance(branch)) as unknown as { profile: unknown }).profile;

describe("setup", () => {
  const lines = [
    `echo ${mark} > /opt/mark; id -u > /opt/who; find /workspace > /opt/files || true; env > /opt/env`,
    "printf '%s\\n' 'a # b' \"c\" > /opt/text # a comment\n[ -s /opt/text ] && echo two lines >> /opt/text",
  ];

  test("is refused with what it would do, and nothing is made, where nobody can be asked", async () => {
    await ask({ setup: lines });
    const refused = await sandbox.hjk(["run", "one", "-d"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(`  $ echo ${mark} > /opt/mark; id -u > /opt/who`);
    expect(refused.stderr).toContain("  | [ -s /opt/text ] && echo two lines");
    expect(refused.stderr).toContain("hjk setup --approve --from");
    expect(await sandbox.instances()).toEqual([]);
    expect(await sandbox.git("branch", "--list", "one")).toBe("");
    expect(await setupImages()).toEqual([]);
  });

  test("is asked for at a terminal; no is no", async () => {
    const terminal = await Terminal.open(sandbox, { cols: 120 });
    await terminal.type("hjk run one -d");
    await terminal.waitFor("Let it? [y/N]");
    const ended = await terminal.ends(() => terminal.type(""));
    expect(ended.code).toBe(2);
    expect(ended.screen).toContain("you have not approved what the repository asks for");
    expect(await setupImages()).toEqual([]);
    await terminal.close();
  });

  test("once approved it is run as root, without files and secrets, and seen to go on; the agent is no root", async () => {
    expect(await sandbox.ok(["setup"])).toContain(`$ echo ${mark}`);
    expect(JSON.parse(await sandbox.ok(["setup", "--json"]))).toMatchObject({
      setup: lines,
      approved: false,
    });
    await sandbox.ok(["setup", "--approve"]);
    expect(JSON.parse(await sandbox.ok(["setup", "--json"]))).toMatchObject({ approved: true });
    const made = await sandbox.hjk(["run", "one", "-d"]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toMatch(/building headjack-setup:[0-9a-f]{12} with the repository's setup/);
    const show = "cat /opt/mark /opt/who /opt/files /opt/text; id -u";
    const user = String(process.getuid?.() === 0 ? 1000 : process.getuid?.());
    expect((await sandbox.inside("one", ["sh", "-c", show])).stdout).toBe(
      `${mark}\n0\n/workspace\na # b\nc\ntwo lines\n${user}\n`,
    );
    expect((await sandbox.inside("one", ["cat", "/opt/env"])).stdout).not.toContain("sk-not-in-an-image");
    expect((await sandbox.inside("one", ["claude", "--version"])).stdout).toContain("Claude Code");
  });

  test("is done once for all instances, and counted; another content is asked for anew", async () => {
    const again = await sandbox.hjk(["run", "two", "-d"]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).not.toContain("building");
    const { image } = await sandbox.instance("one");
    expect((await sandbox.instance("two")).image).toBe(image);
    expect(await setupImages()).toEqual([image]);
    const { shared } = JSON.parse(await sandbox.ok(["df", "--json"])) as { shared: { setupImages: number } };
    expect(shared.setupImages).toBeGreaterThan(0);
    await ask({ setup: [...lines, "true"] });
    expect((await sandbox.hjk(["run", "three", "-d"])).code).toBe(2);
    const without = await sandbox.hjk(["run", "three", "-d", "--no-setup"]);
    expect(without).toMatchObject({ code: 0 });
    expect((await sandbox.inside("three", ["ls", "/opt"])).stdout).toBe("");
    await sandbox.ok(["rm", "-f", "three"]);
  });

  test("attack 8: is that of the commit where the branch began, whatever an agent has committed since", async () => {
    const script = `echo '{"setup":["touch /opt/by-agent"]}' > .headjack.yaml && git commit -qam agent && git log -1 --format=%H`;
    await sandbox.inside("one", ["sh", "-c", script]);
    const made = await sandbox.hjk(["recreate", "one"]);
    expect(made).toMatchObject({ code: 0 });
    expect((await sandbox.inside("one", ["ls", "/opt"])).stdout).toBe("env\nfiles\nmark\ntext\nwho\n");
    // A branch that begins at the agent's commit is another matter.
    const next = await sandbox.hjk(["run", "next", "-d", "--from", "one"]);
    expect(next).toMatchObject({ code: 2, stdout: "" });
    expect(next.stderr).toContain("touch /opt/by-agent");
  });

  test("goes on top of the image that was chosen, which is told from it", async () => {
    const base = (await sandbox.instance("one")).image;
    await sandbox.ok(["recreate", "one", "--base", "debian:bookworm-slim"]);
    expect((await sandbox.instance("one")).image).not.toBe(base);
    expect((await sandbox.inside("one", ["sh", "-c", "cat /opt/mark; command -v node"])).stdout).toBe(
      `${mark}\n`,
    );
    expect(await sandbox.hjk(["run", "one", "-d", "--image", "debian:bookworm-slim"])).toMatchObject({
      code: 0,
    });
    const other = await sandbox.hjk(["run", "one", "-d", "--image", "debian:other"]);
    expect(other).toMatchObject({ code: 2, stdout: "" });
    await sandbox.ok(["undo"]);
    expect((await sandbox.instance("one")).image).toBe(base);
  });

  test("goes with gc when no instance uses it, and is made again", async () => {
    expect(await setupImages()).toHaveLength(2);
    await sandbox.ok(["gc"]);
    expect(await setupImages()).toEqual([(await sandbox.instance("one")).image]);
    await sandbox.ok(["rm", "-f", "one", "two"]);
    expect(await sandbox.ok(["gc", "--dry-run"])).toContain("Would remove image headjack-setup:");
    await sandbox.ok(["gc"]);
    expect(await setupImages()).toEqual([]);
    await sandbox.ok(["run", "again", "-d", "--from", "HEAD~1"]);
    expect((await sandbox.inside("again", ["cat", "/opt/mark"])).stdout).toBe(`${mark}\n`);
    await sandbox.ok(["rm", "-f", "again"]);
  });

  test("is done after a yes at the terminal", async () => {
    await ask({ setup: [`: ${mark}; touch /opt/yes`] });
    const terminal = await Terminal.open(sandbox, { cols: 120 });
    await terminal.type("hjk run yes -d");
    await terminal.waitFor("Let it? [y/N]");
    const ended = await terminal.ends(() => terminal.type("y"));
    expect(ended.screen).toContain("Created instance");
    expect(ended.code).toBe(0);
    await terminal.close();
    expect((await sandbox.inside("yes", ["ls", "/opt"])).stdout).toBe("yes\n");
    await sandbox.ok(["rm", "-f", "yes"]);
  });

  test("gets packages where the user does, without the credentials for that", async () => {
    await ask({ setup: [`: ${mark}; npm config get registry > /opt/registry; env > /opt/env`] });
    await sandbox.ok(["setup", "--approve"]);
    const env = { npm_config_registry: "http://ann:secret-word@mirror.example.test/npm/" };
    await sandbox.ok(["run", "mirror", "-d"], { env });
    expect((await sandbox.inside("mirror", ["cat", "/opt/registry"])).stdout).toBe(
      "http://mirror.example.test/npm/\n",
    );
    const { image } = await sandbox.instance("mirror");
    const history = await runProgram(["docker", "history", "--no-trunc", image]);
    const known = (await sandbox.inside("mirror", ["cat", "/opt/env"])).stdout + history.stdout;
    expect(known).toContain("mirror.example.test");
    expect(known).not.toContain("secret-word");
    // It is the user's, and not the image's.
    await sandbox.ok(["recreate", "mirror"]);
    expect((await sandbox.inside("mirror", ["env"])).stdout).not.toContain("mirror.example.test");
    await sandbox.ok(["rm", "-f", "mirror"]);
  });

  test("that fails ends with what it has printed, and nothing is made", async () => {
    await ask({ setup: [`: ${mark}; echo this is why >&2; exit 7`] });
    await sandbox.ok(["setup", "--approve"]);
    const failed = await sandbox.hjk(["run", "fails", "-d"]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain("this is why");
    expect(failed.stderr).toContain("hjk setup");
    expect(await sandbox.instances()).toEqual([]);
    const { stdout } = await runProgram(["docker", "ps", "-a", "--no-trunc", "--format", "{{.Command}}"]);
    expect(stdout).not.toContain(mark);
  });
});

describe("security.profile of a repository", () => {
  test("narrows the user's own unasked", async () => {
    await ask("security:\n  profile: strict\n");
    await sandbox.ok(["config", "security.profile", "sudo"]);
    await sandbox.ok(["run", "narrow", "-d"]);
    expect(await profileOf("narrow")).toBe("strict");
    // What is said for one instance is.
    await sandbox.ok(["recreate", "narrow", "--profile", "sudo"]);
    expect(await profileOf("narrow")).toBe("sudo");
    await sandbox.ok(["config", "--unset", "security.profile"]);
  });

  test("is wider only once that is approved", async () => {
    await ask("security:\n  profile: sudo\n");
    const refused = await sandbox.hjk(["run", "wide", "-d"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("the profile sudo: its agents may become root in their container");
    await sandbox.ok(["run", "kept", "-d", "--profile", "strict"]);
    expect(await profileOf("kept")).toBe("strict");
    await sandbox.ok(["setup", "--approve"]);
    await sandbox.ok(["run", "wide", "-d"]);
    expect(await profileOf("wide")).toBe("sudo");
    expect((await sandbox.inside("wide", ["sudo", "id", "-u"])).stdout).toBe("0\n");
  });
});

describe("network of a repository", () => {
  const host = "files.example.test";

  /** Why the gateway of an instance refuses a host; empty where it does not. */
  async function refusal(branch: string, name = host): Promise<string> {
    const asks = `curl -sS -m 20 -o /dev/null -D - http://${name}/ | sed -n 's/^x-hjk-deny: //p' | tr -d '\\r\\n'`;
    return (await sandbox.inside(branch, ["bash", "-c", asks])).stdout;
  }

  /** A server under the host's name in the network of an instance, which is a private one. */
  async function serveIn(branch: string): Promise<Disposable> {
    const { container } = await sandbox.instance(branch);
    const name = `${container}-web`;
    const serve = `require("http").createServer((q, s) => s.end("there")).listen(80)`;
    const started = await runProgram(
      ["docker", "run", "--detach", "--rm", "--user=0:0", `--name=${name}`, `--network=${container}`].concat([
        `--network-alias=${host}`,
        await baseImageTag(),
        "node",
        "-e",
        serve,
      ]),
    );
    expect(started).toMatchObject({ code: 0 });
    return { [Symbol.dispose]: () => void Bun.spawnSync(["docker", "rm", "-f", name]) };
  }

  test("a narrower mode counts at once; a wider one is asked for, and refused without a terminal", async () => {
    await ask({ network: { mode: "none" } });
    await sandbox.ok(["config", "network.allow", host]);
    await sandbox.ok(["run", "none", "-d"]);
    expect(await refusal("none")).toBe("not-allowed");
    await sandbox.ok(["config", "network.mode", "open"]);
    await ask({ network: { mode: "allowlist", allow: ["other.example.test"] } });
    await sandbox.ok(["run", "list", "-d"]);
    expect(await refusal("list", "unknown.example.test")).toBe("not-allowed");
    expect(await refusal("list", "other.example.test")).toBe("dns");
    await sandbox.ok(["config", "--unset", "network.mode"]);
    await ask({ network: { mode: "open" } });
    const refused = await sandbox.hjk(["run", "open", "-d"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("network.mode open: every public host (yours is allowlist)");
    await sandbox.ok(["run", "open", "-d", "--no-setup"]);
    expect(await refusal("open", "unknown.example.test")).toBe("not-allowed");
    await sandbox.ok(["setup", "--approve"]);
    await sandbox.ok(["recreate", "open"]);
    expect(await refusal("open", "unknown.example.test")).toBe("dns");
    // Narrower than what it was approved under: the user's own counts again.
    await sandbox.ok(["config", "network.mode", "none"]);
    await sandbox.ok(["stop", "open"]);
    await sandbox.ok(["start", "open"]);
    expect(await refusal("open", "unknown.example.test")).toBe("not-allowed");
    await sandbox.ok(["config", "--unset", "network.mode"]);
    await sandbox.ok(["config", "--unset", "network.allow"]);
    await sandbox.ok(["rm", "-f", "none", "list", "open"]);
  });

  test("a host is let through once approved, and never where it lies in a private network", async () => {
    await ask({ network: { allow: [host] } });
    const refused = await sandbox.hjk(["run", "hosts", "-d"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(`to reach these hosts: ${host}`);
    expect(JSON.parse(await sandbox.ok(["setup", "--json"]))).toMatchObject({
      network: { mode: null, allow: [host] },
      approved: false,
    });
    await sandbox.ok(["run", "hosts", "-d", "--no-setup"]);
    {
      using _ = await serveIn("hosts");
      expect(await refusal("hosts")).toBe("not-allowed");
    }
    await sandbox.ok(["setup", "--approve"]);
    await sandbox.ok(["recreate", "hosts"]);
    using _ = await serveIn("hosts");
    expect(await refusal("hosts")).toBe("address");
    // What an agent has committed allows nothing, and what the user allows may lie anywhere.
    const more = `echo '{"network":{"mode":"open"}}' > .headjack.yaml && git commit -qam agent`;
    await sandbox.inside("hosts", ["sh", "-c", more]);
    await sandbox.ok(["stop", "hosts"]);
    await sandbox.ok(["start", "hosts"]);
    expect(await refusal("hosts", "unknown.example.test")).toBe("not-allowed");
    await sandbox.ok(["net", "allow", "hosts", host]);
    expect(await refusal("hosts")).toBe("");
    // What the user allows for all instances need not be asked for.
    await sandbox.ok(["config", "network.allow", host]);
    expect(JSON.parse(await sandbox.ok(["setup", "--json"]))).toMatchObject({ network: { allow: [] } });
    await sandbox.ok(["config", "--unset", "network.allow"]);
  });
});

describe("a .headjack.yaml that is not one", () => {
  test.each([
    ["[", "wrong"],
    ["runtime:\n  flags: --privileged\n", 'unknown key "runtime"'],
    ["agents:\n  own:\n    command: x\n", 'unknown key "agents"'],
    ["setup: {a: b}\n", "setup: expected a list of texts, found a section."],
    ["security:\n  profile: root\n", "expected one of strict, sudo."],
    ["network:\n  mode: all\n", "expected one of allowlist, open, none."],
    ["network:\n  allow: [10.1.2.3]\n", "network.allow: expected names of hosts"],
    ["network:\n  allow: [nas]\n", "network.allow: expected names of public hosts"],
    ["network:\n  proxy: http://x.test\n", 'unknown key "network.proxy"'],
  ])("%j is refused, with its place", async (text, said) => {
    await ask(text);
    const refused = await sandbox.hjk(["run", "odd", "-d"]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain(".headjack.yaml at ");
    if (said !== "wrong") expect(refused.stderr).toContain(said);
    expect((await sandbox.instances()).map(({ branch }) => branch)).not.toContain("odd");
  });

  test("one that is too large is refused", async () => {
    await ask({ setup: ["x".repeat(70_000)] });
    const refused = await sandbox.hjk(["run", "odd", "-d"]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain(".headjack.yaml at ");
    expect(refused.stderr).toContain("is larger than 64 kB");
  });

  test("a link is not followed, and escape sequences do not reach the terminal", async () => {
    await runProgram(["ln", "-sf", "/etc/passwd", join(sandbox.repo, ".headjack.yaml")]);
    await sandbox.git("add", ".headjack.yaml");
    await sandbox.git("commit", "--quiet", "-m", "link");
    const linked = await sandbox.hjk(["run", "linked", "-d"]);
    expect(linked.stderr).toContain("expected a section of keys, found a string");
    await runProgram(["rm", join(sandbox.repo, ".headjack.yaml")]);
    await ask({ setup: ["echo \u001b]52;c;QQ==\u0007 \u202e hidden"] });
    const shown = await sandbox.hjk(["setup"]);
    for (const one of ["\u001b", "\u0007", "\u202e"]) expect(shown.stdout + shown.stderr).not.toContain(one);
    expect(shown.stdout).toContain("hidden");
  });
});
