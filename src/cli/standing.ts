import type { Clash, Standing } from "../core/standing.ts";
import { ago } from "../ui/time.ts";

/** `+3 -1, 2 files`: commits against the base branch, and files that are in no commit. */
export function changesText({ base, uncommitted }: Standing, now: Date): string {
  const commits = base === undefined ? "?" : `+${base.ahead} -${base.behind}`;
  if (uncommitted === undefined) return `${commits}, ? files`;
  const { files, at } = uncommitted;
  // With its age where it may not be so any more.
  const age = now.getTime() - at < freshMs ? "" : ` ${ago(new Date(at), now)}`;
  return `${commits}, ${files} file${files === 1 ? "" : "s"}${age}`;
}

/** Milliseconds for which a look at the files is said without its age. */
const freshMs = 60_000;

/** The branches in conflict with this one; `all`: also those of which it is not known, and that there is none. */
export function conflictsText({ conflicts }: Standing, all = false): string {
  const shown = conflicts.filter((clash) => clash.count !== undefined || all);
  return shown.length === 0 && all ? "none" : shown.map(clashText).join(", ");
}

const clashText = ({ branch, count }: Clash): string => `${branch} (${count ?? "?"})`;
