import type { Command } from "@commander-js/extra-typings";
import { startInstance } from "../../core/instance.ts";
import type { Context } from "../context.ts";
import { forEachInstance } from "../many.ts";
import { resumeAgents } from "../resume.ts";
import { setUpAndTell } from "../set-up.ts";

export function addStart(program: Command, context: Context): void {
  program
    .command("start")
    .summary("start stopped instances, and bring their agents back")
    .description(
      "Starts the containers of stopped instances and brings back the agents that were stopped or lost with them, each " +
        'with its conversation. An agent that was interrupted waits to be told: hjk send <branch> "Go on".',
    )
    .argument("<branch...>", "branches of the instances")
    .option("--fresh", "the containers only, no agents")
    .addHelpText("after", "\nExamples:\n  $ hjk start feat/login\n  $ hjk start --fresh feat/login docs/api")
    .action(async (branches, options) => {
      await forEachInstance(context, branches, async (instance) => {
        const outcome = await startInstance(context.deps(), instance, (step) => context.io.step(step));
        context.io.stepDone();
        const what = outcome === "running" ? "Already running: instance" : "Started instance";
        context.io.out(`${what} ${instance.id} for branch ${instance.branch}`);
        await setUpAndTell(context, instance);
        if (options.fresh !== true) await resumeAgents(context, instance);
      });
    });
}
