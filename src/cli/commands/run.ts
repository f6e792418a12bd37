import type { Command } from "@commander-js/extra-typings";
import { Option } from "@commander-js/extra-typings";
import { agents } from "../../agents/index.ts";
import { imageAt, isPath } from "../../core/built-image.ts";
import { ensureInstance } from "../../core/instance.ts";
import { healInstances } from "../../core/removal.ts";
import { seedFiles } from "../../core/launch.ts";
import { checkBranchName, checkSessionName } from "../../core/names.ts";
import { lacksLfsContents } from "../../core/lfs.ts";
import { foldersOnBranch } from "../../core/workspace.ts";
import { HeadjackError } from "../../errors.ts";
import { defaultIsolation, type HardeningSettings } from "../../hardening.ts";
import type { PreparedSession } from "../../core/session.ts";
import { isBranchName } from "../../drivers/git/repository.ts";
import { containerFor } from "../asks.ts";
import { carryRequest } from "../carry.ts";
import type { InstanceRecord } from "../../store/records.ts";
import type { Context } from "../context.ts";
import { countOption, durationOption, givenHardening, hardeningOptions } from "../options.ts";
import { resumeAgents } from "../resume.ts";
import { checkInImage, namedImage } from "../image.ts";
import { hooksFor, setUpAndTell } from "../set-up.ts";
import {
  checkCountsTurns,
  chooseAgent,
  openSession,
  prepareFor,
  programFor,
  requireTerminal,
} from "../start.ts";

export interface RunOptions {
  agent?: string | true;
  name?: string;
  detached?: true;
  image?: string;
  from?: string;
  fresh?: true;
  maxTime?: number;
  maxTurns?: number;
  hardening: HardeningSettings;
  setup: boolean;
  devcontainer: boolean;
}

export function addRun(program: Command, context: Context): void {
  program
    .command("run")
    .summary("start a session on a branch, in its own container")
    .description(
      "Makes the instance of a branch (container and git worktree), or starts it again, and opens a new session in it: " +
        "an agent with --agent, otherwise a shell. A branch that does not exist is made from where you are.",
    )
    .argument("<branch>", "branch to work on; made if there is none")
    .argument("[prompt]", "first task of the agent")
    .option(
      "--agent [name]",
      `start a coding agent: ${agents.map((agent) => agent.name).join(", ")} or one of your own (without a name: default.agent)`,
    )
    .option("-n, --name <name>", "name of the session (default: made up, such as happy-panda)")
    .option("-d, --detached", "leave the session running in the background")
    .option(
      "--image <image>",
      "image of a new instance, or the path of a Dockerfile or its folder (default: the repository's own, then default.base_image)",
    )
    .addOption(new Option("--base <image>", "the same as --image"))
    .option("--from <ref>", "where a new branch starts (default: HEAD)")
    .option("--max-time <time>", "end the session after this long, as in 30m, 2h", durationOption)
    .option("--max-turns <number>", "end the session after so many answers of the model", countOption)
    .addOption(hardeningOptions.profile())
    .addOption(hardeningOptions.isolation())
    .addOption(hardeningOptions.memory())
    .addOption(hardeningOptions.cpus())
    .addOption(hardeningOptions.pids())
    .addOption(hardeningOptions.disk())
    .addOption(hardeningOptions.noSetup())
    .addOption(hardeningOptions.noDevcontainer())
    .option("--fresh", "do not bring back the agents that were at work when the instance was stopped")
    .addHelpText(
      "after",
      `
Everything after -- goes to the container engine when the container is made.

Examples:
  $ hjk run feat/login --agent claude -d "Add a login page"
  $ hjk run feat/login                      a shell beside the agent
  $ hjk run fix/crash --agent --from v2.1   the default agent, from a tag
  $ hjk run feat/api -d -- -p 3000:3000     with a published port
  $ hjk run feat/db --image ./agent-image   in an image that is built from a folder`,
    )
    .action(async (branch, prompt, options) => {
      await run(context, branch, prompt, {
        ...(options.agent === undefined ? {} : { agent: options.agent }),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.detached === undefined ? {} : { detached: options.detached }),
        ...(options.from === undefined ? {} : { from: options.from }),
        ...(options.fresh === undefined ? {} : { fresh: options.fresh }),
        ...(options.maxTime === undefined ? {} : { maxTime: options.maxTime }),
        ...(options.maxTurns === undefined ? {} : { maxTurns: options.maxTurns }),
        hardening: givenHardening(options),
        setup: options.setup,
        devcontainer: options.devcontainer,
        ...imageOption(options.image, options.base),
      });
    });
}

function imageOption(image: string | undefined, base: string | undefined): { image?: string } {
  if (image !== undefined && base !== undefined && image !== base) {
    throw new HeadjackError("--image and --base mean the same; give one of them.", { kind: "usage" });
  }
  const wanted = image ?? base;
  return wanted === undefined ? {} : { image: wanted };
}

async function run(
  context: Context,
  branch: string,
  prompt: string | undefined,
  options: RunOptions,
): Promise<void> {
  checkBranchName(branch);
  if (options.name !== undefined) checkSessionName(options.name);
  if (prompt !== undefined && options.agent === undefined) {
    throw new HeadjackError("A prompt needs an agent to give it to.", {
      kind: "usage",
      hints: [
        `hjk run ${branch} --agent "${prompt.length > 40 ? "..." : prompt}"`.replace(
          "--agent ",
          "--agent claude ",
        ),
      ],
    });
  }
  if (prompt?.trim() === "") throw new HeadjackError("The prompt is empty.", { kind: "usage" });
  const detached = options.detached === true;
  if (!detached) requireTerminal(context, "Add -d to leave the session running in the background.");
  const repository = await context.repository();
  if (!(await isBranchName(context.git, branch))) {
    throw new HeadjackError(`git does not take ${JSON.stringify(branch)} for a branch name.`, {
      kind: "usage",
    });
  }
  const config = await context.config();
  const agent = options.agent === undefined ? undefined : await chooseAgent(context, options.agent);
  checkCountsTurns(agent, options.maxTurns);
  // Before anything is made: without a credential the session would be of no use.
  const program = await programFor(context, branch, agent, prompt === undefined ? {} : { prompt });
  const deps = context.deps();
  await healInstances(deps);
  if (agent !== undefined)
    await checkInImage(context, agent, deps.store.instance(repository.id, branch), options.image);
  const image = options.image === undefined ? undefined : namedImage(context, options.image);
  const request = {
    type: agent?.name ?? "shell",
    program,
    detached,
    prompted: prompt !== undefined,
    ...(options.maxTime === undefined ? {} : { maxMs: options.maxTime }),
    ...(options.maxTurns === undefined ? {} : { maxTurns: options.maxTurns }),
    ...(options.name === undefined ? {} : { name: options.name }),
  };
  let prepared: PreparedSession | undefined;
  const { instance, outcome } = await ensureInstance(deps, {
    repository,
    branch,
    folder: context.cwd,
    ...(options.from === undefined ? {} : { from: options.from }),
    container: async (commit) =>
      await containerFor(context, repository, commit, {
        choice:
          image === undefined
            ? { kind: "usual", devcontainer: options.devcontainer }
            : { kind: "named", image },
        given: options.hardening,
        setup: options.setup,
      }),
    ...(image === undefined ? {} : { imageWanted: isPath(image) ? imageAt(image) : image }),
    flags: [...config.runtime.flags, ...context.engineFlags],
    flagsGiven: context.engineFlags.length + Object.keys(options.hardening).length > 0,
    worktrees: config.storage.worktrees,
    ...(agent === undefined ? {} : { agents: [agent.name] }),
    seed: seedFiles(await context.agents(), branch),
    alongside: async (made: InstanceRecord) => {
      // With something to be run before, it would only wait.
      const { create, start } = await hooksFor(context, made);
      if (create.length + start.length > 0) return { abandon: () => Promise.resolve() };
      prepared = await prepareFor(context, made, request);
      return prepared;
    },
    carry: await carryRequest(context),
    onStep: (step) => context.io.step(step),
    signal: context.signal,
  });
  context.io.stepDone();
  if (outcome === "created") {
    context.io.out(`Created instance ${instance.id} for branch ${branch}`);
    const { isolation = defaultIsolation } = instance.hardening;
    if (isolation !== defaultIsolation) context.io.note(`Its isolation is ${isolation}.`);
    if (await lacksLfsContents(deps, repository, instance)) {
      context.io.note(
        `warning: The workspace has no contents of files in Git LFS: your git is set up to leave them out. ` +
          `To have them: git lfs install && git lfs pull, then hjk rm ${branch} and run again.`,
      );
    }
    for (const folder of await foldersOnBranch(deps, repository, instance)) {
      context.io.note(
        `${branch} is checked out in ${folder}: new commits are brought there too, while nothing is changed there.`,
      );
    }
  }
  if (outcome === "started") context.io.out(`Started instance ${instance.id} for branch ${branch}`);
  await setUpAndTell(context, instance);
  if (outcome === "started" && options.fresh !== true) await resumeAgents(context, instance);
  await openSession(context, instance, request, prepared);
}
