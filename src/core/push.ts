import { resolveCommit, type Repository } from "../drivers/git/repository.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { syncInstance } from "./sync.ts";

/**
 * The words after `git` that push one branch as it is in the user's repository: to the remote named, or
 * the one that git would take. A branch that follows none yet follows it from then on.
 */
export async function pushCommand(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  remote: string | undefined,
): Promise<string[]> {
  const { branch } = instance;
  const to = remote ?? (await defaultRemote(deps, repository, branch));
  const ref = `refs/heads/${branch}`;
  const follows = (await settingOf(deps, repository, `branch.${branch}.merge`)) !== undefined;
  return ["push", ...(follows ? [] : ["--set-upstream"]), "--", to, `${ref}:${ref}`];
}

/** Brings the commits home; refuses where the branch would not have them. */
export async function syncForPush(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<void> {
  const current = deps.store.instanceById(instance.id) ?? instance;
  const { state, notice } = await syncInstance(deps, current);
  const { branch } = instance;
  const there = await resolveCommit(deps.git, repository.gitDir, `refs/heads/${branch}`);
  if (state === "home" && there !== undefined) return;
  throw new HeadjackError(`${branch} was not pushed. ${notice}`, {
    hints: ["Nothing was pushed. Put that right, and try again."],
  });
}

/** As `git push` finds it; the only one, or `origin`, where nothing is set. */
async function defaultRemote(deps: Deps, repository: Repository, branch: string): Promise<string> {
  for (const key of [`branch.${branch}.pushRemote`, "remote.pushDefault", `branch.${branch}.remote`]) {
    const value = await settingOf(deps, repository, key);
    // A branch that was made from one of the user's own follows `.`, this very repository.
    if (value !== undefined && value !== ".") return value;
  }
  const remotes = (await deps.git.run(["remote"], { cwd: repository.gitDir })).split("\n").filter(Boolean);
  const only = remotes.length === 1 ? remotes[0] : remotes.find((name) => name === "origin");
  if (only !== undefined) return only;
  throw new HeadjackError(
    remotes.length === 0
      ? `${repository.name} has no remote to push to.`
      : `${repository.name} has several remotes: ${remotes.join(", ")}.`,
    {
      kind: "usage",
      hints: [
        remotes.length === 0
          ? "Add one: git remote add origin URL"
          : `Say which: hjk push ${branch} ${remotes[0] ?? ""}`,
      ],
    },
  );
}

async function settingOf(deps: Deps, repository: Repository, key: string): Promise<string | undefined> {
  const found = await deps.git.try(["config", "--get", key], { cwd: repository.gitDir });
  return found.code === 0 ? found.stdout.trim() : undefined;
}
