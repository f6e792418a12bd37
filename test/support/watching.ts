import { eventually, type Sandbox } from "./harness.ts";

/** An agent's activity, as `hjk ps --json` shows it. */
export interface ActivityJson {
  state: string;
  reason: string | null;
  source: string;
  since: string | null;
  message: string;
}

export interface WatchedSession {
  name: string;
  status: string;
  exitCode: number | null;
  end: string | null;
  activity: ActivityJson | null;
  resumable: boolean;
}

/** The sessions of a branch, as `hjk ps <branch> --json` shows them; those that were killed too. */
export async function sessionsOf(sandbox: Sandbox, branch: string): Promise<WatchedSession[]> {
  const text = await sandbox.ok(["ps", branch, "-a", "--json"]);
  return (JSON.parse(text) as { sessions: WatchedSession[] }).sessions;
}

/** The newest session of a branch. */
export async function sessionOf(sandbox: Sandbox, branch: string): Promise<WatchedSession> {
  const newest = (await sessionsOf(sandbox, branch)).at(-1);
  if (newest === undefined) throw new Error(`${branch} has no session`);
  return newest;
}

/** `waiting: question`, `done`, or how the session stands where there is no activity. */
export function stateText({ activity, status }: WatchedSession): string {
  if (activity === null) return status;
  return activity.reason === null ? activity.state : `${activity.state}: ${activity.reason}`;
}

/** Waits until the newest session of a branch is in a state; returns every state seen until then, each once in a row. */
export async function reaches(
  sandbox: Sandbox,
  branch: string,
  wanted: string,
  timeoutMs = 30_000,
): Promise<string[]> {
  const seen: string[] = [];
  await eventually(
    async () => {
      const state = stateText(await sessionOf(sandbox, branch));
      if (seen.at(-1) !== state) seen.push(state);
      return state === wanted;
    },
    async () =>
      `${branch} is ${wanted}; seen: ${seen.join(", ")}; its log:\n${await sandbox.ok(["logs", branch])}`,
    timeoutMs,
  );
  return seen;
}
