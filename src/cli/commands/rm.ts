import type { Command } from "@commander-js/extra-typings";
import { findLoss, type Loss } from "../../core/loss.ts";
import { keepRefs } from "../../core/kept.ts";
import { takeLastSnapshot, type Snapshot } from "../../core/snapshot.ts";
import type { LeftOutWhy } from "../../drivers/git/snapshot-script.ts";
import { refreshSessions } from "../../core/session.ts";
import { HeadjackError } from "../../errors.ts";
import { cleanText } from "../../ui/clean.ts";
import type { InstanceRecord } from "../../store/store.ts";
import type { Context } from "../context.ts";
import { sessionNames, syncAndTell } from "../find.ts";
import { forEachInstance } from "../many.ts";
import { removeAndTell } from "../remove.ts";

/** Lost files and commits named at most; the rest is counted. */
const shownAtMost = 10;

export function addRm(program: Command, context: Context): void {
  program
    .command("rm")
    .summary("remove instances; their branches stay")
    .description(
      "Removes instances: container, worktree, sessions and recordings. The branch and its commits stay in your " +
        "repository, and what is in no commit stays there as a snapshot: hjk undo brings it back. Shows first what is " +
        "in no commit and what would be lost, and asks.",
    )
    .argument("<branch...>", "branches of the instances")
    .option("-f, --force", "do not ask, and go on where files cannot be kept")
    .addHelpText("after", "\nExamples:\n  $ hjk rm feat/login\n  $ hjk rm -f feat/login docs/api")
    .action(async (branches, options) => {
      await forEachInstance(context, branches, (instance) =>
        removeOne(context, instance, options.force === true),
      );
    });
}

async function removeOne(context: Context, instance: InstanceRecord, force: boolean): Promise<void> {
  const { io } = context;
  io.step(`looking at ${instance.branch}`);
  await syncAndTell(context, instance);
  if (!force) {
    // Before anything is asked, so that what cannot be kept is known by then.
    const kept = await keepFiles(context, instance);
    const loss = await findLoss(context.deps(), instance);
    await refreshSessions(context.deps());
    io.stepDone();
    for (const line of describeLoss(loss, kept)) io.note(line);
    if (kept instanceof HeadjackError) throw notRemoved(instance, kept);
    const live = context
      .deps()
      .store.sessions(instance.id)
      .filter((session) => session.state !== "ended");
    if (live.length > 0) {
      const running = live.length === 1 ? "session is" : "sessions are";
      io.note(`${live.length} ${running} still running: ${sessionNames(live)}`);
    }
    if (!io.stdinIsTerminal) {
      throw new HeadjackError(`${instance.branch} was not removed: there is nobody to ask.`, {
        hints: ["Nothing was changed. With --force it is removed without a question."],
      });
    }
    io.note(`This will remove instance ${instance.id} for branch ${instance.branch}`);
    io.note(`Worktree at ${instance.workspace} will be deleted.`);
    if (!(await io.confirm("Are you sure?"))) {
      io.note(`${instance.branch} was kept.`);
      return;
    }
  }
  // Ctrl+C up to here removes nothing.
  context.signal.throwIfAborted();
  await removeAndTell(context, instance, force);
}

/** What stays of an instance. */
interface Kept {
  snapshot: Snapshot | undefined;
  /** Names of its other branches, tags and stashes. */
  refs: string[];
}

async function keepFiles(context: Context, instance: InstanceRecord): Promise<Kept | HeadjackError> {
  const deps = context.deps();
  try {
    const current = deps.store.instanceById(instance.id) ?? instance;
    const snapshot = await takeLastSnapshot(deps, current, "rm", { signal: context.signal });
    return { snapshot, refs: await keepRefs(deps, current) };
  } catch (error) {
    if (error instanceof HeadjackError) return error;
    throw error;
  }
}

function notRemoved(instance: InstanceRecord, why: HeadjackError): HeadjackError {
  return new HeadjackError(`${instance.branch} was not removed. ${why.message}`, {
    kind: why.kind === "engine" ? "engine" : "failed",
    cause: why,
    hints: [...why.hints, `To give up what would be lost, and remove it: hjk rm -f ${instance.branch}`],
  });
}

const whys = {
  large: "too large",
  repository: "a repository inside",
  unreadable: "cannot be read",
} as const satisfies Record<LeftOutWhy, string>;

function describeLoss(loss: Loss, kept: Kept | HeadjackError): string[] {
  const unknown =
    loss.unknown === undefined
      ? []
      : [`warning: What is only in its workspace could not be found out: ${loss.unknown}`];
  const commits = listed(
    loss.commits,
    (count) => `This would lose ${count} not in your repository:`,
    "commit that is",
    "commits that are",
  );
  if (kept instanceof HeadjackError) {
    return [
      ...unknown,
      ...listed(loss.files, (count) => `This would lose ${count} in no commit:`),
      ...commits,
    ];
  }
  const leftOut = kept.snapshot?.leftOut ?? [];
  const lost = leftOut.map(({ path, why }) => `${path} (${whys[why as LeftOutWhy]})`);
  const left = new Set(leftOut.map(({ path }) => path));
  const saved = loss.files.filter((file) => !left.has(file.replace(/\/$/, "")));
  return [
    ...unknown,
    ...listed(saved, (count) => `${count} in no commit:`),
    ...(kept.snapshot === undefined
      ? []
      : [`This stays as snapshot ${kept.snapshot.number}, and hjk undo brings the instance back with it.`]),
    ...listed(kept.refs, (count) => `${count} not in your repository, kept there by this:`, ...ofRefs),
    ...listed(lost, (count) => `This would lose ${count} that no snapshot takes:`),
    ...commits,
  ];
}

const ofRefs = ["branch, tag or stash that is", "branches, tags and stashes that are"] as const;

function listed(items: string[], heading: (count: string) => string, one = "file", many = "files"): string[] {
  if (items.length === 0) return [];
  const more = items.length - shownAtMost;
  return [
    heading(`${items.length} ${items.length === 1 ? one : many}`),
    // Each on one line: a name may hold a line that looks like ours.
    ...items.slice(0, shownAtMost).map((item) => `  ${cleanText(item)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}
