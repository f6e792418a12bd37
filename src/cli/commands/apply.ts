import type { Command } from "@commander-js/extra-typings";
import { applyToWorktree } from "../../core/apply.ts";
import { HeadjackError } from "../../errors.ts";
import type { InstanceRecord } from "../../store/records.ts";
import type { Context } from "../context.ts";
import { tellUncommitted, whatIsHeld } from "../diff.ts";
import { findInstance, standsIn } from "../find.ts";

/** Names of files and lines of git in a message at most. */
const shownAtMost = 20;

export function addApply(program: Command, context: Context): void {
  program
    .command("apply")
    .summary("put a branch's changes into your files, uncommitted")
    .description(
      "Puts what the branch of an instance has changed into the worktree that you stand in, without a commit; also " +
        "what is in no commit there. All of it or nothing: what conflicts or would overwrite your work is refused.",
    )
    .argument("<branch>", "branch of the instance")
    .option("--committed", "without what is in no commit")
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk apply feat/login\n  $ hjk apply feat/login --committed && npm test",
    )
    .action(async (branch, options) => {
      const { io, signal } = context;
      const instance = await findInstance(context, branch, { offerNew: false });
      const folder = await worktreeFolder(context, instance);
      const held = await whatIsHeld(context, instance, { ...options, reason: "apply" });
      io.step(`applying ${instance.branch}`);
      const outcome = await applyToWorktree(context.deps(), instance, held, { folder, signal });
      io.stepDone();
      if (outcome.kind === "conflict") {
        throw new HeadjackError(
          `${instance.branch} conflicts with what you have committed, in: ${shortened(outcome.files, ", ")}.`,
          { hints: ["Nothing was changed.", `Take it in as a merge: hjk merge ${branch}`] },
        );
      }
      if (outcome.kind === "blocked") {
        throw new HeadjackError(
          `${instance.branch} does not fit into your files:\n${shortened(outcome.why.split("\n"), "\n")}`,
          { hints: ["Nothing was changed. Commit, stash or move away what is yours there, and try again."] },
        );
      }
      tellUncommitted(context, held);
      const { warning } = context.deps().store.instanceById(instance.id) ?? instance;
      if (warning !== "") io.note(`warning: ${instance.branch}: ${warning}`);
      const count = outcome.files.length;
      if (count === 0) io.note(`Your files have everything of ${instance.branch} already.`);
      else io.out(`Applied ${instance.branch}: ${count} ${count === 1 ? "file" : "files"}, uncommitted`);
    });
}

/** Top folder of the worktree that the user stands in, which must be one of the instance's repository. */
async function worktreeFolder(context: Context, instance: InstanceRecord): Promise<string> {
  const { git, cwd } = context;
  if (await standsIn(context, instance)) {
    const found = await git.try(["rev-parse", "--show-toplevel"], { cwd, discover: true });
    if (found.code === 0) return found.stdout.trimEnd();
  }
  throw new HeadjackError(`You are not in a worktree of the repository of ${instance.branch}.`, {
    kind: "usage",
    hints: ["Go to the folder whose files shall change."],
  });
}

function shortened(items: readonly string[], separator: string): string {
  const more = items.length - shownAtMost;
  return `${items.slice(0, shownAtMost).join(separator)}${more > 0 ? ` and ${more} more` : ""}`;
}
