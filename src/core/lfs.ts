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
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import { helperSpec } from "./container.ts";
import { instanceFolder, type Deps } from "./deps.ts";

/** Contents that are asked for at once, and the time that they may take. */
const atOnce = 1000;
const timeoutMs = 120_000;

/** Bytes that one command brings home at most: an agent must not fill the disk. */
const maxBytes = 2 * 1024 * 1024 * 1024;

/** Paths named in a warning at most. */
const shownAtMost = 5;

/**
 * Brings the contents that commits of an instance keep in Git LFS into the user's repository, before the
 * commits come there: git carries only what stands for them. Returns a warning of those that are nowhere, and
 * throws where some are in the instance and too much to be brought home.
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
  const nowhere: LfsPointer[] = [];
  const tooMuch: LfsPointer[] = [];
  let room = maxBytes;
  for (let index = 0; index < missing.length; index += atOnce) {
    const asked = missing.slice(index, index + atOnce);
    const found = await takeContents(deps, repository, instance, asked, room, signal);
    nowhere.push(...found.nowhere);
    tooMuch.push(...found.tooMuch);
    room -= found.bytes;
  }
  if (tooMuch.length > 0) {
    throw new HeadjackError(
      `The contents of files in Git LFS are more than 2 GB, and stay in the instance: ${named(tooMuch)}.`,
      {
        hints: [`Push them from there, or copy them out, before you remove it: hjk exec ${instance.branch}`],
      },
    );
  }
  if (nowhere.length === 0) return "";
  return (
    `The contents of files in Git LFS are neither in your repository nor in the instance: ` +
    `${named(nowhere)}. If a remote has them: git lfs fetch --all`
  );
}

function named(pointers: readonly LfsPointer[]): string {
  const more = pointers.length > shownAtMost ? ` and ${pointers.length - shownAtMost} more` : "";
  return pointers
    .slice(0, shownAtMost)
    .map(({ path }) => path)
    .join(", ")
    .concat(more);
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
  asked: readonly LfsPointer[],
  room: number,
  signal: AbortSignal | undefined,
): Promise<{ nowhere: LfsPointer[]; tooMuch: LfsPointer[]; bytes: number }> {
  const engine = await deps.engine();
  const running = (await engine.inspect(instance.container))?.running === true;
  const inside = async (command: string[]): Promise<string[]> =>
    running
      ? engine.execCommand(instance.container, command, { tty: false })
      : engine.runCommand(await helperSpec(deps, instance, command, { workspace: false }));
  const env = { ...deps.env, ...engine.environment };
  const limit = (...others: AbortSignal[]): AbortSignal =>
    AbortSignal.any([AbortSignal.timeout(timeoutMs), ...others, ...(signal === undefined ? [] : [signal])]);

  const listed = await runUnchecked(await inside(lfsListCommand(asked)), { env, signal: limit() });
  const there: LfsPointer[] = [];
  const tooMuch: LfsPointer[] = [];
  let bytes = 0;
  for (const [index, pointer] of asked.entries()) {
    if (listed.stdout[index] !== "y") continue;
    if (bytes + pointer.size > room) tooMuch.push(pointer);
    else {
      bytes += pointer.size;
      there.push(pointer);
    }
  }
  let taken: LfsPointer[] = [];
  if (there.length > 0) {
    const command = await inside(lfsPrintCommand(there));
    taken = await takeLfsContents(repository, there, async (take, enough) => {
      const onOutput = (chunk: Uint8Array, stream: "stdout" | "stderr"): Promise<void> | void =>
        stream === "stdout" ? take(chunk) : undefined;
      await runStreaming(command, { env, onOutput, signal: limit(enough) });
    });
  }
  const nowhere = asked.filter((pointer) => !taken.includes(pointer) && !tooMuch.includes(pointer));
  return { nowhere, tooMuch, bytes };
}
