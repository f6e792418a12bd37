import { readFile } from "node:fs/promises";
import { ProcessError, run } from "../drivers/process.ts";
import { gitTarget } from "../drivers/git/private-dir.ts";
import { ownRefs } from "../drivers/git/snapshot-script.ts";
import { instanceFiles } from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/records.ts";
import { helperSpec } from "./container.ts";
import { instanceFolder, type Deps } from "./deps.ts";

/**
 * Asks the instance's own git. It runs where the files are: in the container, or in a throwaway one for a
 * stopped instance; never on the host.
 */
export async function gitInside(
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

/** Branches, stashes and tags of the instance, but for those that are as they were copied. */
export async function refsMadeInside(
  deps: Deps,
  instance: InstanceRecord,
): Promise<{ oid: string; name: string }[]> {
  const list = [`--git-dir=${gitTarget}`, "for-each-ref", "--format=%(objectname) %(refname)"];
  const now = await gitInside(deps, instance, list, { workspace: false });
  const copied = await readFile(instanceFiles(instanceFolder(deps, instance)).copiedRefs, "utf8");
  const before = new Set(copied.split("\n"));
  return now.split("\n").flatMap((line) => {
    const [, oid, name] = /^([0-9a-f]{40,64}) (refs\/.+)$/.exec(line) ?? [];
    if (oid === undefined || name === undefined || before.has(line) || name.startsWith(ownRefs)) return [];
    return [{ oid, name }];
  });
}
