import type { Command } from "@commander-js/extra-typings";
import { stopInstance } from "../../core/instance.ts";
import type { Context } from "../context.ts";
import { syncAndTell } from "../find.ts";
import { forEachInstance } from "../many.ts";

export function addStop(program: Command, context: Context): void {
  program
    .command("stop")
    .summary("stop instances; everything is kept")
    .description(
      "Ends the sessions of instances and stops their containers. Files, commits and recordings are kept.",
    )
    .argument("<branch...>", "branches of the instances")
    .addHelpText("after", "\nExample:\n  $ hjk stop feat/login docs/api")
    .action(async (branches) => {
      await forEachInstance(context, branches, async (instance) => {
        context.io.step(`stopping ${instance.branch}`);
        const stopped = await stopInstance(context.deps(), instance);
        context.io.stepDone();
        const what = stopped ? "Stopped instance" : "Already stopped: instance";
        context.io.out(`${what} ${instance.id} for branch ${instance.branch}`);
        await syncAndTell(context, instance);
      });
    });
}
