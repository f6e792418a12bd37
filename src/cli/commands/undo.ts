import type { Command } from "@commander-js/extra-typings";
import { lastEvent, snapshotGone, undoInPlace } from "../../core/restore.ts";
import { listSnapshots } from "../../core/snapshot.ts";
import { HeadjackError } from "../../errors.ts";
import { formatTable } from "../../ui/table.ts";
import { ago, iso } from "../../ui/time.ts";
import { carryRequest } from "../carry.ts";
import type { Context } from "../context.ts";
import { heal } from "../find.ts";
import { reviveAndTell } from "../revive.ts";
import { setUpAndTell } from "../set-up.ts";

export function addUndo(program: Command, context: Context): void {
  program
    .command("undo")
    .summary("take back the last rm, recreate or restore")
    .description(
      "Takes back the last command of this repository that removed or replaced something, then the one before it. After rm: " +
        "the instance is there again, on its branch and with its uncommitted files, and its agents with their conversations. " +
        "After restore: the files are as they were. After recreate: the image and flags are those from before.",
    )
    .option("--list", "list these commands, and change nothing")
    .addHelpText("after", "\nExamples:\n  $ hjk undo\n  $ hjk undo --list")
    .action(async (options) => {
      const repository = await context.repository();
      await heal(context);
      if (options.list === true) return showEvents(context, repository.id);
      const deps = context.deps();
      const event = lastEvent(deps, repository);
      if (event === undefined) {
        throw new HeadjackError("There is nothing to undo in this repository.", { kind: "not-found" });
      }
      const snapshots = await listSnapshots(deps, repository, event.instanceId);
      const before = snapshots.find((one) => one.number === event.snapshot);
      if (event.snapshot !== null && before === undefined) throw snapshotGone(event);
      if (event.command === "rm") return await reviveAndTell(context, repository, event, before);
      context.io.step(`undoing ${event.command} of ${event.branch}`);
      await undoInPlace(deps, event, before, {
        carry: await carryRequest(context),
        onStep: (step) => context.io.step(step),
        onUnsaved: (reason) => context.io.note(`warning: ${reason}`),
      });
      context.io.stepDone();
      const instance = event.command === "recreate" ? deps.store.instanceById(event.instanceId) : undefined;
      if (instance !== undefined) await setUpAndTell(context, instance);
      context.io.out(`Took back ${event.command} of ${event.branch}`);
    });
}

function showEvents(context: Context, repoId: string): void {
  const tty = context.io.stdoutIsTerminal;
  const now = new Date();
  const events = context.deps().store.events(repoId).toReversed();
  if (events.length === 0 && tty) {
    context.io.note("Nothing was removed or replaced in this repository.");
    return;
  }
  const rows = events.map((event) => [
    tty ? ago(new Date(event.at), now) : iso(new Date(event.at)),
    event.command,
    event.branch,
    event.snapshot === null ? "" : String(event.snapshot),
    event.undone ? "undone" : "",
  ]);
  context.io.out(formatTable(["WHEN", "COMMAND", "BRANCH", "SNAPSHOT", "UNDONE"], rows, context.io.table));
}
