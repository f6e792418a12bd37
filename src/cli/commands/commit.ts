import type { Command } from "@commander-js/extra-typings";
import { commitInside } from "../../core/commit.ts";
import { HeadjackError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { findInstance, syncAndTell } from "../find.ts";
import { startAndSetUp } from "../set-up.ts";

export function addCommit(program: Command, context: Context): void {
  program
    .command("commit")
    .summary("commit what an agent has left uncommitted")
    .description(
      "Commits everything in an instance that is in no commit, new files that are not ignored too, and brings it " +
        "home. The commit is made in the container, as the agent's own are.",
    )
    .argument("<branch>", "branch of the instance")
    .requiredOption("-m, --message <text>", "message of the commit")
    .addHelpText("after", '\nExamples:\n  $ hjk commit feat/login -m "Add the login page"')
    .action(async (branch, { message }) => {
      const { io } = context;
      const deps = context.deps();
      if (message.trim() === "") throw new HeadjackError("The message is empty.", { kind: "usage" });
      const instance = await findInstance(context, branch, { offerNew: false });
      await startAndSetUp(context, instance, { finish: false });
      io.step(`committing on ${instance.branch}`);
      const made = await commitInside(deps, instance, message);
      await syncAndTell(context, instance);
      io.stepDone();
      if (made === undefined) return io.note(`There is nothing to commit on ${instance.branch}.`);
      const files = `${made.files} ${made.files === 1 ? "file" : "files"}`;
      io.out(`Committed ${made.commit.slice(0, 10)} on ${instance.branch}: ${files}`);
    });
}
