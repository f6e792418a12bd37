import { constants, lstatSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile, copyFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gitTarget, lfsTarget, objectsTarget } from "./git/private-dir.ts";
import { sealedPointer } from "./git/worktree.ts";
import { run, type Environment } from "./process.ts";
import type { Mount } from "./engine/engine.ts";
import type { SeedFile } from "../agents/agent.ts";
import { seedDir, stateDir } from "../agents/agent.ts";

export const workspaceTarget = "/workspace";

/** The folders and files of one instance on the host, beside its workspace. */
export interface InstanceFiles {
  /** `<data>/instances/<id>` */
  folder: string;
  /** The private git directory. */
  git: string;
  /** Homes of the sessions' agents. */
  state: string;
  /** What a new home begins with; read-only inside. */
  seed: string;
  /** The file that is mounted over the workspace's `.git`. */
  pointer: string;
  /** An empty file, to mask what must not be read. */
  empty: string;
  /** There while a workspace that had been removed is filled again. */
  restoring: string;
  /** There while a container has been made (`create`) or started (`start`) and not been set up. */
  setUp: string;
  /** A copy of its record, for the day the store is lost. */
  record: string;
  /** Copies of the records of its sessions, for the same. */
  sessions: string;
  /** What stands in /etc/resolv.conf of a container with a gateway. */
  resolver: string;
  /** What its gateway is; absent where it has none. */
  gateway: string;
  /** The refs that the private git directory began with; out of the agent's reach. */
  copiedRefs: string;
}

export function instanceFiles(folder: string): InstanceFiles {
  return {
    folder,
    git: join(folder, "git"),
    state: join(folder, "state"),
    seed: join(folder, "seed"),
    pointer: join(folder, "dotgit"),
    empty: join(folder, "empty"),
    restoring: join(folder, "restoring"),
    setUp: join(folder, "set-up"),
    record: join(folder, "record.json"),
    sessions: join(folder, "sessions"),
    resolver: join(folder, "resolv.conf"),
    gateway: join(folder, "gateway.json"),
    copiedRefs: join(folder, "copied-refs"),
  };
}

/** Makes the folders, so that a container that mounts them can be made. */
export async function prepareInstanceFiles(
  files: InstanceFiles,
  workspace: string,
  seed: SeedFile[],
): Promise<void> {
  await mkdir(files.folder, { recursive: true, mode: 0o700 });
  await Promise.all([
    mkdir(files.git, { recursive: true }),
    mkdir(files.sessions, { recursive: true, mode: 0o700 }),
    mkdir(files.state, { recursive: true, mode: 0o700 }),
    mkdir(workspace, { recursive: true }),
    writeFile(files.pointer, `gitdir: ${gitTarget}\n`, { mode: 0o444 }),
    writeFile(files.empty, ""),
    // Where nobody listens, a name is unknown at once. The engine's own resolver would wait for seconds.
    writeFile(files.resolver, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"),
  ]);
  await writeSeed(files, seed);
}

/** Writes what a new home begins with. */
export async function writeSeed(files: InstanceFiles, seed: SeedFile[]): Promise<void> {
  await mkdir(files.seed, { recursive: true });
  await Promise.all(
    seed.map(async (file) => {
      const path = join(files.seed, file.path);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, file.content, { mode: 0o644 });
    }),
  );
}

/**
 * What an instance sees: its workspace, with `.git` masked by a read-only pointer to its private git
 * directory, and the main repository's objects, read-only.
 */
export function instanceMounts(
  files: InstanceFiles,
  options: { workspace: string; objectFolders: string[]; lfs: string; masked: string[] },
): Mount[] {
  return [
    { source: options.workspace, target: workspaceTarget, readOnly: false },
    { source: files.pointer, target: `${workspaceTarget}/.git`, readOnly: true },
    { source: files.git, target: gitTarget, readOnly: false },
    { source: files.state, target: stateDir, readOnly: false },
    { source: files.seed, target: seedDir, readOnly: true },
    ...options.objectFolders.map((source, index) => ({
      source,
      target: objectsTarget(index),
      readOnly: true,
    })),
    ...(exists(options.lfs) ? [{ source: options.lfs, target: lfsTarget, readOnly: true }] : []),
    // Its paths are the host's; git inside would complain about each at every command.
    ...options.masked.map((target) => ({ source: files.empty, target, readOnly: true })),
  ];
}

/** Paths in the container of alternates files that must be masked. */
export function alternatesToMask(objectFolders: string[]): string[] {
  return objectFolders.flatMap((folder, index) =>
    exists(join(folder, "info", "alternates")) ? [`${objectsTarget(index)}/info/alternates`] : [],
  );
}

/** Copies the index that `git worktree` made, so that the first `git status` inside need not read every file. */
export async function copyIndex(adminFolder: string, files: InstanceFiles): Promise<void> {
  await copyFile(join(adminFolder, "index"), join(files.git, "index"));
}

/** Gives the files to the container's user; needed only where the host user is root. */
export async function giveTo(user: string, folders: string[], env: Environment): Promise<void> {
  await run(["chown", "--recursive", "--no-dereference", user, "--", ...folders], { env });
}

/** Whether there is anything by that name. Not asynchronous: `hjk ps` asks for every instance, at 5 us a time. */
export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

export type SetUpStep = "create" | "start";

/** Notes, before a container starts, what has to be done in it before its first session. */
export async function noteSetUp(files: InstanceFiles, step: SetUpStep): Promise<void> {
  if (step === "create" || !exists(files.setUp)) await writeFile(files.setUp, step);
}

/** What has yet to be done in a container. */
export async function pendingSetUp(files: InstanceFiles): Promise<SetUpStep | undefined> {
  if (!exists(files.setUp)) return undefined;
  return (await readFile(files.setUp, "utf8").catch(() => "start")) === "create" ? "create" : "start";
}

export async function setUpDone(files: InstanceFiles): Promise<void> {
  await rm(files.setUp, { force: true });
}

/** Whether an instance's workspace is there, and whole. */
export function hasWorkspace(files: InstanceFiles, workspace: string): boolean {
  return exists(workspace) && !exists(files.restoring);
}

/** Removes a folder and what is in it; false when some of it belongs to a user that we may not remove for. */
export async function removeTree(folder: string): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await rm(folder, { recursive: true, force: true });
      return true;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (code === "EACCES" || code === "EPERM") return false;
      // A program that outlived the command that started it is still writing there.
      if (code !== "ENOTEMPTY" || attempt === 50) throw error;
      await Bun.sleep(100);
    }
  }
}

/**
 * Removes the locks of git commands that were ended with their container, which would keep every
 * later one from its work. Only while the container does not run: nobody can hold them then.
 */
export async function removeStaleLocks(files: InstanceFiles): Promise<void> {
  // Not those of single refs: the folders that they are in are the agent's, and may lead anywhere.
  const names = ["index.lock", "HEAD.lock", "packed-refs.lock", "config.lock"];
  await Promise.all(names.map((name) => rm(join(files.git, name), { force: true }).catch(() => undefined)));
}

/** Whether host git stops at a workspace: its pointer is the sealed one. */
export async function isSealed(workspace: string): Promise<boolean> {
  const pointer = join(workspace, ".git");
  const found = lstatSync(pointer, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size !== sealedPointer.length) return false;
  // The folder is the agent's: it may be something else by now.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  await using handle = await open(pointer, flags);
  const bytes = Buffer.alloc(sealedPointer.length);
  await handle.read(bytes, 0, bytes.length, 0);
  return bytes.toString() === sealedPointer;
}

/** Seals a workspace again; what is in the place of its pointer and is no plain file is kept under another name. */
export async function seal(workspace: string): Promise<string | undefined> {
  const pointer = join(workspace, ".git");
  const found = lstatSync(pointer, { throwIfNoEntry: false });
  let kept: string | undefined;
  if (found !== undefined && !found.isFile()) {
    kept = join(workspace, `.git-unsealed-${Date.now().toString(36)}`);
    await rename(pointer, kept);
  }
  // In place: a new file there would take the container's own pointer away, which is mounted over it.
  const mode = found?.isFile() === true ? constants.O_TRUNC : constants.O_CREAT | constants.O_EXCL;
  const flags = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | mode;
  await using handle = await open(pointer, flags, 0o644);
  await handle.writeFile(sealedPointer);
  return kept;
}

/**
 * A fingerprint of an instance's refs that changes with every commit. By `lstat` alone: the folder
 * belongs to the agent, and a file opened there by name could be anything.
 */
export function refsFingerprint(gitFolder: string, branch: string): string {
  return marksOf(gitFolder, ["HEAD", "packed-refs", join("refs", "heads", branch), join("logs", "HEAD")]);
}

/** The same for the branch in the user's own repository. */
export function branchFingerprint(gitDir: string, branch: string): string {
  return marksOf(gitDir, ["packed-refs", join("refs", "heads", branch)]);
}

function marksOf(gitFolder: string, names: string[]): string {
  const marks = names.map((name) => {
    try {
      const found = lstatSync(join(gitFolder, name));
      return `${found.ino}:${found.size}:${found.mtimeMs}`;
    } catch {
      return "-";
    }
  });
  return marks.join(" ");
}

/**
 * A sealed workspace folder where the old one has been removed, with nothing in it but what `add` puts
 * there; `files.restoring` says that it is not whole yet until whoever fills it removes that.
 */
export async function restoreWorkspace<T>(
  files: InstanceFiles,
  folder: string,
  owner: string | undefined,
  env: Environment,
  add: () => Promise<T>,
): Promise<T> {
  await writeFile(files.restoring, "");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, ".git"), sealedPointer);
  const added = await add();
  if (owner !== undefined) await giveTo(owner, [folder], env);
  return added;
}
