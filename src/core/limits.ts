import { findAgent } from "../agents/index.ts";
import type { SessionRecord } from "../store/records.ts";
import { homeOnHost, readConversation } from "./conversation.ts";
import type { Deps } from "./deps.ts";

/** Milliseconds between two looks at how many turns an agent has made: no event tells of each. */
const turnsCheckMs = 3000;

/** A conversation is read whole to count its turns, up to this many bytes. */
const wholeBytes = 256 * 1024 * 1024;

/** In how many milliseconds somebody must look whether a session has reached its limits; undefined without any. */
export function nextCheckMs(
  session: Pick<SessionRecord, "endsAt" | "maxTurns">,
  now: number,
): number | undefined {
  const checks = [
    ...(session.endsAt === null ? [] : [Math.max(0, session.endsAt - now)]),
    ...(session.maxTurns === null ? [] : [turnsCheckMs]),
  ];
  return checks.length === 0 ? undefined : Math.min(...checks);
}

/** Whether a session has had the time or the turns that it was given. */
export function isOverLimit(deps: Deps, session: SessionRecord): boolean {
  if (session.endsAt !== null && session.endsAt <= deps.now()) return true;
  return session.maxTurns !== null && turnsOf(deps, session) >= session.maxTurns;
}

/** Answers of the model in a session: one between two calls of tools. */
function turnsOf(deps: Deps, session: SessionRecord): number {
  const source = findAgent(session.type)?.conversation;
  if (source === undefined) return 0;
  const entries = readConversation(homeOnHost(deps, session), source, wholeBytes)?.entries ?? [];
  return entries.filter((entry) => entry.usage !== undefined).length;
}
