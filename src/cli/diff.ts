import { InvalidArgumentError } from "commander";
import { heldBy, type Held } from "../core/changes.ts";
import { streamDiff, type FileChange, type Range } from "../drivers/git/diff.ts";
import type { InstanceRecord } from "../store/records.ts";
import { DiffText } from "../ui/diff.ts";
import type { Context } from "./context.ts";
import { syncAndTell } from "./find.ts";
import type { PageOutput } from "./paged.ts";

/** Brings home what there is, and says what the branch holds. */
export async function whatIsHeld(
  context: Context,
  instance: InstanceRecord,
  options: { committed?: true; snapshot?: number; reason: string },
): Promise<Held> {
  context.io.step(`looking at ${instance.branch}`);
  await syncAndTell(context, instance);
  return await heldBy(context.deps(), instance, {
    snapshot: options.committed === true ? "none" : (options.snapshot ?? "now"),
    reason: options.reason,
    signal: context.signal,
  });
}

/** Says what of a branch is not what one would take it for. */
export function tellUncommitted(context: Context, { snapshot, problem }: Held): void {
  const { io } = context;
  if (problem !== "") io.note(`warning: What is in no commit is not shown. ${problem}`);
  for (const { path, why } of snapshot?.leftOut ?? []) io.note(`warning: Not shown: ${path} (${why})`);
}

/** Value of an option that takes the number of a snapshot. */
export function snapshotNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It takes the number of a snapshot.");
}

/** What JSON about a branch begins with. */
export function aboutJson(branch: string, { range, tip, snapshot, uncommitted }: Held): object {
  const about = { version: 1, branch, base: range.from, head: tip };
  return { ...about, snapshot: snapshot?.number ?? null, uncommitted };
}

/** Writes what `git diff` says of the range, cleaned, and coloured on a terminal. */
export async function writeDiff(
  context: Context,
  range: Range,
  options: readonly string[],
  output: PageOutput,
): Promise<void> {
  const text = new DiffText({ colour: context.io.hasColor });
  await streamDiff(context.git, range, options, {
    onOutput: (chunk) => output.write(text.write(chunk)),
    signal: output.signal,
  });
  await output.write(text.end());
}

export function fileJson(file: FileChange): object {
  const { path, oldPath, status, additions, deletions, oldMode, mode } = file;
  const binary = additions === null;
  return { path, oldPath: oldPath ?? null, status, binary, additions, deletions, oldMode, mode };
}
