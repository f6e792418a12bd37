import { changedFiles, type FileChange } from "../drivers/git/diff.ts";
import { applyPatch, writePatch } from "../drivers/git/patch.ts";
import { resolveCommit } from "../drivers/git/repository.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Held } from "./changes.ts";
import { repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { atDesk } from "./desk.ts";

/** `conflict`: with what the user has committed. `blocked`: by files of theirs, in git's words. */
export type ApplyOutcome =
  | { kind: "applied"; files: FileChange[] }
  | { kind: "conflict"; files: string[] }
  | { kind: "blocked"; why: string };

/**
 * Puts what an instance has changed into the files of a worktree of the user's, uncommitted. It is put on
 * top of the worktree's commit aside, at a desk, and the difference then applied whole or not at all: no
 * file of the user's is touched before it is known that everything fits.
 */
export async function applyToWorktree(
  deps: Deps,
  instance: InstanceRecord,
  { range }: Held,
  request: { folder: string; signal: AbortSignal },
): Promise<ApplyOutcome> {
  const { git } = deps;
  const { folder, signal } = request;
  const repository = await repositoryOf(deps, instance);
  const head = await resolveCommit(git, folder, "HEAD");
  if (head === undefined) throw new HeadjackError(`There is no commit yet in ${folder}.`);
  return await atDesk(deps, repository, { commit: head, signal }, async (desk) => {
    const moved = await desk.transplant(range.from, range.to);
    if ("conflicts" in moved) return { kind: "conflict", files: moved.conflicts };
    const difference = { folder: range.folder, from: head, to: moved.tree };
    const files = await changedFiles(git, difference);
    if (files.length === 0) return { kind: "applied", files };
    const patch = `${desk.folder}.patch`;
    await writePatch(git, difference, patch, signal);
    signal.throwIfAborted();
    const why = await applyPatch(git, folder, patch);
    return why === "" ? { kind: "applied", files } : { kind: "blocked", why };
  });
}
