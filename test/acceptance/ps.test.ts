import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeSampleRepo } from "../../scripts/lib/sample-repo.mjs";
import { eventually, root, runProgram, Sandbox, Terminal } from "../support/harness.ts";

/* What `ps` and its like print, for people and for programs; help, completion and the other small commands. */

setDefaultTimeout(60_000);

const isoTime = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";

let sandbox: Sandbox;
let terminal: Terminal;
let otherRepo: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  otherRepo = join(sandbox.folder, "other-app");
  makeSampleRepo(otherRepo);
  terminal = await Terminal.open(sandbox);
  await sandbox.ok(["run", "feat/search", "-d", "--name", "first"]);
  await sandbox.ok(["exec", "-d", "-n", "tests", "feat/search", "sh", "-c", "exit 3"]);
  await sandbox.ok(["run", "fix/typo", "-d", "--name", "second"], { cwd: otherRepo });
  await eventually(
    async () => (await sandbox.instance("feat/search")).sessions.at(-1)?.status === "exited",
    "the tests end",
  );
});

afterAll(async () => {
  await terminal.close();
  await sandbox[Symbol.asyncDispose]();
});

interface Listing {
  instances: { sessions: object[] }[];
}

/** Commands with --json and what they are asked here. */
const jsonCommands: [name: string, args: string[]][] = [
  ["ps <branch>", ["ps", "feat/search"]],
  ...["df", "usage", "agents", "config", "setup", "doctor", "version"].map((name): [string, string[]] => [
    name,
    [name],
  ]),
  ...["diff", "history", "net log", "ports"].map((name): [string, string[]] => [
    name,
    [...name.split(" "), "feat/search"],
  ]),
];

describe("ps for a program", () => {
  test("is separated by tabs, with times in full and no colour", async () => {
    const listed = await sandbox.ok(["ps"]);
    expect(listed).toMatch(
      new RegExp(
        `^BRANCH\\tSTATUS\\tSESSIONS\\tCREATED\\tACTIVITY\\nfeat/search\\trunning\\t1\\t${isoTime}\\t\\n$`,
      ),
    );
    expect(await sandbox.ok(["ls"])).toBe(listed);
    expect(await sandbox.ok(["list"])).toBe(listed);
    expect(await sandbox.ok(["ps", "feat/search"])).toMatch(
      new RegExp(
        "^SESSION\\tTYPE\\tSTATUS\\tCREATED\\tACCESSED\\tACTIVITY\\tEXIT\\n" +
          `first\\tshell\\tdetached\\t${isoTime}\\t${isoTime}\\t\\t\\n` +
          `tests\\tshell\\texited\\t${isoTime}\\t${isoTime}\\t\\t3\\n$`,
      ),
    );
  });

  test("--json has the documented shape", async () => {
    const time = expect.stringMatching(new RegExp(`^${isoTime}$`)) as unknown as string;
    const session = {
      type: "shell",
      createdAt: time,
      accessedAt: time,
      activity: null,
      resumable: false,
      protection: null,
    };
    const first = { ...session, name: "first", status: "detached", endedAt: null, exitCode: null, end: null };
    const tests = { ...session, name: "tests", status: "exited", endedAt: time, exitCode: 3, end: "exited" };
    const { container, image, workspace } = await sandbox.instance("feat/search");
    expect(JSON.parse(await sandbox.ok(["ps", "--json"]))).toEqual({
      version: 1,
      instances: [
        {
          id: expect.stringMatching(/^[0-9a-f]{6,}$/),
          branch: "feat/search",
          status: "running",
          repository: join(sandbox.repo, ".git"),
          container,
          image,
          profile: "strict",
          isolation: "container",
          workspace,
          createdAt: time,
          notice: "",
          activity: null,
          base: { branch: "main", ahead: 0, behind: 0 },
          uncommitted: null,
          conflicts: [],
          sessions: [first, tests],
        },
      ],
    });
    expect(JSON.parse(await sandbox.ok(["ps", "feat/search", "--json"]))).toEqual({
      version: 1,
      branch: "feat/search",
      sessions: [first, tests],
    });
  });

  test("docs/cli.md has the fields of every command's --json", async () => {
    const page = await readFile(join(root, "docs", "cli.md"), "utf8");
    const example = JSON.parse(/^`hjk ps --json`:\s+```json\n(.*?)```/ms.exec(page)?.[1] ?? "") as Listing;
    const real = JSON.parse(await sandbox.ok(["ps", "--json"])) as Listing;
    const keys = ({ instances: [instance] }: Listing): string[][] => [
      Object.keys(instance ?? {}),
      Object.keys(instance?.sessions[0] ?? {}),
    ];
    expect(keys(example)).toEqual(keys(real));
    for (const [name, args] of jsonCommands) {
      const { stdout } = await sandbox.hjk([...args, "--json"]);
      const listed = new RegExp(`^\`hjk ${name} --json\`: \`\\{ (.*?) \\}\``, "m").exec(page)?.[1];
      expect([name, Object.keys(JSON.parse(stdout) as object)]).toEqual([name, listed?.split(", ") ?? []]);
    }
  });

  test("an empty list is a header, or an empty array", async () => {
    await using empty = await Sandbox.create();
    expect(await empty.ok(["ps"])).toBe("BRANCH\tSTATUS\tSESSIONS\tCREATED\tACTIVITY\n");
    expect(JSON.parse(await empty.ok(["ps", "--json"]))).toEqual({ version: 1, instances: [] });
    const fresh = await Terminal.open(empty);
    expect((await fresh.run("hjk ps")).screen).toStartWith("No instances here. Make one: hjk run <branch>");
    await fresh.close();
  });
});

/** A second later something may have another age. */
const ageless = (screen: string): string => screen.replaceAll(/ +(?:just now|\d+s ago) +/g, " then ");

describe("ps for a person", () => {
  test("lists the instances of this repository, and with -a of all, with where they are", async () => {
    const { screen } = await terminal.run("hjk ps");
    expect(screen).toMatch(/^BRANCH +STATUS +SESSIONS +CREATED\nfeat\/search +running +1 +\S.*$/);
    const all = await terminal.run("hjk ps -a");
    expect(all.screen).toMatch(
      /^BRANCH +STATUS +SESSIONS +CREATED +REPO\nfeat\/search +running +1 +\S.* {2}my-app\nfix\/typo +running +1 +\S.* {2}other-app$/,
    );
    expect(ageless((await terminal.run("cd / && hjk ps")).screen)).toBe(ageless(all.screen));
    expect((await terminal.run(`cd ${otherRepo} && hjk ps`)).screen).toMatch(
      /^BRANCH.*CREATED\nfix\/typo .*$/,
    );
    await terminal.run(`cd ${sandbox.repo}`);
    // Elsewhere an instance can be named by its id.
    const { id } = await sandbox.instance("fix/typo");
    expect((await terminal.run(`hjk ps ${id}`)).screen).toMatch(/^second +shell +detached/m);
    expect((await sandbox.hjk(["ps", "fix/typo"])).code).toBe(3);
  });

  test("--watch shows what changes, and leaves the terminal as it was", async () => {
    const bytes = await terminal.tap();
    await terminal.clear();
    await terminal.type("hjk ps --watch feat/search");
    await terminal.waitFor("Ctrl+C ends");
    await sandbox.ok(["exec", "-d", "-n", "newcomer", "feat/search", "sleep", "1000"]);
    const screen = await terminal.waitFor(/^newcomer +shell +detached/m);
    // Drawn anew, not below.
    expect(screen.match(/SESSION/g)).toHaveLength(1);
    await sandbox.ok(["kill", "feat/search/newcomer"]);
    await eventually(async () => !(await terminal.screen()).includes("newcomer"), "it vanishes again");
    const { code } = await terminal.ends(() => terminal.press("C-c"));
    expect(code).toBe(130);
    const drawn = await bytes();
    expect(drawn.lastIndexOf("\u001b[?25h")).toBeGreaterThan(drawn.lastIndexOf("\u001b[?25l"));
    expect(await terminal.ask("#{cursor_flag}")).toBe("1");
  });

  test("a container or a workspace removed by hand is shown as missing", async () => {
    await sandbox.ok(["run", "gone", "-d"]);
    const { container, id } = await sandbox.instance("gone");
    await runProgram(["docker", "rm", "-f", container]);
    expect(await sandbox.ok(["ps"])).toMatch(/^gone\tmissing\t/m);
    expect((await sandbox.hjk(["rm", "-f", "gone"])).stdout).toBe(`Removed instance ${id} for branch gone\n`);
  });
});

describe("help", () => {
  test("every command explains itself, with an example", async () => {
    const overview = await sandbox.ok(["--help"]);
    const names = [...overview.matchAll(/^ {2}([a-z]+)[ |].* {2}\S/gm)].map((match) => match[1] ?? "");
    expect(names.length).toBeGreaterThanOrEqual(17);
    for (const name of names) {
      const help = await sandbox.ok([name, "--help"]);
      expect(help).toStartWith(`Usage: hjk ${name}`);
      // In its own words: an example that runs this very command.
      expect(help).toMatch(new RegExp(`^Examples?:\\n(.*\\n)*.*\\bhjk ${name}\\b`, "m"));
    }
    expect(await sandbox.ok([])).toBe(overview);
  });

  test("a typing error gets what was probably meant", async () => {
    const cases: [string[], number, string][] = [
      [["pss"], 2, "Did you mean ps?"],
      [["ps", "--jsn"], 2, "Did you mean --json?"],
      [["logs", "feat/serch"], 3, "Did you mean feat/search?"],
      [["logs", "feat/search", "frist"], 3, "Did you mean first?"],
      [["auth", "cluade"], 2, "Did you mean claude?"],
      [["config", "default.agnet"], 2, 'Did you mean "default.agent"?'],
    ];
    for (const [args, code, hint] of cases) {
      const result = await sandbox.hjk(args);
      expect({ args, code: result.code, stdout: result.stdout }).toEqual({ args, code, stdout: "" });
      expect(result.stderr).toContain(hint);
    }
  });
});

/** A shell in the terminal that loads the script as its users are told to. */
async function completing(shell: string, load: string, check: (shell: Terminal) => Promise<void>) {
  const fresh = await Terminal.open(sandbox, { env: { HISTFILE: "/dev/null" } });
  await fresh.type(`clear; ${shell}`);
  await fresh.waitFor(/[$%>#]$/);
  await fresh.type(load);
  // Also for fish, which has no $?.
  await fresh.type("true && echo loaded");
  const screen = await fresh.waitFor(/^loaded$/m);
  expect(screen).not.toMatch(/error|not found/i);
  await check(fresh);
  await fresh.close();
}

async function types(shell: Terminal, line: string, becomes: string): Promise<void> {
  for (const key of line) await shell.press(key === " " ? "Space" : key);
  await shell.press("Tab");
  await shell.waitFor(becomes);
  await shell.press("C-u");
}

async function checkAll(shell: Terminal): Promise<void> {
  await types(shell, "hjk recr", "hjk recreate");
  await types(shell, "hjk stop fea", "hjk stop feat/search");
  await types(shell, "hjk logs feat/search fir", "hjk logs feat/search first");
  await types(shell, "hjk kill feat/search/f", "hjk kill feat/search/first");
  await types(shell, "hjk ps --wat", "hjk ps --watch");
}

describe("completion", () => {
  test("in bash", async () => {
    await completing("bash --norc --noprofile", "source <(hjk completion bash)", async (shell) => {
      await checkAll(shell);
      // Bash itself cuts words at these characters.
      await sandbox.ok(["run", "fix/a=b@c", "-d"]);
      await types(shell, "hjk stop fix/a=", "hjk stop fix/a=b@c");
      await sandbox.ok(["rm", "-f", "fix/a=b@c"]);
      // Loaded again, as when ~/.bashrc is.
      await shell.type("clear; source <(hjk completion bash); echo again $?");
      expect(await shell.waitFor(/^again \d/m)).not.toContain("readonly");
    });
  });

  test.skipIf(Bun.which("zsh") === null)("in zsh (skipped where it is not installed)", async () => {
    const load = "autoload -U compinit && compinit -u && source <(hjk completion zsh)";
    await completing("zsh -f", load, checkAll);
  });

  test.skipIf(Bun.which("fish") === null)("in fish (skipped where it is not installed)", async () => {
    await completing("fish --no-config", "hjk completion fish | source", checkAll);
  });

  test("an unknown shell is refused", async () => {
    const result = await sandbox.hjk(["completion", "tcsh"]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain("Shells: bash, zsh, fish");
  });
});

describe("config, version, doctor", () => {
  test("config shows each value and where it comes from", async () => {
    const file = join(sandbox.folder, "hjk", "config.yaml");
    await sandbox.ok(["config", "default.agent", "gemini"]);
    const env = { HEADJACK_BASE_IMAGE: "debian:12" };
    const rows = (await sandbox.ok(["config"], { env })).trimEnd().split("\n");
    expect(rows[0]).toBe("KEY\tVALUE\tSOURCE");
    expect(rows).toContain("default.agent\tgemini\tconfig.yaml:2:10");
    expect(rows).toContain("default.base_image\tdebian:12\tHEADJACK_BASE_IMAGE");
    expect(rows).toContain("runtime.name\tdocker\tdefault");
    expect(await sandbox.ok(["config", "default.agent"])).toBe("gemini\n");
    expect(JSON.parse(await sandbox.ok(["config", "--json"]))).toMatchObject({ version: 1, file });
    await sandbox.ok(["config", "--unset", "default.agent"]);
    expect(await sandbox.ok(["config", "default.agent"])).toBe("claude\n");
  });

  test("version names what is used", async () => {
    expect(await sandbox.ok(["version"])).toMatch(
      /^hjk \d+\.\d+\.\d+\ngit \d\S*\ntmux \d\S*\nengine docker \d\S*\n$/,
    );
    const json = JSON.parse(await sandbox.ok(["version", "--json"])) as Record<string, unknown>;
    expect(Object.keys(json)).toEqual(["version", "hjk", "git", "tmux", "engine"]);
    expect(await sandbox.ok(["--version"])).toBe(`${String(json["hjk"])}\n`);
  });

  test("doctor finds a sound machine sound, and says what is wrong with another", async () => {
    const { code, stdout } = await sandbox.hjk(["doctor"]);
    expect({ code, stdout }).toMatchObject({ code: 0 });
    for (const what of ["git", "tmux", "store", "engine", "base image", "configuration"])
      expect(stdout).toMatch(new RegExp(`^ok +${what}: `, "m"));
    const broken = await sandbox.hjk(["doctor", "--json"], { env: { DOCKER_HOST: "unix:///nowhere.sock" } });
    expect(broken.code).toBe(1);
    const { version, findings } = JSON.parse(broken.stdout) as {
      version: number;
      findings: { what: string; state: string; hint?: string }[];
    };
    expect(version).toBe(1);
    expect(findings.find((finding) => finding.what === "engine")).toMatchObject({ state: "problem" });
  });
});
