import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { didYouMean } from "../config/nearest.ts";
import { syncInstance } from "../core/sync.ts";
import { healInstances } from "../core/instance.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord, SessionRecord } from "../store/store.ts";
import type { Context } from "./context.ts";

/** Id of the repository that the user stands in; undefined outside of any. */
export async function currentRepoId(context: Context): Promise<string | undefined> {
  const known = knownRepoId(context);
  if (known !== undefined) return known;
  try {
    return (await context.repository()).id;
  } catch (error) {
    if (error instanceof HeadjackError) return undefined;
    throw error;
  }
}

/**
 * The same without asking git, where the folder is plainly inside the main worktree of a repository
 * that has had an instance: `hjk ps` is called often enough for the milliseconds to count.
 */
function knownRepoId(context: Context): string | undefined {
  if (context.env["GIT_DIR"] !== undefined) return undefined;
  const repos = context.deps().store.repos();
  for (let folder = context.cwd; ; folder = dirname(folder)) {
    const gitDir = join(folder, ".git");
    if (existsSync(gitDir)) return repos.find((repo) => repo.gitDir === gitDir)?.id;
    if (folder === dirname(folder)) return undefined;
  }
}

/** The instance that the user means by a branch of this repository, or by an instance's id. */
export async function findInstance(context: Context, name: string): Promise<InstanceRecord> {
  const { store } = context.deps();
  await healInstances(context.deps());
  const byId = store.instanceById(name);
  if (byId !== undefined) return byId;
  const repoId = await currentRepoId(context);
  const known = store.instances(repoId).filter((instance) => instance.state === "ready");
  const found = known.filter((instance) => instance.branch === name);
  if (found[0] !== undefined && found.length === 1) return found[0];
  if (found.length > 1) {
    throw new HeadjackError(`More than one repository has an instance for ${name}.`, {
      kind: "usage",
      hints: [
        "Go to the repository that you mean.",
        `Or name the instance: ${found.map((one) => one.id).join(", ")}`,
      ],
    });
  }
  const near = didYouMean(
    name,
    known.map((instance) => instance.branch),
  );
  throw new HeadjackError(`There is no instance for branch ${name}.`, {
    kind: "not-found",
    hints: [
      near === undefined ? `Make one: hjk run ${name}` : `Did you mean ${near}?`,
      "`hjk ps -a` lists all instances.",
    ],
  });
}

/** The session that the user means; its name may be left out where there is no doubt. */
export function findSession(
  context: Context,
  instance: InstanceRecord,
  name: string | undefined,
): SessionRecord {
  const all = context.deps().store.sessions(instance.id);
  const live = all.filter((session) => session.state !== "ended");
  if (name !== undefined) {
    // A name may have been used again: the living one is meant, then the newest.
    const named =
      live.find((session) => session.name === name) ?? all.findLast((session) => session.name === name);
    if (named !== undefined) return named;
    const near = didYouMean(
      name,
      all.map((session) => session.name),
    );
    throw new HeadjackError(`${instance.branch} has no session named ${name}.`, {
      kind: "not-found",
      hints: [near === undefined ? sessionsHint(instance, all) : `Did you mean ${near}?`],
    });
  }
  const only = live.length === 1 ? live[0] : all.length === 1 ? all[0] : undefined;
  if (only !== undefined) return only;
  if (all.length === 0) {
    throw new HeadjackError(`${instance.branch} has no session.`, {
      kind: "not-found",
      hints: [`Start one: hjk agent ${instance.branch}, or hjk exec ${instance.branch}`],
    });
  }
  throw new HeadjackError(`${instance.branch} has more than one session; say which.`, {
    kind: "usage",
    hints: [sessionsHint(instance, live.length > 0 ? live : all)],
  });
}

function sessionsHint(instance: InstanceRecord, sessions: SessionRecord[]): string {
  if (sessions.length === 0) return `It has none; start one: hjk agent ${instance.branch}`;
  return `Its sessions: ${[...new Set(sessions.map((session) => session.name))].join(", ")}`;
}

/** Brings an instance's commits home, and says so when that is not possible. */
export async function syncAndTell(context: Context, instance: InstanceRecord): Promise<void> {
  const current = context.deps().store.instanceById(instance.id) ?? instance;
  const { notice } = await syncInstance(context.deps(), current, context.signal);
  if (notice !== "" && !context.signal.aborted) context.io.note(`warning: ${instance.branch}: ${notice}`);
}
