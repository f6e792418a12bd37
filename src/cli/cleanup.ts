import { chooseInstances, type Chosen, type Cleanup } from "../core/cleanup.ts";
import { HeadjackError } from "../errors.ts";
import { ago } from "../ui/time.ts";
import type { Context } from "./context.ts";
import { heal, sessionNames, syncAndTell } from "./find.ts";
import { lookAtLosses } from "./losses.ts";
import { deleteBranchAndTell, removeAndTell } from "./remove.ts";
import { ChildExit, reportError } from "./report-error.ts";

interface How extends Cleanup {
  force: boolean;
  deleteBranch: boolean;
  dryRun: boolean;
}

/** Removes the instances of this repository that are past their use; asks once for all of them. */
export async function cleanUp(context: Context, how: How): Promise<void> {
  const { io } = context;
  const repository = await context.repository();
  await heal(context);
  for (const instance of context.deps().store.instances(repository.id)) {
    io.step(`looking at ${instance.branch}`);
    await syncAndTell(context, instance);
  }
  const chosen = await chooseInstances(context.deps(), repository, how);
  io.stepDone();
  if (chosen.length === 0) return io.note("There is no instance to remove.");
  if (how.dryRun) {
    for (const one of chosen) io.out(`Would remove ${describe(one)}`);
    return;
  }
  if (how.force) return await removeAll(context, chosen, how);
  const removable: Chosen[] = [];
  let refused = false;
  for (const one of chosen) {
    io.step(`looking at ${one.instance.branch}`);
    const { lines, refusal } = await lookAtLosses(context, one.instance);
    io.stepDone();
    io.note(`This will remove ${describe(one)}`);
    for (const line of lines) io.note(`  ${line}`);
    if (refusal === undefined) removable.push(one);
    else reportError(refusal, (text) => io.note(text.trimEnd()), false);
    refused ||= refusal !== undefined;
  }
  if (!io.stdinIsTerminal) {
    throw new HeadjackError("Nothing was removed: there is nobody to ask.", {
      hints: ["With --force they are removed without a question; --dry-run only lists them."],
    });
  }
  if (removable.length > 0) {
    const question = removable.length === 1 ? "Remove this one?" : `Remove these ${removable.length}?`;
    if (!(await io.confirm(question))) return io.note("All were kept.");
    await removeAll(context, removable, how);
  }
  if (refused) throw new ChildExit(1);
}

async function removeAll(context: Context, chosen: Chosen[], how: How): Promise<void> {
  let firstFailure: number | undefined;
  for (const { instance } of chosen) {
    // Ctrl+C keeps those that are not begun.
    context.signal.throwIfAborted();
    try {
      await removeAndTell(context, instance, how.force);
      if (how.deleteBranch) await deleteBranchAndTell(context, instance);
    } catch (error) {
      context.io.stepDone();
      const code = reportError(error, (text) => context.io.note(text.trimEnd()), false);
      firstFailure ??= code;
    }
  }
  if (firstFailure !== undefined) throw new ChildExit(firstFailure);
}

const describe = (one: Chosen): string =>
  `instance ${one.instance.id} for branch ${one.instance.branch}: ${whyOf(one)}`;

function whyOf({ merged, usedAt, running }: Chosen): string {
  const sessions = running.map((session) => session.record);
  return [
    ...(merged === undefined ? [] : [`merged into ${merged}`]),
    `last used ${ago(new Date(usedAt), new Date())}`,
    ...(sessions.length === 0 ? [] : [`still running: ${sessionNames(sessions)}`]),
  ].join(", ");
}
