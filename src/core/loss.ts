import { gitTarget } from "../drivers/git/private-dir.ts";
import { exists } from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/records.ts";
import { repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { gitInside, refsMadeInside } from "./inside.ts";

/** What is only in an instance. */
export interface Loss {
  /** Changed, staged and untracked files that are in no commit of the agent's; paths in the workspace. */
  files: string[];
  /** Commits that are on no branch of the user's repository, one line each. */
  commits: string[];
  /** Why it could not be found out; then everything may be lost. */
  unknown?: string;
}

/** Refs given to git on its command line at most, which the system limits. */
const maxTips = 1000;

/** Asks the instance's own git what is only there. */
export async function findLoss(deps: Deps, instance: InstanceRecord): Promise<Loss> {
  try {
    const repository = await repositoryOf(deps, instance);
    const tips = async (...which: string[]): Promise<string[]> => {
      const listed = await deps.git.run(["for-each-ref", "--format=%(objectname)", ...which], {
        cwd: repository.gitDir,
      });
      return listed.split("\n").filter((oid) => oid !== "");
    };
    // Its own first: where there are very many, they may not be among those that there is room for.
    const own = await tips(`refs/heads/${instance.branch}`, `refs/headjack/${instance.id}`);
    const known = new Set([...own, ...(await tips(`--count=${maxTips}`))].slice(0, maxTips));
    const files = await uncommittedFiles(deps, instance);
    const made = (await refsMadeInside(deps, instance)).map(({ oid }) => oid);
    const log = [
      "log",
      "--no-show-signature",
      "--format=%h %s",
      "HEAD",
      ...new Set(made.slice(0, maxTips)),
      "--not",
      ...known,
      instance.baseCommit,
    ];
    const commits = await gitInside(deps, instance, [`--git-dir=${gitTarget}`, ...log], { workspace: false });
    return { files, commits: commits.split("\n").filter((line) => line !== "") };
  } catch (error) {
    return { files: [], commits: [], unknown: error instanceof Error ? error.message : String(error) };
  }
}

/** Changed, staged and untracked files of the workspace that are in no commit. */
export async function uncommittedFiles(deps: Deps, instance: InstanceRecord): Promise<string[]> {
  if (!exists(instance.workspace)) return [];
  const status = ["status", "--porcelain=v1", "-z", "--untracked-files=all"];
  const look = { instanceId: instance.id, head: instance.head, at: deps.now() };
  const files = parseStatus(await gitInside(deps, instance, status, { workspace: true }));
  deps.store.saveLook({ ...look, files: files.length });
  return files;
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
