import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { didYouMean } from "../config/nearest.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import type { Context } from "./context.ts";

/** TYPE of a session that no agent runs in. */
const shellType = "shell";

/** Names of sessions in one line. */
const shownAtMost = 8;

/** Undoes or finishes what a crashed command left; loads what does it only where there is something. */
export async function heal(context: Context): Promise<void> {
  const deps = context.deps();
  const isWhole = deps.store.instances().every((instance) => instance.state === "ready");
  if (isWhole && deps.store.unfinishedSnapshots().length === 0) return;
  await (await import("../core/removal.ts")).healInstances(deps);
}

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

/**
 * The instance that the user means by a branch of this repository, or by an instance's id. A command
 * that has no use for a new one does not offer to make it.
 */
export async function findInstance(
  context: Context,
  name: string,
  options: { offerNew: boolean } = { offerNew: true },
): Promise<InstanceRecord> {
  const found = await lookForInstance(context, name);
  if (found !== undefined) return found;
  const near = didYouMean(
    name,
    (await readyInstances(context)).map((instance) => instance.branch),
  );
  const offer = options.offerNew ? [`Make one: hjk run ${name}`] : [];
  throw new HeadjackError(`There is no instance for branch ${name}.`, {
    kind: "not-found",
    hints: [...(near === undefined ? offer : [`Did you mean ${near}?`]), "`hjk ps -a` lists all instances."],
  });
}

/** The same, where it is no error that there is none. */
export async function lookForInstance(context: Context, name: string): Promise<InstanceRecord | undefined> {
  const { store } = context.deps();
  await heal(context);
  const byId = store.instanceById(name);
  if (byId !== undefined) return byId;
  const found = (await readyInstances(context)).filter((instance) => instance.branch === name);
  if (found.length > 1) {
    throw new HeadjackError(`More than one repository has an instance for ${name}.`, {
      kind: "usage",
      hints: [
        "Go to the repository that you mean.",
        `Or name the instance: ${found.map((one) => one.id).join(", ")}`,
      ],
    });
  }
  return found[0];
}

async function readyInstances(context: Context): Promise<InstanceRecord[]> {
  const known = context.deps().store.instances(await currentRepoId(context));
  return known.filter((instance) => instance.state === "ready");
}

/**
 * The session that the user means. Its name may be left out where there is no doubt: it is the only
 * one, or the only agent's, among those that live, or among all when none does.
 */
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
  const inQuestion = live.length > 0 ? live : all;
  const ofAgents = inQuestion.filter((session) => session.type !== shellType);
  const only = inQuestion.length === 1 ? inQuestion[0] : ofAgents.length === 1 ? ofAgents[0] : undefined;
  if (only !== undefined) return only;
  if (all.length === 0) {
    throw new HeadjackError(`${instance.branch} has no session.`, {
      kind: "not-found",
      hints: [`Start one: hjk agent ${instance.branch}, or hjk exec ${instance.branch}`],
    });
  }
  throw new HeadjackError(`${instance.branch} has more than one session; say which.`, {
    kind: "usage",
    hints: [sessionsHint(instance, inQuestion)],
  });
}

function sessionsHint(instance: InstanceRecord, sessions: SessionRecord[]): string {
  if (sessions.length === 0) return `It has none; start one: hjk agent ${instance.branch}`;
  return `Its sessions: ${sessionNames(sessions)}`;
}

/** Each name once, the newest first; what is too many to read is counted. */
export function sessionNames(sessions: SessionRecord[], prefix = ""): string {
  const names = [...new Set(sessions.map((session) => session.name).toReversed())];
  const more = names.length - shownAtMost;
  const shown = names.slice(0, shownAtMost).map((name) => `${prefix}${name}`);
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/**
 * Whether the user stands in a worktree of theirs of an instance's repository. The workspace of an
 * instance is none, though what an agent has written there may say so.
 */
export async function standsIn(context: Context, instance: InstanceRecord): Promise<boolean> {
  const inWorkspace = context
    .deps()
    .store.instances()
    .map((one) => realPath(one.workspace))
    .some((folder) => `${realPath(context.cwd)}/`.startsWith(`${folder}/`));
  return !inWorkspace && (await currentRepoId(context)) === instance.repoId;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The branch that the user has checked out where they stand, in the repository of an instance. */
export async function checkedOutBranch(context: Context, instance: InstanceRecord): Promise<string> {
  const { git, cwd } = context;
  const hints = ["Go to your own checkout, or name a branch: --into main"];
  if (!(await standsIn(context, instance))) {
    throw new HeadjackError(`You are not in a checkout of yours of ${instance.branch}'s repository.`, {
      kind: "usage",
      hints,
    });
  }
  const head = await git.try(["symbolic-ref", "--quiet", "--short", "HEAD"], { cwd, discover: true });
  if (head.code === 0) return head.stdout.trim();
  throw new HeadjackError("You have no branch checked out here.", { kind: "usage", hints });
}

/**
 * Milliseconds that a command which can do without them waits for commits: git in a container may answer nothing, and
 * most come home in a fifth of a second. The next command, or a screen that comes to rest, tries again.
 */
export const briefSyncMs = 5000;

/** Brings an instance's commits home, and says so when that is not possible, or takes longer than `patienceMs`. */
export async function syncAndTell(
  context: Context,
  instance: InstanceRecord,
  patienceMs?: number,
): Promise<void> {
  const { io, signal } = context;
  const current = context.deps().store.instanceById(instance.id) ?? instance;
  const { syncInstance } = await import("../core/sync.ts");
  const patience = patienceMs === undefined ? undefined : AbortSignal.timeout(patienceMs);
  const given = patience === undefined ? signal : AbortSignal.any([signal, patience]);
  const { state, notice } = await syncInstance(context.deps(), current, given);
  if (signal.aborted) return;
  if (state === "failed" && patience?.aborted === true)
    io.note(
      `warning: ${instance.branch}: git in its container does not answer; its newest commits are not here yet.`,
    );
  else if (notice !== "") io.note(`warning: ${instance.branch}: ${notice}`);
}
