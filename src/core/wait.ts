import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { viewInstances, type InstanceView, type SessionView } from "./status.ts";

/** What `hjk wait` can wait for. */
export const waitGoals = ["rest", "waiting", "idle", "done", "exited"] as const;
export type WaitGoal = (typeof waitGoals)[number];

export interface WaitRequest {
  /** Instances, each of which must have an agent. */
  instances: InstanceRecord[];
  /** Whether they were all named; otherwise those without a living agent are left out. */
  named?: boolean;
  /** Id of the only session that matters. */
  session?: string;
  goal: WaitGoal;
  /** Whether one session is enough. */
  any: boolean;
  /** Milliseconds; none: for ever. */
  timeoutMs: number | undefined;
  signal: AbortSignal;
  /** Told once of each session that begins to wait for the user, when that is not what is waited for. */
  onWaiting?: (target: Target) => void;
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
  const told = new Set<string>();
  for (;;) {
    const targets = targetsOf(await viewInstances(deps), request);
    const settled = targets.filter(({ session }) => before.get(session.record.id) === markOf(session));
    const over = settled.flatMap((target) => {
      const reached = outcome(target.session, request.goal);
      return reached === undefined ? [] : [{ ...target, reached }];
    });
    const reached = over.filter((one) => one.reached);
    if (request.any && reached.length > 0) return reached;
    if (over.length === targets.length) return over;
    const open = targets.filter((target) => !over.some((one) => one.session === target.session));
    if (Date.now() > deadline) throw timedOut(open, request.goal);
    request.signal.throwIfAborted();
    for (const target of open) {
      const { id } = target.session.record;
      if (target.session.activity?.state !== "waiting" || told.has(id)) continue;
      told.add(id);
      request.onWaiting?.(target);
    }
    before = new Map(targets.map(({ session }) => [session.record.id, markOf(session)]));
    await Bun.sleep(pollMs);
  }
}

export type Target = Pick<Waited, "branch" | "session">;

/** What is waited for: of each instance its agents that live, or the one that ended last. */
function targetsOf(views: InstanceView[], request: WaitRequest): Target[] {
  const groups = request.instances.map((instance) => {
    const view = views.find((one) => one.record.id === instance.id);
    const agents = (view?.sessions ?? []).filter(({ record }) =>
      request.session === undefined ? record.type !== "shell" : record.id === request.session,
    );
    const live = agents.filter((session) => session.status !== "exited");
    const chosen = live.length > 0 ? live : agents.slice(-1);
    if (chosen.length === 0 && request.named === true) throw nothingToWaitFor(instance.branch);
    return {
      live: live.length > 0,
      targets: chosen.map((session) => ({ branch: instance.branch, session })),
    };
  });
  const living = groups.filter((group) => group.live);
  const counted = request.named === true || living.length === 0 ? groups : living;
  const targets = counted.flatMap((group) => group.targets);
  if (targets.length === 0) throw nothingToWaitFor();
  return targets;
}

const markOf = ({ status, activity }: SessionView): string =>
  `${status === "exited"} ${activity?.state} ${activity?.since}`;

/** Whether the goal is reached; false when it cannot be any more, undefined when it may yet be. */
function outcome({ status, activity }: SessionView, goal: WaitGoal): boolean | undefined {
  const state = activity?.state;
  // An agent that was killed, stopped or lost has not come to rest by itself.
  const failed = state === "failed" || (status === "exited" && state !== "done");
  if (goal === "exited") return status === "exited" ? true : undefined;
  const reached = {
    done: state === "done",
    waiting: state === "waiting",
    idle: state === "idle" || state === "done",
    rest: state === "idle" || state === "done" || state === "waiting",
  }[goal];
  if (reached) return true;
  // It stays so until somebody does something about it.
  return failed || status === "exited" ? false : undefined;
}

function nothingToWaitFor(branch?: string): HeadjackError {
  return new HeadjackError(`No agent has been started${branch === undefined ? "" : ` on ${branch}`}.`, {
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
