import type { Hardening } from "../hardening.ts";

/** A repository that has had an instance. */
export interface RepoRecord {
  id: string;
  /** Absolute path of its common git directory. */
  gitDir: string;
  /** Name for people: the folder's. */
  name: string;
}

export interface InstanceRecord {
  /** 6 or more hex digits. */
  id: string;
  repoId: string;
  branch: string;
  /** `creating` and `removing` are written before the first step, so that a crash can be undone or finished. */
  state: "creating" | "ready" | "removing";
  engine: string;
  /** Name of the container, fixed before it is made. */
  container: string;
  image: string;
  /** Engine flags given after `--`, kept for `recreate`. */
  flags: string[];
  hardening: Hardening;
  /** Commit the workspace started from. */
  baseCommit: string;
  /** Whether the branch was made for this instance: only then may undoing a failed `run` delete it. */
  branchCreated: boolean;
  /** Absolute path of the workspace on the host. */
  workspace: string;
  /** uid:gid of the container's user. */
  user: string;
  /** Tip of the branch in the instance when it was last brought home. */
  head: string;
  /** Fingerprint of the instance's refs at that moment; a different one means there may be news. */
  fingerprint: string;
  /** Why the last commits could not be put on the branch; empty when they could. */
  notice: string;
  /** What to look at before the branch is checked out; empty when there is nothing. */
  warning: string;
  /** Hosts that its gateway refused since the user last looked. */
  refused: string[];
  /** Unix time in milliseconds. */
  createdAt: number;
}

/**
 * Why a session is over: by itself, by `hjk kill`, by `hjk stop`, by a limit of its own, or unknown since
 * its tmux or its container is gone.
 */
export type SessionEnd = "exited" | "killed" | "stopped" | "limit" | "lost";

export interface SessionRecord {
  id: string;
  instanceId: string;
  name: string;
  /** `shell`, or the agent's name. */
  type: string;
  state: "starting" | "live" | "ended";
  /** Process that is starting it, to tell a crash from patience. */
  starter: number;
  createdAt: number;
  /** When its program was last started: later than `createdAt` where it has been resumed. */
  startedAt: number;
  accessedAt: number;
  endedAt: number | null;
  exitCode: number | null;
  end: SessionEnd | null;
  /** 1 when the agent was started with a prompt. */
  prompted: number;
  /** 1 when its agent holds a credential itself, in place of the gateway. */
  exposed: number;
  /** The last thing that the user was notified of; empty when there was none. */
  told: string;
  /** Terminal device of whoever started it, for the bell; empty when there was none. */
  terminal: string;
  /** When its time is up; null without a limit. */
  endsAt: number | null;
  /** How many answers of the model it may have; null without a limit. */
  maxTurns: number | null;
  /** What the record of its agent was like when its last turn was read, and what that was, as JSON. */
  turnKey: string;
  turn: string;
  /** Absolute path of the recording. */
  log: string;
  cols: number;
  rows: number;
}

/** What a session has used on a day. */
export interface UsageRecord {
  sessionId: string;
  /** `2027-01-31`, in UTC. */
  day: string;
  repoId: string;
  branch: string;
  /** Name of the session. */
  session: string;
  agent: string;
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
  /** US dollars; null where the agent records none. */
  cost: number | null;
  turns: number;
  /** Time that the turns took, in milliseconds. */
  turnMs: number;
  /** Of the conversations from which it was counted. */
  fingerprint: string;
}

/** The whole state of an instance's workspace at a moment, kept as a commit in the user's repository. */
export interface SnapshotRecord {
  instanceId: string;
  /** Counts from 1 in each instance. */
  number: number;
  repoId: string;
  branch: string;
  /** Command or event it was made for. */
  reason: string;
  /** Empty while it is being made. */
  commit: string;
  /** HEAD of the instance at that moment; empty before a first commit. */
  parent: string;
  tree: string;
  /** Tree of what was staged; empty where that is what HEAD has. */
  staged: string;
  /** What it lacks. */
  leftOut: { path: string; why: string }[];
  /** Unix time in milliseconds. */
  createdAt: number;
}

/** A command that has destroyed something, and what undoing it needs. */
export interface EventRecord {
  id: number;
  repoId: string;
  branch: string;
  instanceId: string;
  command: "rm" | "recreate" | "restore";
  /** Number of the snapshot of what was there before; null when there was nothing uncommitted. */
  snapshot: number | null;
  /** The instance as it was. */
  instance: InstanceRecord;
  /** Unix time in milliseconds. */
  at: number;
  undone: boolean;
}

/** What would come of merging two commits. What could not be found out is null. */
export interface ForecastRecord {
  repoId: string;
  /** The one whose id comes first. */
  ours: string;
  theirs: string;
  /** Commits that only the one has, and only the other. */
  oursOnly: number | null;
  theirsOnly: number | null;
  /** Number of files in conflict, and the first of them. */
  conflicts: number | null;
  files: string[];
}

/** How many files of an instance were in no commit when that was last looked at. */
export interface LookRecord {
  instanceId: string;
  /** Commit of the instance at that moment. */
  head: string;
  files: number;
  /** Unix time in milliseconds. */
  at: number;
}

export type ForecastRow = Omit<ForecastRecord, "files"> & { files: string };

export type InstanceRow = Omit<InstanceRecord, "flags" | "hardening" | "branchCreated" | "refused"> & {
  flags: string;
  refused: string;
  hardening: string;
  branchCreated: number;
};

export type EventRow = Omit<EventRecord, "instance" | "undone"> & { instance: string; undone: number };

export type SnapshotRow = Omit<SnapshotRecord, "leftOut"> & { leftOut: string };

export const instanceColumns = [
  "id",
  "repoId",
  "branch",
  "state",
  "engine",
  "container",
  "image",
  "flags",
  "baseCommit",
  "branchCreated",
  "workspace",
  "user",
  "head",
  "fingerprint",
  "notice",
  "warning",
  "refused",
  "createdAt",
  "hardening",
] as const satisfies readonly (keyof InstanceRecord)[];

export const sessionColumns = [
  "id",
  "instanceId",
  "name",
  "type",
  "state",
  "starter",
  "createdAt",
  "startedAt",
  "accessedAt",
  "prompted",
  "terminal",
  "endsAt",
  "maxTurns",
  "log",
  "cols",
  "rows",
] as const satisfies readonly (keyof SessionRecord)[];

export const snapshotColumns = [
  "instanceId",
  "number",
  "repoId",
  "branch",
  "reason",
  "commit",
  "parent",
  "tree",
  "staged",
  "leftOut",
  "createdAt",
] as const satisfies readonly (keyof SnapshotRecord)[];

export const usageKey = ["sessionId", "day", "repoId", "branch", "session", "agent"] as const;
export const usageCounts = ["input", "output", "cacheRead", "cacheWrite", "turns", "turnMs"] as const;

/** The cost of a whole day is not known when that of a part is not: SQLite's max of NULL is NULL. */
export const saveUsageSql = `
  INSERT INTO usage (${[...usageKey, ...usageCounts].join(", ")}, cost, fingerprint)
  VALUES (${[...usageKey, ...usageCounts].map((name) => `$${name}`).join(", ")}, $cost, $fingerprint)
  ON CONFLICT (sessionId, day) DO UPDATE SET
    ${usageCounts.map((name) => `${name} = max(${name}, excluded.${name})`).join(", ")},
    cost = max(cost, excluded.cost),
    fingerprint = excluded.fingerprint`;

export function toInstanceRow(record: InstanceRecord): InstanceRow {
  return {
    ...record,
    flags: JSON.stringify(record.flags),
    hardening: JSON.stringify(record.hardening),
    refused: JSON.stringify(record.refused),
    branchCreated: record.branchCreated ? 1 : 0,
  };
}

export function fromInstanceRow(row: InstanceRow): InstanceRecord {
  return {
    ...row,
    flags: JSON.parse(row.flags) as string[],
    hardening: JSON.parse(row.hardening) as Hardening,
    refused: JSON.parse(row.refused) as string[],
    branchCreated: row.branchCreated === 1,
  };
}

/** A copy of a record, which an earlier version may have made: with what such copies lack. */
export function wholeInstance(
  copy: Omit<InstanceRecord, "hardening" | "refused"> & Partial<InstanceRecord>,
): InstanceRecord {
  return { ...copy, hardening: copy.hardening ?? { given: {} }, refused: copy.refused ?? [] };
}

export function fromSnapshotRow(row: SnapshotRow): SnapshotRecord {
  return { ...row, leftOut: JSON.parse(row.leftOut) as SnapshotRecord["leftOut"] };
}
