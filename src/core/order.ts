import type { Way } from "../drivers/git/desk.ts";
import type { Trial, Tried } from "../drivers/git/trial.ts";
import type { InstanceRecord } from "../store/records.ts";
import { repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { inTime, onTrial } from "./forecast.ts";
import { sourceOf, targetOf } from "./merge.ts";

/** A branch in its place in the order. */
export interface Placed {
  instance: InstanceRecord;
  /** Files that will be in conflict then; undefined where that cannot be told. */
  conflicts: number | undefined;
}

interface Candidate {
  instance: InstanceRecord;
  source: string;
}

/** Milliseconds that one merge on trial may take; what takes longer cannot be told. */
const mergeMs = 10_000;

/**
 * The order in which branches can be taken in with the fewest conflicts: always the one that is in conflict in the
 * fewest files with what is there by then, and of several such the one that is least in the way of those to
 * come. By merges on trial, each on what the one before has come to.
 */
export async function mergeOrder(
  deps: Deps,
  instances: readonly InstanceRecord[],
  how: { into: string; way: Way; signal: AbortSignal },
): Promise<Placed[]> {
  const [first] = instances;
  if (first === undefined) return [];
  const repository = await repositoryOf(deps, first);
  const target = await targetOf(deps, repository, first, how.into);
  const candidates: Candidate[] = [];
  for (const instance of instances)
    candidates.push({ instance, source: await sourceOf(deps, repository, instance) });
  return await onTrial(deps, repository, how.signal, async (trial) => {
    const inTheWay = await mutualConflicts(trial, candidates);
    const order: Placed[] = [];
    let at = target;
    for (let rest = candidates; ;) {
      const next = await easiest(trial, at, rest, inTheWay);
      if (next === undefined) return order;
      order.push({ instance: next.instance, conflicts: next.tried?.conflicts.length });
      rest = rest.filter((one) => one.instance.id !== next.instance.id);
      if (next.tried?.conflicts.length !== 0) continue;
      at = await trial.commit(next.tried.tree, how.way === "squash" ? [at] : [at, next.source]);
    }
  });
}

/** In how many files two branches are in conflict with one another. */
type Mutual = (one: Candidate, other: Candidate) => number;

async function mutualConflicts(trial: Trial, candidates: readonly Candidate[]): Promise<Mutual> {
  const counts = new Map<string, number>();
  for (const [index, one] of candidates.entries()) {
    for (const other of candidates.slice(index + 1)) {
      const count = (await merged(trial, one.source, other.source))?.conflicts.length ?? 0;
      counts.set(`${one.instance.id} ${other.instance.id}`, count);
      counts.set(`${other.instance.id} ${one.instance.id}`, count);
    }
  }
  return (one, other) => counts.get(`${one.instance.id} ${other.instance.id}`) ?? 0;
}

async function easiest(
  trial: Trial,
  at: string,
  rest: readonly Candidate[],
  inTheWay: Mutual,
): Promise<(Candidate & { tried: Tried | undefined }) | undefined> {
  const all = [];
  for (const one of rest) {
    const tried = await merged(trial, at, one.source);
    const others = rest.reduce((sum, other) => sum + inTheWay(one, other), 0);
    all.push({ ...one, tried, conflicts: tried?.conflicts.length ?? Infinity, others });
  }
  // Sorting keeps the given order where nothing else decides.
  return all.toSorted((a, b) => compare(a.conflicts, b.conflicts) || compare(a.others, b.others))[0];
}

/** Also of two that are infinite. */
const compare = (a: number, b: number): number => (a === b ? 0 : a - b);

async function merged(trial: Trial, ours: string, theirs: string): Promise<Tried | undefined> {
  return await inTime(trial.merge(ours, theirs, mergeMs));
}
