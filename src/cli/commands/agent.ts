import type { Command } from "@commander-js/extra-typings";
import { checkSessionName } from "../../core/names.ts";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";
import { countOption, durationOption } from "../options.ts";
import { checkInImage } from "../image.ts";
import { startAndSetUp } from "../set-up.ts";
import { checkCountsTurns, chooseAgent, openSession, programFor, requireTerminal } from "../start.ts";

export function addAgent(program: Command, context: Context): void {
  program
    .command("agent")
    .summary("start another agent in an instance")
    .description(
      "Opens a new session with a coding agent in an instance that exists already; starts it if it is stopped.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[agent]", "agent to start (default: default.agent)")
    .option("-p, --prompt <prompt>", "first task of the agent")
    .option("-n, --name <name>", "name of the session (default: made up)")
    .option("-d, --detached", "leave the session running in the background")
    .option("--max-time <time>", "end the session after this long, as in 30m, 2h", durationOption)
    .option("--max-turns <number>", "end the session after so many answers of the model", countOption)
    .addHelpText(
      "after",
      `
Examples:
  $ hjk agent feat/login                             talk to the default agent
  $ hjk agent feat/login codex -d -p "Write tests"   a second opinion, in the background`,
    )
    .action(async (branch, name, options) => {
      if (options.name !== undefined) checkSessionName(options.name);
      const detached = options.detached === true;
      if (!detached) requireTerminal(context, "Add -d to leave the session running in the background.");
      const agent = await chooseAgent(context, name ?? true);
      checkCountsTurns(agent, options.maxTurns);
      const instance = await findInstance(context, branch);
      await checkInImage(context, agent, instance);
      const ready = await programFor(
        context,
        instance.branch,
        agent,
        options.prompt === undefined ? {} : { prompt: options.prompt },
      );
      await startAndSetUp(context, instance);
      await openSession(context, instance, {
        type: agent.name,
        program: ready,
        detached,
        prompted: options.prompt !== undefined,
        ...(options.maxTime === undefined ? {} : { maxMs: options.maxTime }),
        ...(options.maxTurns === undefined ? {} : { maxTurns: options.maxTurns }),
        ...(options.name === undefined ? {} : { name: options.name }),
      });
    });
}
