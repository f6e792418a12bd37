import { mkdtemp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram, type Output, type Sandbox } from "./harness.ts";

/** Runs git on the host with the sandbox's settings; a failure fails the test. */
export async function gitIn(sandbox: Sandbox, folder: string, ...args: string[]): Promise<string> {
  const result = await runProgram(["git", ...args], { cwd: folder, env: sandbox.env });
  if (result.code !== 0) throw new Error(`git ${args.join(" ")} in ${folder}: ${result.stderr}`);
  return result.stdout.trim();
}

/** The environment for a `hjk` that runs a line of shell before each call of git, which is git itself all the same. */
export async function wrapGit(sandbox: Sandbox, line: string): Promise<{ PATH: string; real_git: string }> {
  const folder = await mkdtemp(join(sandbox.folder, "git-"));
  const script = `#!/bin/sh\n${line}\nexec "$real_git" "$@"\n`;
  await writeFile(join(folder, "git"), script, { mode: 0o755 });
  return { PATH: `${folder}:${sandbox.env["PATH"] ?? ""}`, real_git: Bun.which("git") ?? "" };
}

/**
 * An instance under test. It asks the engine, the files and git, never `hjk`: that would bring the
 * commits home, which is what many tests wait for.
 */
export class Instance {
  readonly sandbox: Sandbox;
  readonly repo: string;
  readonly branch: string;
  readonly id: string;
  readonly container: string;

  constructor(sandbox: Sandbox, made: { repo: string; branch: string; id: string; container: string }) {
    this.sandbox = sandbox;
    this.repo = made.repo;
    this.branch = made.branch;
    this.id = made.id;
    this.container = made.container;
  }

  /** `hjk run <branch> -d ...`, its session then ended: what happens afterwards is the test's own doing. */
  static async make(
    sandbox: Sandbox,
    branch: string,
    options: { repo?: string; flags?: string[] } = {},
  ): Promise<Instance> {
    const repo = options.repo ?? sandbox.repo;
    const out = await sandbox.ok(["run", branch, "-d", "--name", "first", ...(options.flags ?? [])], {
      cwd: repo,
    });
    const id = /^Created instance (\w+) /m.exec(out)?.[1];
    if (id === undefined) throw new Error(`no instance was made:\n${out}`);
    const container = (await sandbox.containers()).find((name) => name.endsWith(`-${id}`)) ?? "";
    await sandbox.ok(["kill", `${id}/first`], { cwd: repo });
    return new Instance(sandbox, { repo, branch, id, container });
  }

  /** Folders of the instance on the host. */
  get workspace(): Promise<string> {
    return this.#mountOf("/workspace");
  }
  get gitDir(): Promise<string> {
    return this.#mountOf("/hjk/git");
  }

  async #mountOf(target: string): Promise<string> {
    const format = `{{range .Mounts}}{{if eq .Destination "${target}"}}{{.Source}}{{end}}{{end}}`;
    return (await runProgram(["docker", "inspect", "-f", format, this.container])).stdout.trim();
  }

  /** Runs a script in the container, whatever comes of it. */
  async try(script: string, user?: string): Promise<Output> {
    const as = user === undefined ? [] : ["-u", user];
    return await runProgram(["docker", "exec", ...as, this.container, "bash", "-ec", script]);
  }

  /** Runs a script in the container; a failure fails the test. */
  async inside(script: string, user?: string): Promise<string> {
    const result = await this.try(script, user);
    if (result.code !== 0) throw new Error(`in the container (${result.code}): ${script}\n${result.stderr}`);
    return result.stdout.trim();
  }

  /** Commits a file in the container; returns the new commit. */
  async commit(file: string, content = file): Promise<string> {
    const script = `mkdir -p "$(dirname '${file}')"; printf '%s\\n' '${content}' > '${file}'`;
    return await this.inside(`${script}; git add -A; git commit -qm 'add ${file}'; git rev-parse HEAD`);
  }

  async hjk(command: string, ...args: string[]): Promise<Output> {
    return await this.sandbox.hjk([command, this.id, ...args], { cwd: this.repo });
  }

  async git(...args: string[]): Promise<string> {
    return await gitIn(this.sandbox, this.repo, ...args);
  }

  /** Where a ref of the user's repository is; empty when there is none. */
  async at(ref = `refs/heads/${this.branch}`): Promise<string> {
    const found = await runProgram(["git", "rev-parse", "--verify", "--quiet", ref], {
      cwd: this.repo,
      env: this.sandbox.env,
    });
    return found.stdout.trim();
  }

  /** Brings commits home by `hjk ps`; returns what it says about this instance. */
  async sync(): Promise<string> {
    return (await this.view()).notice;
  }

  async view(): Promise<{ notice: string; status: string; workspace: string }> {
    const found = (await this.sandbox.instances()).find((one) => one.id === this.id);
    if (found === undefined) throw new Error(`hjk ps does not list ${this.branch}`);
    return found;
  }

  async remove(): Promise<void> {
    await this.sandbox.ok(["rm", "-f", this.id], { cwd: this.repo });
  }
}

/**
 * What of a repository's git directory an instance must not change: every name, kind, mode, owner and
 * content, one line each. Objects apart, which may be added to; folders of refs too, which git leaves
 * behind when they are empty.
 */
export async function fingerprintOf(gitDir: string): Promise<string[]> {
  const outside = ["-path", "./objects", "-prune", "-o"];
  const folders = ["-path", "./refs/*", "-type", "d", "-o", "-path", "./logs/refs/*", "-type", "d", "-o"];
  const names = await runProgram(["find", ".", ...outside, ...folders, "-printf", "%p %y %m %U:%G %l\n"], {
    cwd: gitDir,
  });
  const hashes = await runProgram(["find", ".", ...outside, "-type", "f", "-exec", "sha256sum", "{}", "+"], {
    cwd: gitDir,
  });
  return [...names.stdout.split("\n"), ...hashes.stdout.split("\n")].filter((line) => line !== "").toSorted();
}

/** Every object file with its hash. */
export async function objectsOf(gitDir: string): Promise<string[]> {
  const found = await runProgram(["find", "objects", "-type", "f", "-exec", "sha256sum", "{}", "+"], {
    cwd: gitDir,
  });
  return found.stdout
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();
}

/** Everything that instances leave on this machine; empty when all are gone. */
export async function leftovers(sandbox: Sandbox, repo = sandbox.repo): Promise<string[]> {
  const data = join(sandbox.folder, "hjk", "data");
  const below = async (folder: string): Promise<string[]> => {
    const found = await readdir(join(data, folder), { recursive: true, withFileTypes: true }).catch(() => []);
    // The folder that groups a repository's worktrees stays.
    return found
      .filter((entry) => !(folder === "worktrees" && entry.parentPath === join(data, folder)))
      .map((entry) => join(entry.parentPath, entry.name));
  };
  const pipes = (await below("run")).filter((file) => file.endsWith(".env"));
  const worktrees = (await gitIn(sandbox, repo, "worktree", "list", "--porcelain"))
    .split("\n")
    .filter((line) => line.startsWith("worktree ") && line.includes("/hjk/data/"));
  const refs = await gitIn(sandbox, repo, "for-each-ref", "--format=%(refname)", "refs/headjack");
  const admin = await readdir(join(await commonDir(sandbox, repo), "worktrees")).catch(() => []);
  const screens = await runProgram(["tmux", "-S", join(data, "run", "tmux"), "list-sessions", "-F", "#S"]);
  return [
    ...(await sandbox.containers()).map((name) => `container ${name}`),
    ...worktrees,
    ...admin.filter((name) => /-[0-9a-f]{6}-[0-9a-f]{6,}$/.test(name)).map((name) => `admin ${name}`),
    // Snapshots stay, so that what was removed can be had again.
    ...refs.split("\n").filter((ref) => ref !== "" && !/\/(snapshots|staged|kept)\/\d+/.test(ref)),
    ...(screens.code === 0 ? screens.stdout.split("\n").filter((line) => line !== "") : []),
    ...pipes,
    ...(await below("worktrees")),
    ...(await below("instances")),
    ...(await below("logs")),
  ];
}

async function commonDir(sandbox: Sandbox, repo: string): Promise<string> {
  return await gitIn(sandbox, repo, "rev-parse", "--path-format=absolute", "--git-common-dir");
}
