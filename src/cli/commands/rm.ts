import type { Command } from "@commander-js/extra-typings";
import { removeInstance } from "../../core/instance.ts";
import { findLoss, type Loss } from "../../core/loss.ts";
import { refreshSessions } from "../../core/session.ts";
import { HeadjackError } from "../../errors.ts";
import type { InstanceRecord } from "../../store/store.ts";
import type { Context } from "../context.ts";
import { sessionNames, syncAndTell } from "../find.ts";
import { forEachInstance } from "../many.ts";

/** Lost files and commits named at most; the rest is counted. */
const shownAtMost = 10;

export function addRm(program: Command, context: Context): void {
  program
    .command("rm")
    .summary("remove instances; their branches stay")
    .description(
      "Removes instances: container, worktree, sessions and recordings. The branch and its commits stay in your " +
        "repository. Shows first what would be lost, and asks.",
    )
    .argument("<branch...>", "branches of the instances")
    .option("-f, --force", "do not ask")
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
    const loss = await findLoss(context.deps(), instance);
    await refreshSessions(context.deps());
    io.stepDone();
    for (const line of describeLoss(loss)) io.note(line);
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
  io.step(`removing ${instance.branch}`);
  const aside = await removeInstance(context.deps(), instance);
  io.stepDone();
  io.out(`Removed instance ${instance.id} for branch ${instance.branch}`);
  if (aside !== undefined)
    io.note(`Its commits that are not on ${instance.branch} stay in your repository as ${aside}`);
}

function describeLoss(loss: Loss): string[] {
  if (loss.unknown !== undefined) {
    return [`warning: What is only in its workspace could not be found out: ${loss.unknown}`];
  }
  return [
    ...listed(loss.files, "file that is in no commit", "files that are in no commit"),
    ...listed(
      loss.commits,
      "commit that is not in your repository",
      "commits that are not in your repository",
    ),
  ];
}

function listed(items: string[], one: string, many: string): string[] {
  if (items.length === 0) return [];
  const more = items.length - shownAtMost;
  return [
    `This would lose ${items.length} ${items.length === 1 ? one : many}:`,
    ...items.slice(0, shownAtMost).map((item) => `  ${item}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}
