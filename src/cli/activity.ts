import type { Activity } from "../core/activity.ts";
import type { SessionView } from "../core/status.ts";
import { cleanText } from "../ui/clean.ts";
import { ago, iso } from "../ui/time.ts";

/** What a user with many agents must see first comes first. */
const urgency = ["waiting", "failed", "unknown", "starting", "working", "idle", "done"] as const;

/** The activity of an instance: of its sessions that live, or of the one that ended last, the one to look at first. */
export function mostUrgent(sessions: readonly SessionView[]): Activity | undefined {
  const agents = sessions.filter((session) => session.activity !== undefined);
  const live = agents.filter((session) => session.status !== "exited");
  const considered = live.length > 0 ? live : agents.slice(-1);
  return considered
    .flatMap((session) => session.activity ?? [])
    .toSorted((a, b) => urgency.indexOf(a.state) - urgency.indexOf(b.state))[0];
}

/** `waiting: question` */
export function activityText(activity: Activity | undefined): string {
  if (activity === undefined) return "";
  return activity.reason === undefined ? activity.state : `${activity.state}: ${activity.reason}`;
}

/** The same with its age, as in `waiting: question (3m)`. */
export function activityWithAge(activity: Activity | undefined, now: Date): string {
  const text = activityText(activity);
  if (activity === undefined || activity.since === null) return text;
  const age = ago(new Date(activity.since), now).replace(/ ago$/, "");
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
