import { stat, writeFile } from "node:fs/promises";
import { run } from "../drivers/process.ts";
import { HeadjackError } from "../errors.ts";
import {
  addBranch,
  addWorktree,
  checkoutFiles,
  checkoutsOf,
  deleteRef,
  forgetWorktree,
} from "../drivers/git/worktree.ts";
import { writePrivateDir } from "../drivers/git/private-dir.ts";
import {
  objectFolders,
  readSettings,
  resolveCommit,
  shallowFile,
  type Ref,
  type Repository,
} from "../drivers/git/repository.ts";
import { copyIndex, giveTo, instanceFiles, removeTree } from "../drivers/instance-files.ts";
import type { Engine } from "../drivers/engine/engine.ts";
import type { InstanceRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";

/** Where a new instance's branch starts, and whether it has to be made. */
export interface BranchStart {
  commit: string;
  /** False for a branch that is there already, also one that the user has checked out. */
  isNew: boolean;
  /** Remote branch that a new one follows, as `git checkout` would set it up. */
  upstream?: string;
}

/** Decides what a branch name means: one that exists, one of a remote, or a new one from a start. */
export async function findStart(
  deps: Deps,
  repository: Repository,
  request: { branch: string; from?: string; folder: string; refs: readonly Ref[] },
): Promise<BranchStart> {
  const { branch, from, refs } = request;
  const existing = refs.find((ref) => ref.name === `refs/heads/${branch}`);
  if (existing !== undefined) {
    if (from === undefined) return { commit: existing.oid, isNew: false };
    throw new HeadjackError(`The branch ${branch} exists already; --from is for a new one.`, {
      kind: "usage",
      hints: ["Leave --from out to go on from where the branch is, or choose another name."],
    });
  }
  if (from !== undefined) {
    const commit = await resolveCommit(deps.git, request.folder, from);
    if (commit !== undefined) return { commit, isNew: true };
    throw new HeadjackError(`There is no commit "${from}" in ${repository.name} to start from.`, {
      kind: "not-found",
      hints: ["--from takes a branch, a tag or a commit; `git branch -a` lists branches."],
    });
  }
  const remotes = refs.filter((ref) => /^refs\/remotes\/[^/]+\/(.+)$/.exec(ref.name)?.[1] === branch);
  if (remotes.length > 1) {
    const names = remotes.map((ref) => ref.name.replace("refs/remotes/", ""));
    throw new HeadjackError(`${branch} is a branch of more than one remote: ${names.join(", ")}.`, {
      kind: "usage",
      hints: [`Say which one: hjk run ${branch} --from ${names[0] ?? ""}`],
    });
  }
  if (remotes[0] !== undefined) {
    return { commit: remotes[0].oid, isNew: true, upstream: remotes[0].name.replace("refs/remotes/", "") };
  }
  const commit = await resolveCommit(deps.git, request.folder, "HEAD");
  if (commit !== undefined) return { commit, isNew: true };
  throw new HeadjackError(`The repository ${repository.name} has no commit yet.`, {
    hints: ["Make a first one: git commit --allow-empty -m start"],
  });
}

/** Name of the ref that holds an instance's commits that could not go on its branch. */
export const asideRef = (instance: Pick<InstanceRecord, "id">): string => `refs/headjack/${instance.id}/head`;

/** Whether commits of an instance stay in the repository under the ref above. */
export async function hasCommitsAside(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<boolean> {
  const found = await deps.git.try(["rev-parse", "--verify", "--quiet", asideRef(instance)], {
    cwd: repository.gitDir,
  });
  return found.code === 0;
}

/** Everything of the workspace that must be there before the container starts: branch, sealed worktree, git directory. */
export async function makeWorkspace(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  from: { refs: readonly Ref[]; upstream?: string; kept?: readonly Ref[] },
): Promise<{ finish: (add: () => Promise<void>) => Promise<void> }> {
  const { git } = deps;
  const { refs, kept = [] } = from;
  const own = new Set(kept.map(({ name }) => name));
  if (instance.branchCreated) await addBranch(git, repository, instance.branch, instance.baseCommit);
  if (from.upstream !== undefined) {
    const command = ["branch", "--quiet", `--set-upstream-to=${from.upstream}`, "--", instance.branch];
    // git does not wait for another that is writing the configuration, but fails.
    await deps.store.withLock(`config:${repository.id}`, () => git.run(command, { cwd: repository.gitDir }));
  }
  const files = instanceFiles(instanceFolder(deps, instance));
  const writeGit = async (): Promise<void> => {
    const [settings, folders, shallow] = await Promise.all([
      readSettings(git, repository.gitDir),
      objectFolders(repository),
      shallowFile(repository),
    ]);
    await writePrivateDir({
      folder: files.git,
      branch: instance.branch,
      commit: instance.baseCommit,
      repository,
      refs: [...refs.filter(({ name }) => !own.has(name)), ...kept],
      settings,
      objectFolders: folders.length,
      shallow,
    });
    await writeFile(files.copiedRefs, refs.map((ref) => `${ref.oid} ${ref.name}\n`).join(""));
  };
  const [adminFolder] = await Promise.all([
    addWorktree(git, repository, {
      folder: instance.workspace,
      commit: instance.baseCommit,
      reason: `headjack instance ${instance.id}`,
    }),
    writeGit(),
  ]);
  return {
    // The files themselves: long for a large repository, and needed only before a session starts.
    finish: async (add) => {
      await checkoutFiles(git, instance.workspace, adminFolder);
      await add();
      await copyIndex(adminFolder, files);
      if (deps.user.uid === 0)
        await giveTo(instance.user, [instance.workspace, files.git, files.state], deps.env);
    },
  };
}

/**
 * A host user who is root hands the container's user only the workspace, never the repository, so
 * that one must be able to read the repository's objects.
 */
export async function checkReadable(deps: Deps, repository: Repository): Promise<void> {
  if (deps.user.uid !== 0) return;
  for (const folder of await objectFolders(repository)) {
    const mode = (await stat(folder)).mode;
    if ((mode & 0o005) === 0o005) continue;
    throw new HeadjackError(
      `The container's user could not read the objects of ${repository.name} (${folder}).`,
      {
        hints: [
          "You are root, and the folder is closed to others. Run hjk as the repository's owner,",
          `or open it for reading: chmod -R go+rX ${folder}`,
        ],
      },
    );
  }
}

/** Removes everything of a workspace from the host and the repository; the branch stays. */
export async function removeWorkspace(
  deps: Deps,
  repository: Repository | undefined,
  instance: InstanceRecord,
  engine: Engine,
): Promise<void> {
  for (const folder of [instance.workspace, instanceFolder(deps, instance)]) {
    if (await removeTree(folder)) continue;
    await emptyAsRoot(deps, engine, instance, folder);
    await removeTree(folder);
  }
  if (repository === undefined) return;
  await forgetWorktree(deps.git, repository, instance.workspace);
}

/** Files that root made inside belong to root outside too: root in a throwaway container empties the folder. */
async function emptyAsRoot(
  deps: Deps,
  engine: Engine,
  instance: InstanceRecord,
  folder: string,
): Promise<void> {
  const command = engine.runCommand({
    name: `${instance.container}-rm`,
    image: instance.image,
    labels: {},
    environment: {},
    mounts: [{ source: folder, target: "/hjk/rm", readOnly: false }],
    user: "0:0",
    workingDir: "/",
    command: ["find", "/hjk/rm", "-mindepth", "1", "-delete"],
    network: "none",
    profile: "strict",
    limits: { pids: 64 },
    flags: ["--cap-add=DAC_OVERRIDE", "--cap-add=FOWNER"],
  });
  await run(command, { env: { ...deps.env, ...engine.environment } });
}

/** Folders of the user that have the branch of an instance checked out; none has one that was made for it. */
export async function foldersOnBranch(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<string[]> {
  return instance.branchCreated ? [] : await checkoutsOf(deps.git, repository, instance.branch);
}

/** Deletes a branch that was made for an instance that came to nothing, unless somebody has used it. */
export async function undoBranch(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<void> {
  if (!instance.branchCreated) return;
  if ((await checkoutsOf(deps.git, repository, instance.branch)).length > 0) return;
  const ref = `refs/heads/${instance.branch}`;
  await deleteRef(deps.git, repository, ref, instance.baseCommit);
  const at = { cwd: repository.gitDir };
  if ((await deps.git.try(["rev-parse", "--verify", "--quiet", ref], at)).code === 0) return;
  // As `git branch -d` does: what the branch follows goes with it.
  await deps.git.try(["config", "--remove-section", `branch.${instance.branch}`], at);
}
