import { existsSync } from "node:fs";
import { readFile, statfs, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { HeadjackError } from "../../errors.ts";
import { ProcessError, type RunResult } from "../process.ts";
import { lasting, type Git } from "./git.ts";
import type { Repository } from "./repository.ts";

/** Pointer of a worktree while an instance lives: host git stops there and reads nothing an agent wrote. */
export const sealedPointer = "gitdir: /nonexistent/hjk-sealed\n";

/** Index features that a second reader, the instance's own git, would not understand. */
const plainIndex = [
  "-c",
  "core.splitIndex=false",
  "-c",
  "core.untrackedCache=false",
  "-c",
  "core.fsmonitor=false",
  "-c",
  "core.sparseCheckout=false",
];

/** Free bytes below which a failure to write is put down to that. */
const fullBelowBytes = 1024 * 1024;

/** How often, and after how many milliseconds, git is asked again to do something with worktrees. */
const worktreeAttempts = 20;
const worktreePauseMs = 50;

/**
 * Runs `git worktree`. It looks at every worktree of the repository, and fails when one is made or
 * removed at that moment, by another `hjk` or by the user: then it is asked again.
 */
async function gitWorktree(git: Git, repository: Repository, args: string[]): Promise<RunResult> {
  for (let attempt = 1; ; attempt += 1) {
    const result = await git.try(["worktree", ...args], { cwd: repository.gitDir });
    // "Invalid path '.../worktrees/b': No such file or directory", "failed to read worktrees/b/commondir: Success"
    const disturbed = result.code !== 0 && /\bworktrees\//.test(result.stderr);
    if (!disturbed || attempt === worktreeAttempts) return result;
    await Bun.sleep(worktreePauseMs);
  }
}

function succeeded(result: RunResult): string {
  if (result.code !== 0) throw new ProcessError(["git"], "exit", result);
  return result.stdout;
}

/**
 * Makes the worktree without its files: detached, so that `git checkout` of the branch stays possible
 * in the main repository; locked, so that `git worktree prune` leaves it alone; sealed.
 * Returns its administrative folder inside the repository.
 */
export async function addWorktree(
  git: Git,
  repository: Repository,
  worktree: { folder: string; commit: string; reason: string },
): Promise<string> {
  succeeded(
    await gitWorktree(git, repository, [
      "add",
      "--quiet",
      "--no-checkout",
      "--detach",
      "--lock",
      "--reason",
      worktree.reason,
      "--",
      worktree.folder,
      worktree.commit,
    ]),
  );
  const pointer = join(worktree.folder, ".git");
  // Relative where the user has set `worktree.useRelativePaths`.
  const adminFolder = resolve(
    worktree.folder,
    (await readFile(pointer, "utf8")).replace(/^gitdir: /, "").trim(),
  );
  await writeFile(pointer, sealedPointer);
  return adminFolder;
}

/** Fills the worktree with the files of its commit. */
export async function checkoutFiles(git: Git, folder: string, adminFolder: string): Promise<void> {
  try {
    // Submodules stay empty, also for a user whose `submodule.recurse` is set.
    await git.run([...plainIndex, "read-tree", "--no-recurse-submodules", "-m", "-u", "HEAD"], {
      cwd: folder,
      env: { GIT_DIR: adminFolder, GIT_WORK_TREE: folder },
    });
  } catch (error) {
    // git names every file it could not write, and not why.
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize > fullBelowBytes) throw error;
    throw new HeadjackError(`The disk is full: the files of the branch do not fit into ${folder}.`, {
      cause: error,
      hints: [
        "Make room, or keep the worktrees on another disk: hjk config storage.worktrees /other/disk/worktrees",
      ],
    });
  }
}

/**
 * Moves the worktree's own HEAD: git prunes nothing that it reaches, and no ref of ours is in sight of
 * the user. The folder itself is not touched.
 */
export async function moveHead(
  git: Git,
  repository: Repository,
  folder: string,
  commit: string,
): Promise<void> {
  await git.try(["update-ref", "--no-deref", "HEAD", commit], {
    cwd: "/",
    env: { GIT_DIR: adminFolderOf(repository, folder) },
  });
}

/** The commit that the worktree's own HEAD is at; undefined when git does not know the worktree. */
export async function headOf(git: Git, repository: Repository, folder: string): Promise<string | undefined> {
  const found = await git.try(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], {
    cwd: "/",
    env: { GIT_DIR: adminFolderOf(repository, folder) },
  });
  return found.code === 0 ? found.stdout.trim() : undefined;
}

/** Folders of the worktrees that were locked for a reason, each with it. */
export async function lockedWorktrees(
  git: Git,
  repository: Repository,
): Promise<{ folder: string; reason: string }[]> {
  const text = succeeded(await gitWorktree(git, repository, ["list", "--porcelain", "-z"]));
  const found: { folder: string; reason: string }[] = [];
  let folder = "";
  for (const line of text.split("\0")) {
    if (line.startsWith("worktree ")) folder = line.slice("worktree ".length);
    else if (line.startsWith("locked ")) found.push({ folder, reason: line.slice("locked ".length) });
  }
  return found;
}

/** git names it after the worktree's folder, and ours are unique. */
function adminFolderOf(repository: Repository, folder: string): string {
  return join(repository.gitDir, "worktrees", basename(folder));
}

/** Forgets the worktree, if it is still known; its folder must be gone already. */
export async function forgetWorktree(git: Git, repository: Repository, folder: string): Promise<void> {
  const result = await gitWorktree(git, repository, ["remove", "--force", "--force", "--", folder]);
  if (existsSync(adminFolderOf(repository, folder))) succeeded(result);
}

/** Folders of the user's worktrees that have the branch checked out; not those whose folder is gone. */
export async function checkoutsOf(git: Git, repository: Repository, branch: string): Promise<string[]> {
  const text = succeeded(await gitWorktree(git, repository, ["list", "--porcelain", "-z"]));
  const folders: string[] = [];
  let folder = "";
  for (const line of text.split("\0")) {
    if (line.startsWith("worktree ")) folder = line.slice("worktree ".length);
    else if (line === `branch refs/heads/${branch}` && existsSync(folder)) folders.push(folder);
  }
  return folders;
}

/** Whether no file of a worktree of the user's is changed; what is not tracked does not count. */
export async function isClean(git: Git, folder: string): Promise<boolean> {
  const status = await git.try(["status", "--porcelain", "--untracked-files=no"], { cwd: folder });
  return status.code === 0 && status.stdout === "";
}

/**
 * Moves the branch that a worktree of the user's has checked out forward, and its files with it. True when
 * that is done, false when the branch is no longer where it was; otherwise git's reason, and nothing was done.
 */
export async function followBranch(
  git: Git,
  folder: string,
  move: { from: string; to: string; why: string },
): Promise<true | false | string> {
  const head = await git.run(["rev-parse", "HEAD"], { cwd: folder });
  if (head.trim() !== move.from) return false;
  const result = await git.try([...lasting, "merge", "--ff-only", "--quiet", move.to], {
    cwd: folder,
    env: { GIT_REFLOG_ACTION: move.why },
  });
  return result.code === 0 ? true : result.stderr.trim();
}

/** Whether git's reason is one that it meets only while it writes files: those written before it are there. */
export const stoppedHalfway = (reason: string): boolean =>
  /^(error|fatal): (unable to (write|create|unlink)|failed to write|cannot create)\b/m.test(reason);

/** Moves a ref from an old value to a new one; false when it is no longer at the old one. */
export async function moveRef(
  git: Git,
  repository: Repository,
  ref: { name: string; to: string; from: string; why: string },
): Promise<boolean> {
  const result = await git.try([...lasting, "update-ref", "-m", ref.why, ref.name, ref.to, ref.from], {
    cwd: repository.gitDir,
  });
  return result.code === 0;
}

/** Makes a branch at a commit; explains when another branch's name is in the way (`feat` and `feat/a`). */
export async function addBranch(
  git: Git,
  repository: Repository,
  branch: string,
  commit: string,
): Promise<void> {
  const result = await git.try(
    ["update-ref", "-m", "branch: Created by hjk run", `refs/heads/${branch}`, commit, ""],
    {
      cwd: repository.gitDir,
    },
  );
  if (result.code === 0) return;
  const blocking = /'refs\/heads\/([^']+)' exists; cannot create/.exec(result.stderr)?.[1];
  throw new HeadjackError(
    blocking === undefined
      ? `git did not make the branch ${branch}: ${result.stderr.trim()}`
      : `Cannot make the branch ${branch}: git cannot have it beside the branch ${blocking}.`,
    { hints: blocking === undefined ? [] : ["Choose another name, or rename the other branch."] },
  );
}

/** Deletes a ref if it still has the value; silent when it does not. */
export async function deleteRef(
  git: Git,
  repository: Repository,
  name: string,
  value?: string,
): Promise<void> {
  await git.try(["update-ref", "-d", name, ...(value === undefined ? [] : [value])], {
    cwd: repository.gitDir,
  });
}
