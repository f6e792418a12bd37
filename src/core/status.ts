import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import { labels, type ContainerSummary, type Engine } from "../drivers/engine/engine.ts";
import { hasWorkspace, instanceFiles } from "../drivers/instance-files.ts";
import type { Activity } from "./activity.ts";
import { instanceFolder, type Deps } from "./deps.ts";
import { isResumable, refreshSessions, screenName } from "./session.ts";

/** `missing`: its container or its workspace has been removed behind Headjack's back. */
export type InstanceStatus = "running" | "stopped" | "creating" | "removing" | "missing";
export type SessionStatus = "attached" | "detached" | "exited";

export interface InstanceView {
  record: InstanceRecord;
  status: InstanceStatus;
  sessions: SessionView[];
}

export interface SessionView {
  record: SessionRecord;
  status: SessionStatus;
  /** Unix time in milliseconds: last attached to, read, or active on its screen. */
  accessedAt: number;
  /** What its agent is doing; undefined for a shell, and for an agent that was ended. */
  activity: Activity | undefined;
  /** Whether its agent can be brought back with its conversation. */
  resumable: boolean;
}

/** Asks the engine for its containers that are ours or another store's; may be begun before the store is open. */
export async function listContainers(engine: () => Promise<Engine>): Promise<ContainerSummary[]> {
  return await (await engine()).list(labels.store);
}

/** The one truth about instances and their sessions: the records, held against the engine and tmux. */
export async function viewInstances(
  deps: Deps,
  listing?: Promise<ContainerSummary[]>,
): Promise<InstanceView[]> {
  const records = deps.store.instances();
  if (records.length === 0) return [];
  const [screens, containers] = await Promise.all([
    refreshSessions(deps),
    listing ?? listContainers(deps.engine),
  ]);
  const running = new Map(containers.map((container) => [container.name, container.running]));
  // The list may be older than the records: a container that is not on it may have been made since.
  const unlisted = records.filter((record) => record.state === "ready" && !running.has(record.container));
  await Promise.all(
    unlisted.map(async ({ container }) => {
      const found = await (await deps.engine()).inspect(container);
      if (found !== undefined) running.set(container, found.running);
    }),
  );
  const known = deps.store.sessions();
  // Loaded only where there is an agent: start-up time counts.
  const activityOf = known.some((session) => session.type !== "shell")
    ? (await import("./activity.ts")).activityOf
    : undefined;
  const sessions = Map.groupBy(known, (session) => session.instanceId);
  return records.map((record) => ({
    record,
    status: statusOf(
      record,
      running.get(record.container),
      hasWorkspace(instanceFiles(instanceFolder(deps, record)), record.workspace),
    ),
    sessions: (sessions.get(record.id) ?? []).map((session) => {
      const screen = session.state === "ended" ? undefined : screens.get(screenName(record.id, session.name));
      return {
        record: session,
        status: session.state === "ended" ? "exited" : screen?.attached === true ? "attached" : "detached",
        accessedAt: Math.max(session.accessedAt, screen?.activityAt ?? 0),
        activity: activityOf?.(deps, session, screen),
        resumable: isResumable(session),
      };
    }),
  }));
}

function statusOf(record: InstanceRecord, running: boolean | undefined, present: boolean): InstanceStatus {
  if (record.state !== "ready") return record.state;
  if (running === undefined || !present) return "missing";
  return running ? "running" : "stopped";
}

/** Names of the sessions at work whose agent holds its credential itself. */
export function exposedSessions(sessions: readonly SessionView[]): string[] {
  return sessions
    .filter(({ record, status }) => record.exposed === 1 && status !== "exited")
    .map(({ record }) => record.name);
}
