import type { Command } from "@commander-js/extra-typings";
import { repositoryOf } from "../../core/container.ts";
import { ProcessError, runInteractive } from "../../drivers/process.ts";
import { HeadjackError } from "../../errors.ts";
import type { InstanceRecord } from "../../store/records.ts";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";
import { folderFor, push } from "../push.ts";
import { ChildExit } from "../report-error.ts";

export function addPr(program: Command, context: Context): void {
  program
    .command("pr")
    .summary("open a pull request for a branch")
    .description(
      "Pushes the branch of an instance, as hjk push does, and opens a pull request for it by `gh pr create`: your " +
        "own gh, with your own login. What follows -- is for gh.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[args...]", "after --: options of gh pr create")
    .addHelpText(
      "after",
      `
The exit code is that of git or gh.

Examples:
  $ hjk pr feat/login
  $ hjk pr feat/login -- --fill --draft --base develop`,
    )
    .action(async (branch, args) => {
      const instance = await findInstance(context, branch, { offerNew: false });
      // Asked first, so that nothing is pushed for nothing.
      if (Bun.which("gh", { PATH: context.env["PATH"] ?? "" }) === null) throw ghMissing(instance);
      const pushed = await push(context, instance, undefined);
      if (pushed !== 0) throw new ChildExit(pushed);
      const code = await createRequest(context, instance, args);
      if (code !== 0) throw new ChildExit(code);
    });
}

async function createRequest(context: Context, instance: InstanceRecord, args: string[]): Promise<number> {
  const deps = context.deps();
  const { gitDir } = await repositoryOf(deps, instance);
  try {
    return await runInteractive(["gh", "pr", "create", `--head=${instance.branch}`, ...args], {
      cwd: await folderFor(context, instance, gitDir),
      env: deps.env,
      signal: context.signal,
    });
  } catch (error) {
    if (error instanceof ProcessError && error.reason === "not-installed") throw ghMissing(instance);
    throw error;
  }
}

function ghMissing(instance: InstanceRecord): HeadjackError {
  return new HeadjackError("gh, the command-line program of GitHub, is not installed.", {
    hints: [
      "Install it and log in: gh auth login",
      `Or push, and open the pull request on the web: hjk push ${instance.branch}`,
    ],
  });
}
