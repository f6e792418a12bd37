import type { Command } from "@commander-js/extra-typings";
import { checkBranchName } from "../../core/names.ts";
import { restoreInstance, restoreToBranch } from "../../core/restore.ts";
import { isBranchName } from "../../drivers/git/repository.ts";
import { HeadjackError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { chooseSnapshot, findPast } from "../past.ts";
import { reviveAndTell } from "../revive.ts";

export function addRestore(program: Command, context: Context): void {
  program
    .command("restore")
    .summary("put files back as a snapshot has them")
    .description(
      "Puts the files of an instance back as a snapshot has them (default: the newest). Commits stay as they are, and what " +
        "is there now is kept as a snapshot first. Makes an instance again that was removed. With --to, your repository " +
        "gets a new branch with those files instead, and the instance stays as it is.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[snapshot]", "its number, as hjk history lists it")
    .option("--to <branch>", "name of a new branch")
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk restore feat/login 3\n  $ hjk restore feat/login --to rescued/login",
    )
    .action(async (branch, name, options) => {
      const deps = context.deps();
      const past = await findPast(context, branch);
      if (options.to !== undefined) {
        const snapshot = chooseSnapshot(past, name);
        checkBranchName(options.to);
        if (!(await isBranchName(context.git, options.to))) {
          throw new HeadjackError(`git does not take ${JSON.stringify(options.to)} for a branch name.`, {
            kind: "usage",
          });
        }
        const { commit, warning } = await restoreToBranch(deps, past.repository, snapshot, options.to);
        context.io.out(
          `Made branch ${options.to} at ${commit.slice(0, 10)}, with the files of snapshot ${snapshot.number}`,
        );
        if (warning !== "") context.io.note(`warning: ${options.to}: ${warning}`);
        return;
      }
      if (past.instance === undefined) {
        if (past.removal === undefined) {
          throw new HeadjackError(
            `The instance of ${past.branch} is gone, and what it was made of is not known.`,
            {
              kind: "not-found",
              hints: [`Have its files as a branch: hjk restore ${past.branch} --to NEW_BRANCH`],
            },
          );
        }
        // As it was when it was removed; without a snapshot it had nothing but commits then.
        const wanted = name ?? past.removal.snapshot?.toString();
        const snapshot = wanted === undefined ? undefined : chooseSnapshot(past, wanted);
        await reviveAndTell(context, past.repository, past.removal, snapshot);
        return;
      }
      const snapshot = chooseSnapshot(past, name);
      context.io.step(`restoring ${past.branch}`);
      const before = await restoreInstance(deps, past.instance, snapshot);
      context.io.stepDone();
      context.io.out(`Restored the files of ${past.branch} as of snapshot ${snapshot.number}`);
      if (before !== undefined)
        context.io.note(`What was there before is snapshot ${before.number}. Back to it: hjk undo`);
    });
}
