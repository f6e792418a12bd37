import { ProcessError, run } from "../drivers/process.ts";
import { gitTarget } from "../drivers/git/private-dir.ts";
import { exists } from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/store.ts";
import { helperSpec, repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { homeRef } from "./workspace.ts";

/** What removing an instance would lose for good. */
export interface Loss {
  /** Changed, staged and untracked files that are in no commit; paths in the workspace. */
  files: string[];
  /** Commits that are on no branch of the user's repository, one line each. */
  commits: string[];
  /** Why it could not be found out; then everything may be lost. */
  unknown?: string;
}

/** Refs given to git on its command line at most, which the system limits. */
const maxTips = 1000;

/**
 * Asks the instance's own git what is only there. It runs where the files are: in the container, or
 * in a throwaway one for a stopped instance; never on the host.
 */
export async function findLoss(deps: Deps, instance: InstanceRecord): Promise<Loss> {
  try {
    const repository = await repositoryOf(deps, instance);
    const refs = await deps.git.run(
      ["for-each-ref", `--count=${maxTips}`, "--format=%(objectname) %(refname)"],
      { cwd: repository.gitDir },
    );
    const known = refs
      .split("\n")
      // That one goes with the instance.
      .filter((line) => line !== "" && !line.endsWith(` ${homeRef(instance)}`))
      .map((line) => line.slice(0, line.indexOf(" ")));
    const files = exists(instance.workspace)
      ? await gitInside(deps, instance, ["status", "--porcelain=v1", "-z", "--untracked-files=all"], {
          workspace: true,
        })
      : "";
    const log = [
      `--git-dir=${gitTarget}`,
      "log",
      "--no-show-signature",
      "--format=%h %s",
      // Branches, stashes and tags made inside; those that were copied are reached from the keep commit.
      "HEAD",
      "--all",
      "--not",
      ...known,
      instance.baseCommit,
    ];
    const commits = await gitInside(deps, instance, log, { workspace: false });
    return { files: parseStatus(files), commits: commits.split("\n").filter((line) => line !== "") };
  } catch (error) {
    return { files: [], commits: [], unknown: error instanceof Error ? error.message : String(error) };
  }
}

async function gitInside(
  deps: Deps,
  instance: InstanceRecord,
  args: string[],
  needs: { workspace: boolean },
): Promise<string> {
  const engine = await deps.engine();
  const command = ["git", "--no-optional-locks", ...args];
  if ((await engine.inspect(instance.container))?.running === true) {
    const result = await engine.exec(instance.container, command, { timeoutMs: 60_000 });
    if (result.code !== 0) throw new ProcessError(["git"], "exit", result);
    return result.stdout;
  }
  const helper = engine.runCommand(await helperSpec(deps, instance, command, needs));
  return (await run(helper, { env: { ...deps.env, ...engine.environment }, timeoutMs: 60_000 })).stdout;
}

/** Paths of `git status --porcelain=v1 -z`: two letters, a space, the path; a rename adds the old one. */
function parseStatus(text: string): string[] {
  const fields = text.split("\0");
  const paths: string[] = [];
  for (let index = 0; index < fields.length; index += 1) {
    const field = fields[index] ?? "";
    if (field.length < 4) continue;
    paths.push(field.slice(3));
    if (field[0] === "R" || field[0] === "C") index += 1;
  }
  return paths;
}
