import { join } from "node:path";
import {
  lfsListCommand,
  lfsPrintCommand,
  missingPointers,
  takeLfsContents,
  type LfsPointer,
} from "../drivers/git/lfs.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { exists, instanceFiles } from "../drivers/instance-files.ts";
import { runStreaming, runUnchecked } from "../drivers/process.ts";
import type { InstanceRecord } from "../store/records.ts";
import { helperSpec } from "./container.ts";
import { instanceFolder, type Deps } from "./deps.ts";

/** Most that is brought home at once, and the time that it may take. */
const maxContents = 1000;
const maxBytes = 2 * 1024 * 1024 * 1024;
const timeoutMs = 120_000;

/** Paths named in a warning at most. */
const shownAtMost = 5;

/**
 * Brings the contents that commits of an instance keep in Git LFS into the user's repository, before the
 * commits come there: git carries only what stands for them. Returns a warning of those that are nowhere.
 */
export async function bringLfsHome(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  from: { hub: string; commits: readonly string[] },
  signal?: AbortSignal,
): Promise<string> {
  // Without it no git-lfs has been at work inside.
  if (!exists(join(instanceFiles(instanceFolder(deps, instance)).git, "lfs"))) return "";
  const missing = await missingPointers(deps.git, repository, from.hub, {
    of: from.commits,
    base: instance.baseCommit,
  });
  if (missing.length === 0) return "";
  const taken = new Set(await takeContents(deps, repository, instance, missing, signal));
  const paths = missing.filter((pointer) => !taken.has(pointer)).map(({ path }) => path);
  if (paths.length === 0) return "";
  const more = paths.length > shownAtMost ? ` and ${paths.length - shownAtMost} more` : "";
  return (
    `The contents of files in Git LFS are neither in your repository nor in the instance: ` +
    `${paths.slice(0, shownAtMost).join(", ")}${more}. If a remote has them: git lfs fetch --all`
  );
}

/** Whether a new workspace has no contents of files in Git LFS, since the user's git leaves them out. */
export async function lacksLfsContents(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<boolean> {
  const at = { cwd: repository.gitDir };
  const attributes = await deps.git.try(["cat-file", "blob", `${instance.baseCommit}:.gitattributes`], at);
  if (!/\bfilter=lfs\b/.test(attributes.stdout)) return false;
  const filters = await deps.git.try(["config", "--get-regexp", "^filter\\.lfs\\.(process|smudge)$"], at);
  const skips = filters.stdout.includes("--skip") || (deps.env["GIT_LFS_SKIP_SMUDGE"] ?? "") !== "";
  return filters.code !== 0 || skips;
}

async function takeContents(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
  missing: readonly LfsPointer[],
  signal: AbortSignal | undefined,
): Promise<LfsPointer[]> {
  const engine = await deps.engine();
  const running = (await engine.inspect(instance.container))?.running === true;
  const inside = async (command: string[]): Promise<string[]> =>
    running
      ? engine.execCommand(instance.container, command, { tty: false })
      : engine.runCommand(await helperSpec(deps, instance, command, { workspace: false }));
  const env = { ...deps.env, ...engine.environment };
  const limit = (...others: AbortSignal[]): AbortSignal =>
    AbortSignal.any([AbortSignal.timeout(timeoutMs), ...others, ...(signal === undefined ? [] : [signal])]);

  const asked = missing.slice(0, maxContents);
  const listed = await runUnchecked(await inside(lfsListCommand(asked)), { env, signal: limit() });
  const there: LfsPointer[] = [];
  let bytes = 0;
  for (const [index, pointer] of asked.entries()) {
    if (listed.stdout[index] !== "y" || bytes + pointer.size > maxBytes) continue;
    bytes += pointer.size;
    there.push(pointer);
  }
  if (there.length === 0) return [];
  const command = await inside(lfsPrintCommand(there));
  return await takeLfsContents(repository, there, async (take, enough) => {
    const onOutput = (chunk: Uint8Array, stream: "stdout" | "stderr"): Promise<void> | void =>
      stream === "stdout" ? take(chunk) : undefined;
    await runStreaming(command, { env, onOutput, signal: limit(enough) });
  });
}
