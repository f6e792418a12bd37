import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/store.ts";
import type { Deps } from "./deps.ts";
import { viewInstances, type InstanceView, type SessionView } from "./status.ts";

/** What `hjk wait` can wait for. */
export const waitGoals = ["rest", "waiting", "idle", "done", "exited"] as const;
export type WaitGoal = (typeof waitGoals)[number];

export interface WaitRequest {
  /** Instances, or one session of one instance. */
  instances: InstanceRecord[];
  /** Id of the only session that matters. */
  session?: string;
  goal: WaitGoal;
  /** Whether one session is enough. */
  any: boolean;
  /** Milliseconds; none: for ever. */
  timeoutMs: number | undefined;
  signal: AbortSignal;
}

export interface Waited {
  branch: string;
  session: SessionView;
  /** Whether the goal was reached; otherwise it cannot be any more. */
  reached: boolean;
}

const pollMs = 250;

/**
 * Waits until the agents' sessions are where they are wanted, or cannot get there any more. A state
 * counts when it is seen twice in a row: between two of its turns an agent may seem to be done.
 */
export async function waitFor(deps: Deps, request: WaitRequest): Promise<Waited[]> {
  const deadline = request.timeoutMs === undefined ? Infinity : Date.now() + request.timeoutMs;
  let before = new Map<string, string>();
  for (;;) {
    const targets = (await viewInstances(deps)).flatMap((view) => sessionsOf(view, request));
    if (targets.length === 0) throw nothingToWaitFor(request);
    const settled = targets.filter(({ session }) => before.get(session.record.id) === markOf(session));
    const over = settled.flatMap((target) => {
      const reached = outcome(target.session, request.goal);
      return reached === undefined ? [] : [{ ...target, reached }];
    });
    const reached = over.filter((one) => one.reached);
    if (request.any && reached.length > 0) return reached;
    if (over.length === targets.length) return over;
    if (Date.now() > deadline) throw timedOut(targets, request.goal);
    request.signal.throwIfAborted();
    before = new Map(targets.map(({ session }) => [session.record.id, markOf(session)]));
    await Bun.sleep(pollMs);
  }
}

type Target = Pick<Waited, "branch" | "session">;

/** Sessions of agents that live; where none does, the one that ended last. */
function sessionsOf(view: InstanceView, request: WaitRequest): Target[] {
  if (!request.instances.some((instance) => instance.id === view.record.id)) return [];
  const agents = view.sessions.filter((session) =>
    request.session === undefined ? session.activity !== undefined : session.record.id === request.session,
  );
  const live = agents.filter((session) => session.status !== "exited");
  const chosen = live.length > 0 ? live : agents.slice(-1);
  return chosen.map((session) => ({ branch: view.record.branch, session }));
}

const markOf = ({ status, activity }: SessionView): string =>
  `${status === "exited"} ${activity?.state} ${activity?.since}`;

/** Whether the goal is reached; false when it cannot be any more, undefined when it may yet be. */
function outcome({ status, activity }: SessionView, goal: WaitGoal): boolean | undefined {
  const state = activity?.state;
  const exited = status === "exited";
  const reached = {
    exited,
    done: state === "done",
    waiting: state === "waiting",
    idle: state === "idle" || state === "done",
    rest: exited || state === "idle" || state === "done" || state === "waiting" || state === "failed",
  }[goal];
  if (reached) return true;
  if (exited) return false;
  // It stays so until somebody does something about it.
  return state === "failed" && goal !== "exited" ? false : undefined;
}

function nothingToWaitFor(request: WaitRequest): HeadjackError {
  const where = request.instances.map((instance) => instance.branch).join(", ");
  return new HeadjackError(`No agent has been started${where === "" ? "" : ` in ${where}`}.`, {
    kind: "not-found",
    hints: ["See what there is: hjk ps"],
  });
}

function timedOut(targets: Target[], goal: WaitGoal): HeadjackError {
  const now = targets.map(({ branch, session }) => {
    const { state = session.status, reason } = session.activity ?? {};
    return `${branch}/${session.record.name} is ${state}${reason === undefined ? "" : ` (${reason})`}`;
  });
  return new HeadjackError(
    `Timed out before all was ${goal === "rest" ? "at rest" : goal}: ${now.join(", ")}.`,
    {
      kind: "timeout",
    },
  );
}
