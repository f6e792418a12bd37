import type { Command } from "@commander-js/extra-typings";
import { refreshSessions } from "../../core/session.ts";
import { HeadjackError } from "../../errors.ts";
import type { InstanceRecord } from "../../store/records.ts";
import { cleanUp } from "../cleanup.ts";
import type { Context } from "../context.ts";
import { sessionNames, syncAndTell } from "../find.ts";
import { lookAtLosses } from "../losses.ts";
import { forEachInstance } from "../many.ts";
import { durationOption } from "../options.ts";
import { deleteBranchAndTell, removeAndTell } from "../remove.ts";

interface Options {
  force?: true;
  merged?: true;
  all?: true;
  olderThan?: number;
  deleteBranch?: true;
  dryRun?: true;
}

export function addRm(program: Command, context: Context): void {
  program
    .command("rm")
    .summary("remove instances; their branches stay")
    .description(
      "Removes instances: container, worktree, sessions and recordings. The branch and its commits stay in your " +
        "repository, and what is in no commit stays there as a snapshot: hjk undo brings it back, and the agents' " +
        "conversations. Shows first what is in no commit and what would be lost, and asks.",
    )
    .argument("[branch...]", "branches of the instances")
    .option("--merged", "those of this repository whose commits are in your branch")
    .option("--older-than <time>", "those made and last used longer ago, as 7d or 12h", durationOption)
    .option("--all", "all of this repository")
    .option("--delete-branch", "delete also the branch, if it is merged")
    .option("--dry-run", "say what would go and why, and remove nothing")
    .option("-f, --force", "do not ask, and go on where files cannot be kept")
    .addHelpText(
      "after",
      `
--merged and --older-than together mean those that are both. Your branch is the one that the main worktree has checked
out; what is in its upstream (origin/main) is merged, too. What was taken in by --squash or --rebase is not seen as merged,
nor is a branch without a commit of its own.

Examples:
  $ hjk rm feat/login
  $ hjk rm -f feat/login docs/api
  $ hjk rm --merged --delete-branch
  $ hjk rm --older-than 7d --dry-run`,
    )
    .action(async (branches, options: Options) => {
      const chooses = options.merged ?? options.all ?? options.olderThan !== undefined;
      if (chooses && branches.length > 0) {
        throw new HeadjackError("Branches and --merged, --older-than or --all do not go together.", {
          kind: "usage",
          hints: ["Name the branches, or say which ones by these options."],
        });
      }
      if (!chooses && branches.length === 0) {
        throw new HeadjackError("There is no branch to remove the instance of.", {
          kind: "usage",
          hints: ["Name one: hjk rm feat/login", "Or say which ones: --merged, --older-than 7d, --all"],
        });
      }
      const how = {
        force: options.force === true,
        deleteBranch: options.deleteBranch === true,
        dryRun: options.dryRun === true,
      };
      if (chooses) {
        const { olderThan: olderThanMs } = options;
        return await cleanUp(context, {
          ...how,
          merged: options.merged === true,
          ...(olderThanMs === undefined ? {} : { olderThanMs }),
        });
      }
      await forEachInstance(context, branches, async (instance) => {
        if (how.dryRun) context.io.out(`Would remove instance ${instance.id} for branch ${instance.branch}`);
        else await removeOne(context, instance, how);
      });
    });
}

async function removeOne(
  context: Context,
  instance: InstanceRecord,
  { force, deleteBranch }: { force: boolean; deleteBranch: boolean },
): Promise<void> {
  const { io } = context;
  io.step(`looking at ${instance.branch}`);
  await syncAndTell(context, instance);
  if (!force) {
    const { lines, refusal } = await lookAtLosses(context, instance);
    await refreshSessions(context.deps());
    io.stepDone();
    for (const line of lines) io.note(line);
    if (refusal !== undefined) throw refusal;
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
  if (deleteBranch) await deleteBranchAndTell(context, instance);
}
