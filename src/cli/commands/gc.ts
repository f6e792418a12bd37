import type { Command } from "@commander-js/extra-typings";
import { findGarbage } from "../../core/gc.ts";
import { currentBaseImage } from "../../core/image.ts";
import type { Context } from "../context.ts";
import { heal } from "../find.ts";
import { imageAgents } from "../image.ts";

export function addGc(program: Command, context: Context): void {
  program
    .command("gc")
    .summary("remove what is of no more use")
    .description(
      "Removes snapshots that are past snapshots.keep or beyond snapshots.max of their instance, base images of " +
        "Headjack's own that are older than a day and that no instance uses, images with a repository's setup that none uses, " +
        "conversations and recordings of instances that were removed before snapshots.keep, " +
        "and what is left of repositories that are gone.",
    )
    .option("--dry-run", "say what would be removed, and change nothing")
    .addHelpText("after", "\nExamples:\n  $ hjk gc --dry-run\n  $ hjk gc")
    .action(async (options) => {
      await heal(context);
      const config = await context.config();
      const deps = context.deps();
      context.io.step("looking");
      const garbage = await findGarbage(
        deps,
        config.snapshots,
        await currentBaseImage(deps, imageAgents(config)),
      );
      context.io.stepDone();
      if (garbage.length === 0) return context.io.note("There is nothing to remove.");
      let bytes = 0;
      for (const one of garbage) {
        context.signal.throwIfAborted();
        if (options.dryRun !== true && !(await one.remove())) {
          context.io.note(`${one.what} is in use`);
          continue;
        }
        bytes += one.bytes;
        const size = one.bytes === 0 ? "" : ` (${megabytes(one.bytes)})`;
        context.io.out(`${options.dryRun === true ? "Would remove" : "Removed"} ${one.what}${size}`);
      }
      // Layers that another image has, too, stay.
      if (bytes > 0) context.io.note(`Up to ${megabytes(bytes)} in all.`);
      if (garbage.some(({ kind }) => kind === "snapshot"))
        context.io.note("What only removed snapshots hold goes when git collects garbage in the repository.");
    });
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1_000_000)} MB`;
}
