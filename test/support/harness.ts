import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { makeSampleRepo } from "../../scripts/lib/sample-repo.mjs";
import type { JournalEntry } from "./model-stub/journal.ts";
import type { StubLogin } from "./model-stub/logins.ts";

/** Folder of the project, and the program under test as users get it; another build of it by HEADJACK_TEST_BINARY. */
export const root = join(import.meta.dir, "..", "..");
export const binary = process.env["HEADJACK_TEST_BINARY"] ?? join(root, "dist", "hjk");

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; input, output and environment are all the test's own. */
export async function runProgram(
  command: string[],
  options: {
    cwd?: string;
    env?: Record<string, string | undefined>;
    input?: string;
    timeoutMs?: number;
  } = {},
): Promise<Output> {
  const child = Bun.spawn(command, {
    cwd: options.cwd ?? "/",
    env: options.env ?? process.env,
    stdin: options.input === undefined ? "ignore" : new TextEncoder().encode(options.input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.timeoutMs ?? 120_000,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

async function must(command: string[], cwd = "/"): Promise<string> {
  const result = await runProgram(command, { cwd });
  if (result.code !== 0) throw new Error(`${command.join(" ")} failed (${result.code}): ${result.stderr}`);
  return result.stdout;
}

/**
 * A world of a test's own: home, configuration, store, tmux server and a sample repository. Disposing
 * of it removes its instances, its tmux server and its folders, and nothing else.
 */
export class Sandbox {
  readonly folder: string;
  readonly repo: string;
  readonly env: Record<string, string | undefined>;

  private constructor(folder: string) {
    this.folder = folder;
    this.repo = join(folder, "my-app");
    this.env = {
      ...process.env,
      HOME: join(folder, "home"),
      HEADJACK_HOME: join(folder, "hjk"),
      // Whoever runs the tests may have these; the tests say themselves what there is.
      ANTHROPIC_API_KEY: undefined,
      CLAUDE_CODE_OAUTH_TOKEN: undefined,
      OPENAI_API_KEY: undefined,
      CODEX_API_KEY: undefined,
      GEMINI_API_KEY: undefined,
      OPENROUTER_API_KEY: undefined,
      OPENCODE_API_KEY: undefined,
      COPILOT_GITHUB_TOKEN: undefined,
      COPILOT_PROVIDER_API_KEY: undefined,
      GH_TOKEN: undefined,
      CODEX_HOME: undefined,
      GEMINI_CLI_HOME: undefined,
      NO_COLOR: undefined,
      // Instances and gateways would use them, too. NPM_CONFIG_REGISTRY stays: the base image was built with it.
      ...Object.fromEntries(
        Object.keys(process.env)
          .filter((name) => /^(?:PIP|UV|GO|CARGO)[A-Z_]*$|_proxy$/i.test(name))
          .map((name) => [name, undefined]),
      ),
      TMUX: undefined,
      CI: undefined,
    };
  }

  static async create(options: { stub?: ModelStub } = {}): Promise<Sandbox> {
    const folder = await mkdtemp(join(tmpdir(), "hjk-test-"));
    const sandbox = new Sandbox(folder);
    await Promise.all([mkdir(join(folder, "home")), mkdir(join(folder, "hjk"))]);
    await writeFile(
      join(folder, "home", ".gitconfig"),
      "[user]\n\tname = Ann\n\temail = ann@example.com\n[init]\n\tdefaultBranch = main\n",
    );
    makeSampleRepo(sandbox.repo);
    if (options.stub !== undefined) await sandbox.useModel(options.stub);
    return sandbox;
  }

  /** Points every agent at the stand-in for the model APIs. */
  async useModel(stub: ModelStub): Promise<void> {
    const config = {
      agents: {
        claude: { base_url: stub.url, env: { CLAUDE_CODE_OAUTH_TOKEN: "stand-in" } },
        codex: { base_url: `${stub.url}/v1` },
        gemini: { base_url: stub.url },
      },
    };
    // JSON is YAML.
    await writeFile(join(this.folder, "hjk", "config.yaml"), JSON.stringify(config));
  }

  /** Runs `hjk` without a terminal, in the sample repository unless told otherwise. */
  async hjk(
    args: string[],
    options: {
      cwd?: string;
      input?: string;
      env?: Record<string, string | undefined>;
      timeoutMs?: number;
    } = {},
  ): Promise<Output> {
    return await runProgram([binary, ...args], {
      cwd: this.repo,
      ...options,
      env: { ...this.env, ...options.env },
    });
  }

  /** Like `hjk`, but anything but success fails the test; returns stdout. */
  async ok(args: string[], options: Parameters<Sandbox["hjk"]>[1] = {}): Promise<string> {
    const result = await this.hjk(args, options);
    if (result.code !== 0)
      throw new Error(`hjk ${args.join(" ")} exited with ${result.code}:\n${result.stdout}${result.stderr}`);
    return result.stdout;
  }

  /** Runs git in the sample repository. */
  async git(...args: string[]): Promise<string> {
    const result = await runProgram(["git", ...args], { cwd: this.repo, env: this.env });
    if (result.code !== 0)
      throw new Error(`git ${args.join(" ")} exited with ${result.code}: ${result.stderr}`);
    return result.stdout.trim();
  }

  async instances(): Promise<InstanceJson[]> {
    return (JSON.parse(await this.ok(["ps", "-a", "--json"])) as { instances: InstanceJson[] }).instances;
  }

  /** Names of the containers of this world's repositories, as the engine knows them. */
  async containers(): Promise<string[]> {
    const format = '{{.Names}}\t{{.Label "headjack.repo"}}';
    const { stdout } = await runProgram(["docker", "ps", "-a", "--no-trunc", "--format", format]);
    return stdout
      .split("\n")
      .map((line) => line.split("\t"))
      .filter(([, repo = ""]) => repo.startsWith(`${this.folder}/`))
      .map(([name = ""]) => name);
  }

  /** The one instance of a branch, as `hjk ps --json` shows it. */
  async instance(branch: string): Promise<InstanceJson> {
    const found = (await this.instances()).find((instance) => instance.branch === branch);
    if (found === undefined) throw new Error(`no instance for ${branch}`);
    return found;
  }

  /** Runs a program in the container of an instance, as the given user (default: the container's own). */
  async inside(branch: string, command: string[], user?: string): Promise<Output> {
    const { container } = await this.instance(branch);
    return await runProgram([
      "docker",
      "exec",
      ...(user === undefined ? [] : ["-u", user]),
      container,
      ...command,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const listed = await this.hjk(["ps", "-a", "--json"]);
    if (listed.code === 0) {
      for (const { id } of (JSON.parse(listed.stdout) as { instances: InstanceJson[] }).instances) {
        await this.hjk(["rm", "-f", id]);
      }
    }
    // Terminals too: a test that failed has not closed its own.
    const terminals = (await readdir(this.folder)).filter((name) => name.startsWith("terminal-"));
    for (const folder of [join("hjk", "data", "run"), ...terminals])
      await runProgram(["tmux", "-S", join(this.folder, folder, "tmux"), "kill-server"]);
    // Also where the store is gone or broken, which some tests are about.
    for (const container of await this.containers()) await runProgram(["docker", "rm", "-f", container]);
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface InstanceJson {
  id: string;
  branch: string;
  status: string;
  container: string;
  image: string;
  workspace: string;
  notice: string;
  sessions: {
    name: string;
    type: string;
    status: string;
    exitCode: number | null;
    end: string | null;
    protection: string | null;
  }[];
}

/** A person at a terminal: a tmux of the test's own, with keys to press and a screen to look at. */
export class Terminal {
  readonly #socket: string;
  /** The shell adds a line with the exit code here before each prompt, which the screen does not show. */
  readonly #codes: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#socket = join(folder, "tmux");
    this.#codes = join(folder, "codes");
  }

  /** Opens a shell in the sandbox's repository with `hjk` on its PATH. */
  static async open(
    sandbox: Sandbox,
    options: {
      cols?: number;
      rows?: number;
      env?: Record<string, string | undefined>;
      /** Whether this terminal has a clipboard and titles that a program may set, as most do. */
      trusting?: boolean;
    } = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(await mkdtemp(join(sandbox.folder, "terminal-")));
    const config = join(terminal.#folder, "tmux.conf");
    await writeFile(terminal.#codes, "");
    await writeFile(
      config,
      [
        "set -g status off",
        // Otherwise Ctrl+B is this tmux's own.
        "set -g prefix None",
        "set -g default-terminal tmux-256color",
        "set -as terminal-features ',*:RGB'",
        "set -s escape-time 0",
        ...(options.trusting === true ? ["set -s set-clipboard on", "set -g allow-passthrough on"] : []),
        "",
      ].join("\n"),
    );
    const env = {
      ...sandbox.env,
      PATH: `${join(root, "dist")}:${process.env["PATH"] ?? ""}`,
      PS1: "$ ",
      PROMPT_COMMAND: `echo $? >> ${terminal.#codes}`,
      HISTFILE: undefined,
      ...options.env,
    };
    const size = ["-x", String(options.cols ?? 100), "-y", String(options.rows ?? 35)];
    // The command word by word: as one text it would go through a shell, which drops PS1.
    const shell = ["bash", "--norc", "--noprofile"];
    const started = await runProgram(
      ["tmux", "-u", "-S", terminal.#socket, "-f", config, "new-session", "-d", ...size, ...shell],
      { cwd: sandbox.repo, env },
    );
    if (started.code !== 0) throw new Error(`tmux: ${started.stderr}`);
    await terminal.waitFor(/\$$/);
    return terminal;
  }

  /** Types a line and presses Enter. */
  async type(line: string): Promise<void> {
    await this.#tmux("send-keys", "-l", "--", line);
    await this.#tmux("send-keys", "Enter");
  }

  /** Presses keys by tmux's names, as `C-b` or `d`. */
  async press(...keys: string[]): Promise<void> {
    for (const key of keys) await this.#tmux("send-keys", key);
  }

  /** Runs one command of the shell to its end, on an empty screen; returns what it showed and its exit code. */
  async run(line: string, timeoutMs = 60_000): Promise<{ code: number; screen: string }> {
    await this.clear();
    return await this.ends(() => this.type(line), timeoutMs);
  }

  /** Does something that brings the shell's prompt back; returns the screen above it and the exit code. */
  async ends(act: () => Promise<void>, timeoutMs = 60_000): Promise<{ code: number; screen: string }> {
    const before = (await this.#exitCodes()).length;
    await act();
    await eventually(
      async () => (await this.#exitCodes()).length > before,
      async () => `the prompt comes back; the terminal shows:\n${await this.screen()}`,
      timeoutMs,
    );
    const code = Number((await this.#exitCodes()).at(-1));
    const screen = await this.waitFor(/\$$/);
    return { code, screen: screen.replace(/^\$ .*\n/, "").replace(/\n?\$$/, "") };
  }

  async #exitCodes(): Promise<string[]> {
    return (await Bun.file(this.#codes).text()).split("\n").filter((line) => line !== "");
  }

  /** Detaches as the tutorial says: Ctrl+B, then d. */
  async detach(): Promise<{ code: number; screen: string }> {
    return await this.ends(() => this.press("C-b", "d"));
  }

  /** What the screen shows; with `colours`, as the terminal would be told to draw it. */
  async screen(options: { colours?: boolean } = {}): Promise<string> {
    const flags = options.colours === true ? ["-e"] : [];
    return (await this.#tmux("capture-pane", "-p", "-J", ...flags)).trimEnd();
  }

  /** Waits until the screen shows something; fails with the screen as it is. */
  async waitFor(wanted: string | RegExp, timeoutMs = 30_000): Promise<string> {
    let screen = "";
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await Bun.sleep(100)) {
      screen = await this.screen();
      if (typeof wanted === "string" ? screen.includes(wanted) : wanted.test(screen)) return screen;
    }
    throw new Error(`the terminal never showed ${String(wanted)}; it shows:\n${screen}`);
  }

  /** Empties the screen; at the shell's prompt only. */
  async clear(): Promise<void> {
    await this.press("C-l");
    await this.waitFor(/^\$$/);
  }

  async resize(size: { cols: number; rows: number }): Promise<void> {
    await this.#tmux("resize-window", "-x", String(size.cols), "-y", String(size.rows));
  }

  /** Keeps every byte that reaches this terminal from now on; the answer reads them. */
  async tap(): Promise<() => Promise<string>> {
    const file = join(this.#folder, `tap-${crypto.randomUUID()}`);
    await writeFile(file, "");
    await this.#tmux("pipe-pane", `cat >> '${file}'`);
    return async () => Buffer.from(await Bun.file(file).bytes()).toString("latin1");
  }

  /** A value of tmux's about this terminal, as `#{pane_title}`. */
  async ask(format: string): Promise<string> {
    return (await this.#tmux("display-message", "-p", format)).trimEnd();
  }

  /** What programs have put on this terminal's clipboard. */
  async clipboard(): Promise<string> {
    return await this.#tmux("show-buffer");
  }

  async close(): Promise<void> {
    await this.#tmux("kill-server");
  }

  async #tmux(...args: string[]): Promise<string> {
    return (await runProgram(["tmux", "-u", "-S", this.#socket, ...args])).stdout;
  }
}

const stubPort = 8790;

/** The stand-in for the model APIs, in a container of its own. */
export class ModelStub {
  readonly url: string;
  readonly #container: string;

  private constructor(container: string, url: string) {
    this.#container = container;
    this.url = url;
  }

  static async start(env: Record<string, string> = {}): Promise<ModelStub> {
    const container = `hjk-test-stub-${crypto.randomUUID().slice(0, 8)}`;
    const variables = Object.entries({
      MODEL_STUB_PORT: String(stubPort),
      MODEL_STUB_PAUSE_MS: "100",
      MODEL_STUB_DUMP: "/tmp/bodies",
      ...env,
    });
    await must([
      "docker",
      "run",
      "--detach",
      "--rm",
      "--init",
      `--name=${container}`,
      `--volume=${join(root, "test", "support", "model-stub")}:/stub:ro`,
      ...variables.map(([name, value]) => `--env=${name}=${value}`),
      await baseImageTag(),
      "node",
      "/stub/server.ts",
    ]);
    const address = (
      await must([
        "docker",
        "inspect",
        "-f",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        container,
      ])
    ).trim();
    const stub = new ModelStub(container, `http://${address}:${stubPort}`);
    await eventually(async () => (await fetch(`${stub.url}/_health`)).ok, "the stand-in model answers");
    return stub;
  }

  /** What the agents have sent, newest last. */
  async requests(): Promise<
    { method: string; url: string; headers: Record<string, string>; model?: string; prompt?: string }[]
  > {
    return (await (await fetch(`${this.url}/_requests`)).json()) as Awaited<
      ReturnType<ModelStub["requests"]>
    >;
  }

  /** When the model was at work and how each answer ended, oldest first. */
  async journal(): Promise<JournalEntry[]> {
    return (await (await fetch(`${this.url}/_journal`)).json()) as JournalEntry[];
  }

  /** The bodies of all requests, one after the other: for what the model was told. */
  async bodies(): Promise<string> {
    return await must(["docker", "exec", this.#container, "sh", "-c", "cat /tmp/bodies/*"]);
  }

  /** What the servers know of the logins with ChatGPT and Google; `change` is what they know from now on. */
  async logins(
    change: Record<string, Partial<StubLogin>> = {},
  ): Promise<Record<"chatgpt" | "google", StubLogin>> {
    // A connection of its own: one that was kept may be closed at this very moment.
    const response = await fetch(`${this.url}/_logins`, {
      method: "POST",
      body: JSON.stringify(change),
      keepalive: false,
    });
    return (await response.json()) as Awaited<ReturnType<ModelStub["logins"]>>;
  }

  async stop(): Promise<void> {
    await runProgram(["docker", "rm", "-f", this.#container]);
  }
}

/** Name of the base image as `hjk` itself makes it; `scripts/test.mjs` has built it. */
export async function baseImageTag(): Promise<string> {
  const { baseImage } = await import("../../src/drivers/base-image.ts");
  const { containerUser } = await import("../../src/core/container.ts");
  const user = containerUser({ user: { uid: process.getuid?.() ?? 1000, gid: process.getgid?.() ?? 1000 } });
  const { defaultImage } = await import("../../src/agents/versions.ts");
  return (await baseImage(process.env, user, defaultImage)).tag;
}

/** Name of the image of the gateways as `hjk` itself makes it. */
export async function gatewayImageTag(): Promise<string> {
  const { gatewayImage } = await import("../../src/drivers/base-image.ts");
  return (await gatewayImage(process.env)).tag;
}

/** Waits until something becomes true; `what` may look again at what is there instead. */
export async function eventually(
  check: () => Promise<boolean> | boolean,
  what: string | (() => Promise<string>),
  timeoutMs = 30_000,
): Promise<void> {
  let last: unknown;
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await Bun.sleep(100)) {
    try {
      if (await check()) return;
    } catch (error) {
      last = error;
    }
  }
  const wanted = typeof what === "string" ? what : await what();
  throw new Error(
    `not within ${timeoutMs / 1000} s: ${wanted}${last === undefined ? "" : ` (${messageOf(last)})`}`,
  );
}
