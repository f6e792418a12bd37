import type { ConversationEntry } from "../agents/conversation.ts";
import { findAgent } from "../agents/index.ts";
import type { InstanceRecord, SessionRecord, UsageRecord } from "../store/records.ts";
import { conversationsFingerprint, homeOnHost, readConversations, readSideThreads } from "./conversation.ts";
import type { Deps } from "./deps.ts";

/** Bytes at the end of each conversation's file that are counted. */
const maxBytes = 64 * 1024 * 1024;

const dayMs = 24 * 3600 * 1000;

export type UsageDeps = Pick<Deps, "store" | "folders" | "version" | "now">;

/** What was used, of whatever is counted together. */
export type UsageSum = Pick<
  UsageRecord,
  "input" | "output" | "cacheRead" | "cacheWrite" | "cost" | "turns" | "turnMs"
>;

/**
 * Counts what the sessions of an instance have used, from the conversations that their agents have
 * recorded, and keeps it in the store, where it outlives the instance. What has not changed is not read.
 */
export function recordUsage(deps: UsageDeps, instance: InstanceRecord): void {
  for (const session of deps.store.sessions(instance.id)) {
    const source = findAgent(session.type)?.conversation;
    if (source === undefined) continue;
    const home = homeOnHost(deps, session);
    const files = conversationsFingerprint(home, source);
    // Another version may know more of what is in them.
    const fingerprint = `${deps.version} ${files}`;
    if (files === "" || deps.store.hasUsage(session.id, fingerprint)) continue;
    const days = new Map<string, UsageSum>();
    const day = (at: number | null): string => dayOf(at, session, deps.now());
    for (const { entries } of readConversations(home, source, maxBytes)) {
      countTokens(days, entries, day);
      countTurns(days, entries, day);
    }
    for (const entries of readSideThreads(home, source, maxBytes)) countTokens(days, entries, day);
    const about = {
      sessionId: session.id,
      repoId: instance.repoId,
      branch: instance.branch,
      session: session.name,
      agent: session.type,
      fingerprint,
    };
    deps.store.saveUsage([...days].map(([day, sum]) => ({ ...about, day, ...sum })));
  }
}

/** The day of a moment; that of the session's start where the agent's record has none, or one that cannot be. */
function dayOf(at: number | null, session: SessionRecord, now: number): string {
  const known = at !== null && at >= 0 && at <= now + dayMs ? at : session.createdAt;
  return isoDay(known);
}

/** `2027-01-31`, in UTC. */
export const isoDay = (at: number): string => new Date(at).toISOString().slice(0, 10);

type DayOf = (at: number | null) => string;

function countTokens(days: Map<string, UsageSum>, entries: readonly ConversationEntry[], dayOf: DayOf): void {
  for (const { at, usage, cost } of entries)
    if (usage !== undefined) add(days, dayOf(at), { ...usage, cost: cost ?? null });
}

function countTurns(days: Map<string, UsageSum>, entries: readonly ConversationEntry[], dayOf: DayOf): void {
  for (const { start, end } of turnsIn(entries)) add(days, dayOf(start), { turns: 1, turnMs: end - start });
}

function add(days: Map<string, UsageSum>, day: string, sum: Partial<UsageSum>): void {
  days.set(day, plus(days.get(day) ?? nothing, { ...nothing, ...sum }));
}

/** The sum of nothing. */
export const nothing: UsageSum = {
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite: 0,
  cost: 0,
  turns: 0,
  turnMs: 0,
};

/** The sum of two; its cost is known only if both are. */
export function plus(one: UsageSum, other: UsageSum): UsageSum {
  return {
    input: one.input + other.input,
    output: one.output + other.output,
    cacheRead: one.cacheRead + other.cacheRead,
    cacheWrite: one.cacheWrite + other.cacheWrite,
    cost: one.cost === null || other.cost === null ? null : one.cost + other.cost,
    turns: one.turns + other.turns,
    turnMs: one.turnMs + other.turnMs,
  };
}

/**
 * From a prompt to the end that is recorded, or else to the last thing that happened. A prompt in the
 * middle of a turn belongs to it.
 */
export function turnsIn(entries: readonly ConversationEntry[]): { start: number; end: number }[] {
  const turns: { start: number; end: number }[] = [];
  let open: { start: number; end: number } | undefined;
  for (const { kind, at, queued, retrying } of entries) {
    if (at === null || queued === true) continue;
    // Of the turn before, the end was not recorded: the agent was ended in the middle of it.
    if (kind === "turn-start") open = undefined;
    if (open === undefined) {
      if (!beginsTurn.has(kind)) continue;
      open = { start: at, end: at };
      turns.push(open);
    }
    open.end = Math.max(open.end, at);
    if (kind === "turn-end" || kind === "interrupt" || (kind === "error" && retrying !== true))
      open = undefined;
  }
  return turns;
}

/** An answer too: the prompt may lie before the part of the file that was read. */
const beginsTurn = new Set<ConversationEntry["kind"]>(["prompt", "turn-start", "reply", "tool-call"]);

export const groupings = ["branch", "session", "agent", "day"] as const;
export type Grouping = (typeof groupings)[number];

/** One line of a report: what its records have in common, and their sum. */
export interface UsageLine extends UsageSum {
  /** Of the first; what `by` does not keep apart differs between the others. */
  first: UsageRecord;
}

/** Sums up what belongs together, in the order in which it first appears. */
export function sumUsage(records: readonly UsageRecord[], by: Grouping): UsageLine[] {
  const keys: Record<Grouping, (record: UsageRecord) => string> = {
    branch: (record) => `${record.repoId} ${record.branch}`,
    session: (record) => record.sessionId,
    agent: (record) => record.agent,
    day: (record) => record.day,
  };
  return [...Map.groupBy(records, keys[by]).values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [{ first, ...group.reduce<UsageSum>(plus, nothing) }];
  });
}
