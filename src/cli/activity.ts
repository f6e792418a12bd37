import type { Activity } from "../core/activity.ts";
import type { SessionView } from "../core/status.ts";
import { cleanText } from "../ui/clean.ts";
import { ago, iso } from "../ui/time.ts";

/** What a user with many agents must see first comes first. */
const urgency = ["waiting", "failed", "unknown", "starting", "working", "idle", "done"] as const;

/** The session of an instance to look at first: among those that live, or the one that ended last. */
export function mostUrgent(sessions: readonly SessionView[]): SessionView | undefined {
  const agents = sessions.filter(
    (session) => session.record.type !== "shell" && session.record.end !== "killed",
  );
  const live = agents.filter((session) => session.status !== "exited");
  const considered = live.length > 0 ? live : agents.slice(-1);
  return considered.toSorted((a, b) => rank(a) - rank(b))[0];
}

const rank = ({ activity }: SessionView): number =>
  activity === undefined ? urgency.length : urgency.indexOf(activity.state);

/** How a session is, in one word or two: what its agent does, or how it ended. */
export function sessionState(session: SessionView | undefined): string {
  const record = session?.record;
  if (session?.status !== "exited" || record === undefined) return activityText(session);
  if (record.exitCode !== null) return `exited with code ${record.exitCode}`;
  return {
    exited: "exited",
    killed: "killed",
    stopped: "stopped",
    limit: "ended by its limit",
    lost: "lost",
  }[record.end ?? "exited"];
}

/** `waiting: question`; of an agent that was ended, what came of it. */
export function activityText(session: SessionView | undefined): string {
  const activity = session?.activity;
  if (activity === undefined) {
    if (session?.record.end === "limit") return "limit reached";
    return session?.resumable === true ? "resumable" : "";
  }
  return activity.reason === undefined ? activity.state : `${activity.state}: ${activity.reason}`;
}

/** The same with its age, as in `waiting: question (3m)`. */
export function activityWithAge(session: SessionView | undefined, now: Date): string {
  const text = activityText(session);
  const since = session?.activity?.since ?? null;
  if (since === null) return text;
  const age = ago(new Date(since), now).replace(/ ago$/, "");
  return age === "just now" ? text : `${text} (${age})`;
}

export function activityJson(activity: Activity | undefined, now: number): unknown {
  if (activity === undefined) return null;
  return {
    state: activity.state,
    reason: activity.reason ?? null,
    source: activity.source,
    since: activity.since === null ? null : iso(new Date(activity.since)),
    ageSeconds: activity.since === null ? null : Math.max(0, Math.round((now - activity.since) / 1000)),
    message: cleanText(activity.message).slice(0, 2000),
  };
}
