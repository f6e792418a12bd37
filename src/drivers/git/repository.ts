import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { HeadjackError } from "../../errors.ts";
import type { Git } from "./git.ts";

/** A repository of the user's, as much of it as an instance needs. */
export interface Repository {
  /** Hash of the git directory's path. */
  id: string;
  /** Absolute path of the common git directory. */
  gitDir: string;
  /** Name for people: the folder's. */
  name: string;
  objectFormat: "sha1" | "sha256";
}

export interface Ref {
  /** Full name, `refs/heads/main`. */
  name: string;
  oid: string;
  /** What an annotated tag points at; empty otherwise. */
  peeled: string;
}

/**
 * Finds the repository that holds `folder`, also from a linked worktree or a bare repository. `isKnown`
 * says that it has been found before, and that the folder is its git directory.
 */
export async function openRepository(git: Git, folder: string, isKnown = false): Promise<Repository> {
  const found = await git.try(
    ["rev-parse", "--path-format=absolute", "--git-common-dir", "--show-object-format"],
    { cwd: folder, discover: !isKnown },
  );
  if (found.code !== 0) {
    if (/dubious ownership/.test(found.stderr)) {
      throw new HeadjackError(`git refuses the repository at ${folder}: it belongs to another user.`, {
        hints: [`If you trust it: git config --global --add safe.directory ${folder}`],
      });
    }
    throw new HeadjackError(`${folder} is not in a git repository.`, {
      kind: "usage",
      hints: ["Go to your project's folder, or make one: `git init && git commit --allow-empty -m start`."],
    });
  }
  const [gitDir = "", objectFormat] = found.stdout.trim().split("\n");
  return {
    id: repositoryId(gitDir),
    gitDir,
    name: repositoryName(gitDir),
    objectFormat: objectFormat === "sha256" ? "sha256" : "sha1",
  };
}

function repositoryId(gitDir: string): string {
  return new Bun.CryptoHasher("sha256").update(gitDir).digest("hex").slice(0, 12);
}

function repositoryName(gitDir: string): string {
  return basename(gitDir) === ".git" ? basename(dirname(gitDir)) : basename(gitDir).replace(/\.git$/, "");
}

/** Every branch, remote branch and tag, sorted by name. */
export async function listRefs(git: Git, repository: Repository): Promise<Ref[]> {
  const format = "--format=%(objectname) %(*objectname) %(refname)";
  const text = await git.run(["for-each-ref", format, "refs/heads", "refs/remotes", "refs/tags"], {
    cwd: repository.gitDir,
  });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [oid = "", peeled = "", ...name] = line.split(" ");
      return { name: name.join(" "), oid, peeled };
    });
}

/** The commit that a name means; undefined when there is none. */
export async function resolveCommit(git: Git, folder: string, name: string): Promise<string | undefined> {
  const found = await git.try(["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`], {
    cwd: folder,
  });
  return found.code === 0 ? found.stdout.trim() : undefined;
}

/**
 * Text of a file at a commit; undefined where there is none. A link is the path that it leads to, and
 * nothing is followed.
 */
export async function fileAt(
  git: Git,
  repository: Repository,
  commit: string,
  path: string,
  maxBytes: number,
): Promise<string | undefined> {
  const name = `${commit}:${path}`;
  const at = { cwd: repository.gitDir };
  const size = await git.try(["cat-file", "-s", name], at);
  if (size.code !== 0) return undefined;
  if (Number(size.stdout) > maxBytes) {
    throw new HeadjackError(`${path} at ${commit.slice(0, 12)} is larger than ${maxBytes / 1024} kB.`);
  }
  return await git.run(["cat-file", "blob", name], at);
}

/**
 * Whether a ref of the repository holds a commit; HEADs of worktrees do not count. By `rev-list`, since
 * `for-each-ref --contains` walks the history once for each ref, which takes half a minute for 50,000.
 */
export async function isHeld(git: Git, repository: Repository, name: string): Promise<boolean> {
  const command = ["rev-list", "--max-count=1", `${name}^{commit}`, "--not", "--glob=refs/*"];
  const found = await git.try(command, { cwd: repository.gitDir });
  return found.code === 0 && found.stdout === "";
}

/** Settings of the user's that the instance's own git directory takes over; nothing else is copied. */
export interface GitSettings {
  userName?: string;
  userEmail?: string;
  /** The repository lacks objects that it would fetch on demand. */
  partialClone: boolean;
  /** `core.autocrlf` and the like, which decide how files look. */
  core: Record<string, string>;
}

const copiedCoreKeys = [
  "core.autocrlf",
  "core.eol",
  "core.safecrlf",
  "core.ignorecase",
  "core.precomposeunicode",
];

export async function readSettings(git: Git, folder: string): Promise<GitSettings> {
  const pattern = "^(user\\.(name|email)|core\\..*|extensions\\.partialclone)$";
  const found = await git.try(["config", "--null", "--get-regexp", pattern], { cwd: folder });
  const settings: GitSettings = { partialClone: false, core: {} };
  for (const entry of found.stdout.split("\0")) {
    const [key = "", ...rest] = entry.split("\n");
    const value = rest.join("\n");
    if (key === "user.name") settings.userName = value;
    else if (key === "user.email") settings.userEmail = value;
    else if (key === "extensions.partialclone") settings.partialClone = true;
    else if (copiedCoreKeys.includes(key)) settings.core[key] = value;
  }
  return settings;
}

/** Object folders of the repository: its own, then those it borrows from, however deep. */
export async function objectFolders(repository: Repository): Promise<string[]> {
  const folders = [join(repository.gitDir, "objects")];
  for (let index = 0; index < folders.length; index += 1) {
    const folder = folders[index] ?? "";
    for (const line of await readLines(join(folder, "info", "alternates"))) {
      const borrowed = resolve(folder, line);
      if (!folders.includes(borrowed)) folders.push(borrowed);
    }
  }
  return folders;
}

/** Commits at which a shallow clone's history was cut; empty for a whole one. */
export async function shallowFile(repository: Repository): Promise<string> {
  return (await readLines(join(repository.gitDir, "shallow"))).map((line) => `${line}\n`).join("");
}

async function readLines(file: string): Promise<string[]> {
  try {
    return (await readFile(file, "utf8")).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  } catch {
    return [];
  }
}

/** Whether git itself would take the name for a branch. */
export async function isBranchName(git: Git, name: string): Promise<boolean> {
  return (await git.try(["check-ref-format", "--branch", name], { cwd: "/" })).code === 0;
}
