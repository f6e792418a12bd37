import { ensureHub } from "../drivers/git/hub.ts";
import { openRepository, type Repository } from "../drivers/git/repository.ts";
import { Trial } from "../drivers/git/trial.ts";
import { ProcessError } from "../drivers/process.ts";
import type { ForecastRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { Standings, type Head, type Pair } from "./standing.ts";
import { hubFolder } from "./sync.ts";

/** How long it may take. */
export interface ForecastLimits {
  /** Milliseconds for all of it; what is not done then is left to the next time. */
  allMs: number;
  /** Milliseconds for one pair; what takes longer is recorded as unknown. */
  pairMs: number;
  /** Also what was unknown before is tried. */
  again: boolean;
}

/** What `ps` may spend, which somebody waits for. */
export const hasty: ForecastLimits = { allMs: 600, pairMs: 500, again: false };

/** What may be spent when an agent has come to rest, and nobody waits. */
export const patient: ForecastLimits = { allMs: 60_000, pairMs: 10_000, again: true };

/** Pairs that are looked at side by side. */
const atOnce = 4;

/** Names of files in conflict that are recorded at most: a branch may have any number of them. */
const namesAtMost = 20;

/** Makes the forecasts of a repository that are missing, as far as they can be made in time. Never throws. */
export async function makeForecasts(
  deps: Deps,
  repoId: string,
  base: Head | undefined,
  limits: ForecastLimits,
): Promise<void> {
  const isMissing = (): boolean => new Standings(deps, repoId, base).missing(limits.again).length > 0;
  const gitDir = deps.store.repo(repoId)?.gitDir;
  if (gitDir === undefined || !isMissing()) return;
  const signal = AbortSignal.timeout(limits.allMs);
  try {
    const repository = await openRepository(deps.git, gitDir, true);
    await onTrial(deps, repository, signal, async (trial) => {
      const tried = new Set<string>();
      // Of those that bring nothing no pair is wanted, which only the first round tells.
      for (;;) {
        const standings = new Standings(deps, repoId, base);
        const wanted = standings.missing(limits.again);
        const pairs = wanted.filter(({ ours, theirs }) => !tried.has(`${ours} ${theirs}`));
        if (pairs.length === 0 || signal.aborted) return;
        for (const { ours, theirs } of pairs) tried.add(`${ours} ${theirs}`);
        const records = await forecastAll(trial, repoId, pairs, limits.pairMs);
        deps.store.saveForecasts(repoId, records, standings.commits);
      }
    });
  } catch {
    // A forecast that cannot be made stays unknown; what is wrong is told by the commands that cannot do without.
  }
}

/** Merges on trial in the hub of a repository; one at a time for each. */
export async function onTrial<T>(
  deps: Deps,
  repository: Repository,
  signal: AbortSignal,
  use: (trial: Trial) => Promise<T>,
): Promise<T> {
  const hub = hubFolder(deps, repository.id);
  await ensureHub(deps.git, repository, hub);
  const work = async (): Promise<T> => {
    const trial = await Trial.open(deps.git, hub, signal);
    try {
      return await use(trial);
    } finally {
      await trial.close();
    }
  };
  return await deps.store.withLock(`trial:${repository.id}`, work, { signal });
}

async function forecastAll(
  trial: Trial,
  repoId: string,
  pairs: readonly Pair[],
  pairMs: number,
): Promise<ForecastRecord[]> {
  const records: ForecastRecord[] = [];
  const left = pairs.values();
  const work = async (): Promise<void> => {
    for (const { ours, theirs } of left) {
      const [oursOnly = null, theirsOnly = null] = (await inTime(trial.apart(ours, theirs, pairMs))) ?? [];
      // Where one goes on from the other there is nothing to merge.
      const conflicts =
        oursOnly === 0 || theirsOnly === 0
          ? []
          : (await inTime(trial.merge(ours, theirs, pairMs)))?.conflicts;
      const files = conflicts?.slice(0, namesAtMost) ?? [];
      records.push({
        repoId,
        ours,
        theirs,
        oursOnly,
        theirsOnly,
        conflicts: conflicts?.length ?? null,
        files,
      });
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: atOnce }, work));
  const failure = workers.find((one) => one.status === "rejected");
  // Out of time: what has been found out counts.
  if (failure !== undefined && !isAborted(failure.reason)) throw failure.reason;
  return records;
}

const isAborted = (error: unknown): boolean => error instanceof ProcessError && error.reason === "aborted";

/** The answer of a trial; what takes too long, or says too much, is unknown. */
export async function inTime<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ProcessError && error.reason !== "aborted") return undefined;
    throw error;
  }
}
