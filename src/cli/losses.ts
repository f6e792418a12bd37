import { keepRefs } from "../core/kept.ts";
import { findLoss, type Loss } from "../core/loss.ts";
import { takeLastSnapshot, type Snapshot } from "../core/snapshot.ts";
import type { LeftOutWhy } from "../drivers/git/snapshot-script.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import { cleanText } from "../ui/clean.ts";
import type { Context } from "./context.ts";

/** Lost files and commits named at most; the rest is counted. */
const shownAtMost = 10;

/**
 * What the user should know before an instance is removed, one line each. What is in no commit is kept
 * first, before anything is asked; `refusal` says why it cannot be.
 */
export async function lookAtLosses(
  context: Context,
  instance: InstanceRecord,
): Promise<{ lines: string[]; refusal?: HeadjackError }> {
  const kept = await keepFiles(context, instance);
  const lines = describeLoss(await findLoss(context.deps(), instance), kept);
  return kept instanceof HeadjackError ? { lines, refusal: notRemoved(instance, kept) } : { lines };
}

/** What stays of an instance. */
interface Kept {
  snapshot: Snapshot | undefined;
  /** Names of its other branches, tags and stashes. */
  refs: string[];
}

async function keepFiles(context: Context, instance: InstanceRecord): Promise<Kept | HeadjackError> {
  const deps = context.deps();
  try {
    const current = deps.store.instanceById(instance.id) ?? instance;
    const snapshot = await takeLastSnapshot(deps, current, "rm", { signal: context.signal });
    return { snapshot, refs: await keepRefs(deps, current) };
  } catch (error) {
    if (error instanceof HeadjackError) return error;
    throw error;
  }
}

function notRemoved(instance: InstanceRecord, why: HeadjackError): HeadjackError {
  return new HeadjackError(`${instance.branch} was not removed. ${why.message}`, {
    kind: why.kind === "engine" ? "engine" : "failed",
    cause: why,
    hints: [...why.hints, `To give up what would be lost, and remove it: hjk rm -f ${instance.branch}`],
  });
}

const whys = {
  large: "too large",
  repository: "a repository inside",
  unreadable: "cannot be read",
} as const satisfies Record<LeftOutWhy, string>;

function describeLoss(loss: Loss, kept: Kept | HeadjackError): string[] {
  const unknown =
    loss.unknown === undefined
      ? []
      : [`warning: What is only in its workspace could not be found out: ${loss.unknown}`];
  const commits = listed(
    loss.commits,
    (count) => `This would lose ${count} not in your repository:`,
    "commit that is",
    "commits that are",
  );
  if (kept instanceof HeadjackError) {
    return [
      ...unknown,
      ...listed(loss.files, (count) => `This would lose ${count} in no commit:`),
      ...commits,
    ];
  }
  const leftOut = kept.snapshot?.leftOut ?? [];
  const lost = leftOut.map(({ path, why }) => `${path} (${whys[why as LeftOutWhy]})`);
  const left = new Set(leftOut.map(({ path }) => path));
  const saved = loss.files.filter((file) => !left.has(file.replace(/\/$/, "")));
  return [
    ...unknown,
    ...listed(saved, (count) => `${count} in no commit:`),
    ...(kept.snapshot === undefined
      ? []
      : [`This stays as snapshot ${kept.snapshot.number}, and hjk undo brings the instance back with it.`]),
    ...listed(kept.refs, (count) => `${count} not in your repository, kept there by this:`, ...ofRefs),
    ...listed(lost, (count) => `This would lose ${count} that no snapshot takes:`),
    ...commits,
  ];
}

const ofRefs = ["branch, tag or stash that is", "branches, tags and stashes that are"] as const;

function listed(items: string[], heading: (count: string) => string, one = "file", many = "files"): string[] {
  if (items.length === 0) return [];
  const more = items.length - shownAtMost;
  return [
    heading(`${items.length} ${items.length === 1 ? one : many}`),
    // Each on one line: a name may hold a line that looks like ours.
    ...items.slice(0, shownAtMost).map((item) => `  ${cleanText(item)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}
