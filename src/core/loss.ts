import { readFile } from "node:fs/promises";
import { ProcessError, run } from "../drivers/process.ts";
import { gitTarget } from "../drivers/git/private-dir.ts";
import { ownRefs } from "../drivers/git/snapshot-script.ts";
import { exists, instanceFiles } from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/store.ts";
import { helperSpec, repositoryOf } from "./container.ts";
import { instanceFolder, type Deps } from "./deps.ts";

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

/**
 * Asks the instance's own git what is only there. It runs where the files are: in the container, or
 * in a throwaway one for a stopped instance; never on the host.
 */
export async function findLoss(deps: Deps, instance: InstanceRecord): Promise<Loss> {
  try {
    const repository = await repositoryOf(deps, instance);
    const tips = await deps.git.run(["for-each-ref", `--count=${maxTips}`, "--format=%(objectname)"], {
      cwd: repository.gitDir,
    });
    const known = tips.split("\n").filter((oid) => oid !== "");
    const files = await uncommittedFiles(deps, instance);
    const made = await refsMadeInside(deps, instance);
    const log = [
      "log",
      "--no-show-signature",
      "--format=%h %s",
      "HEAD",
      ...made,
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
  return parseStatus(await gitInside(deps, instance, status, { workspace: true }));
}

/** What branches, stashes and tags of the instance point at, but for those that are as they were copied. */
async function refsMadeInside(deps: Deps, instance: InstanceRecord): Promise<string[]> {
  const list = [`--git-dir=${gitTarget}`, "for-each-ref", "--format=%(objectname) %(refname)"];
  const now = await gitInside(deps, instance, list, { workspace: false });
  const copied = await readFile(instanceFiles(instanceFolder(deps, instance)).copiedRefs, "utf8");
  const before = new Set(copied.split("\n"));
  const made = now
    .split("\n")
    .filter((line) => line !== "" && !before.has(line) && !line.includes(` ${ownRefs}`));
  const oids = made
    .map((line) => line.slice(0, line.indexOf(" ")))
    .filter((oid) => /^[0-9a-f]{40,64}$/.test(oid));
  return [...new Set(oids)].slice(0, maxTips);
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
