import type { Command } from "@commander-js/extra-typings";
import { Option } from "@commander-js/extra-typings";
import { repositoryOf } from "../../core/container.ts";
import { recreateInstance } from "../../core/instance.ts";
import { containerFor } from "../asks.ts";
import { carryRequest } from "../carry.ts";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";
import { choiceBefore, namedImage, type ImageChoice } from "../image.ts";
import { givenHardening, hardeningOptions } from "../options.ts";
import { resumeAgents } from "../resume.ts";
import { setUpAndTell } from "../set-up.ts";

export function addRecreate(program: Command, context: Context): void {
  program
    .command("recreate")
    .summary("make the container of an instance anew")
    .description(
      "Removes the container of an instance and makes a new one from the same or another image. Files, commits and " +
        "the agents' conversations are kept, and its agents are brought back. So are the files of a workspace that was deleted.",
    )
    .argument("<branch>", "branch of the instance")
    .option(
      "--base <image>",
      "image of the new container, or a path to build it from (default: the same; a newer base image if there is one)",
    )
    .addOption(new Option("--image <image>", "the same as --base"))
    .addOption(hardeningOptions.profile())
    .addOption(hardeningOptions.isolation())
    .addOption(hardeningOptions.memory())
    .addOption(hardeningOptions.cpus())
    .addOption(hardeningOptions.pids())
    .addOption(hardeningOptions.disk())
    .addOption(hardeningOptions.noSetup())
    .addOption(hardeningOptions.noDevcontainer())
    .option("--fresh", "do not bring its agents back")
    .addHelpText(
      "after",
      `
Everything after -- replaces the engine flags the container was made with.

Examples:
  $ hjk recreate feat/login
  $ hjk recreate feat/login --base my-image:2
  $ hjk recreate feat/login --memory 12g --profile sudo`,
    )
    .action(async (branch, options) => {
      const instance = await findInstance(context, branch, { offerNew: false });
      const deps = context.deps();
      const config = await context.config();
      const given = options.base ?? options.image;
      const choice: ImageChoice =
        given === undefined
          ? await choiceBefore(deps, instance)
          : { kind: "named", image: namedImage(context, given) };
      if (choice.kind === "usual" && !options.devcontainer) choice.devcontainer = false;
      const container = await containerFor(context, await repositoryOf(deps, instance), instance.baseCommit, {
        choice,
        given: { ...instance.hardening.given, ...givenHardening(options) },
        setup: options.setup,
      });
      await recreateInstance(deps, instance, {
        ...container,
        ...(context.engineFlags.length > 0
          ? { flags: [...config.runtime.flags, ...context.engineFlags] }
          : {}),
        carry: await carryRequest(context),
        onStep: (step) => context.io.step(step),
        onUnsaved: (reason) => context.io.note(`warning: ${branch}: ${reason}`),
      });
      context.io.stepDone();
      context.io.out(`Recreated instance ${instance.id} for branch ${instance.branch}`);
      await setUpAndTell(context, instance);
      if (options.fresh !== true) await resumeAgents(context, instance);
    });
}
