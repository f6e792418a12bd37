import type { Command } from "@commander-js/extra-typings";
import { startInstance } from "../../core/instance.ts";
import type { Context } from "../context.ts";
import { forEachInstance } from "../many.ts";

export function addStart(program: Command, context: Context): void {
  program
    .command("start")
    .summary("start stopped instances")
    .description(
      "Starts the containers of stopped instances. Open a session in one with `hjk run`, `hjk agent` or `hjk exec`.",
    )
    .argument("<branch...>", "branches of the instances")
    .addHelpText("after", "\nExample:\n  $ hjk start feat/login")
    .action(async (branches) => {
      await forEachInstance(context, branches, async (instance) => {
        const outcome = await startInstance(context.deps(), instance, (step) => context.io.step(step));
        context.io.stepDone();
        const what = outcome === "running" ? "Already running: instance" : "Started instance";
        context.io.out(`${what} ${instance.id} for branch ${instance.branch}`);
      });
    });
}
