import { changedFiles, type Range } from "../drivers/git/diff.ts";
import { ensureHub, tipsInHub } from "../drivers/git/hub.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import { repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { listSnapshots, takeSnapshot, type Snapshot } from "./snapshot.ts";
import { hubFolder } from "./sync.ts";

/** What an instance holds, from the commit it began with on. */
export interface Held {
  /** With what is in no commit, unless that was not wanted. */
  range: Range;
  /** Its last commit. */
  tip: string;
  /** The snapshot with what is in no commit; undefined when all is committed, or it was not wanted. */
  snapshot: Snapshot | undefined;
  /** Files that are in no commit. */
  uncommitted: string[];
  /** Why the files that are in no commit could not be had; empty when they could. */
  problem: string;
}

/**
 * What an instance holds as it was fetched last, and what it has not committed, as a snapshot made now
 * or an earlier one. It lies in the hub, so that also what was kept out of the user's repository can be
 * looked at.
 */
export async function heldBy(
  deps: Deps,
  instance: InstanceRecord,
  wanted: { snapshot: number | "now" | "none"; reason: string; signal: AbortSignal },
): Promise<Held> {
  const { git } = deps;
  const folder = hubFolder(deps, instance.repoId);
  await ensureHub(git, await repositoryOf(deps, instance), folder);
  const tips = await tipsInHub(git, folder, instance);
  const from = instance.baseCommit;
  const tip = tips.branch ?? tips.head ?? instance.head;
  const held = { range: { folder, from, to: tip }, tip, snapshot: undefined, uncommitted: [], problem: "" };
  if (wanted.snapshot === "none") return held;
  let snapshot: Snapshot | undefined;
  try {
    snapshot =
      wanted.snapshot === "now"
        ? await takeSnapshot(deps, instance, wanted.reason, { signal: wanted.signal })
        : await numbered(deps, instance, wanted.snapshot);
  } catch (error) {
    if (wanted.signal.aborted || wanted.snapshot !== "now") throw error;
    return { ...held, problem: messageOf(error) };
  }
  if (snapshot === undefined) return held;
  const own = await changedFiles(git, { folder, from: snapshot.parent || tip, to: snapshot.commit });
  const uncommitted = own.map((file) => file.path);
  return { ...held, range: { folder, from, to: snapshot.commit }, snapshot, uncommitted };
}

async function numbered(deps: Deps, instance: InstanceRecord, number: number): Promise<Snapshot> {
  const all = await listSnapshots(deps, await repositoryOf(deps, instance), instance.id);
  const found = all.find((snapshot) => snapshot.number === number);
  if (found !== undefined) return found;
  const numbers = all.map((snapshot) => snapshot.number);
  throw new HeadjackError(`${instance.branch} has no snapshot ${number}.`, {
    kind: "not-found",
    hints: [numbers.length === 0 ? "It has none." : `It has: ${numbers.join(", ")}`],
  });
}
