import type { Command } from "@commander-js/extra-typings";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";
import { push } from "../push.ts";
import { ChildExit } from "../report-error.ts";

export function addPush(program: Command, context: Context): void {
  program
    .command("push")
    .summary("push a branch to a remote of yours")
    .description(
      "Brings the commits of an instance home and pushes its branch, by your own git on this machine: with your " +
        "credentials and your hooks, as for any push of yours. A branch that follows none yet then follows the remote.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[remote]", "remote to push to (default: the one that git push would take)")
    .addHelpText(
      "after",
      "\nThe exit code is git's.\n\nExamples:\n  $ hjk push feat/login\n  $ hjk push feat/login fork",
    )
    .action(async (branch, remote) => {
      const instance = await findInstance(context, branch, { offerNew: false });
      const code = await push(context, instance, remote);
      if (code !== 0) throw new ChildExit(code);
    });
}
