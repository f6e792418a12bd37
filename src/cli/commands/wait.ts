import type { Command } from "@commander-js/extra-typings";
import { Option } from "@commander-js/extra-typings";
import { waitFor, waitGoals, type Waited } from "../../core/wait.ts";
import { formatJson } from "../../ui/json.ts";
import { activityJson, activityText } from "../activity.ts";
import { durationOption } from "../options.ts";
import type { Context } from "../context.ts";
import { currentRepoId, findInstance, heal, syncAndTell } from "../find.ts";
import { ChildExit } from "../report-error.ts";

export function addWait(program: Command, context: Context): void {
  program
    .command("wait")
    .summary("wait until agents are done, or need you")
    .description(
      "Waits for the agents of these instances (default: all of this repository) and prints how each came to rest. " +
        "It also counts what was so before the call.",
    )
    .argument("[branch...]", "branches of the instances")
    .addOption(
      new Option("--for <state>", "what to wait for").choices(waitGoals).default("rest" as const, "rest"),
    )
    .option("--any", "until one of them is there (default: until all are)")
    .option("--all", "until all are there")
    .option("--timeout <time>", "give up after this long, as in 90s, 10m, 2h", durationOption)
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
States: rest (not at work any more: waiting, idle, done, failed or exited), waiting (for you), idle (nothing to do, or
done), done (its last task succeeded), exited (its process has ended).

Exit codes: 0 when it is so, 1 when it cannot become so any more (the agent failed or its session ended), 3 when there is
no agent, 124 when the time is up.

Examples:
  $ hjk wait feat/login --for done && hjk merge feat/login
  $ hjk wait --any --for waiting --timeout 30m
  $ hjk wait --json | jq -r '.sessions[] | select(.activity.state == "waiting") | .branch'`,
    )
    .action(async (branches, options) => {
      await heal(context);
      const deps = context.deps();
      const instances =
        branches.length === 0
          ? deps.store.instances(await currentRepoId(context))
          : await Promise.all(branches.map((branch) => findInstance(context, branch)));
      const waited = await waitFor(deps, {
        instances,
        goal: options.for,
        any: options.any === true && options.all !== true,
        timeoutMs: options.timeout,
        signal: context.signal,
      });
      for (const instance of instances) await syncAndTell(context, instance);
      const text =
        options.json === true ? formatJson({ version: 1, sessions: waited.map(waitedJson) }) : lines(waited);
      context.io.out(text);
      if (waited.some((one) => !one.reached)) throw new ChildExit(1);
    });
}

function lines(waited: Waited[]): string {
  return waited
    .map(({ branch, session }) => [branch, session.record.name, stateOf(session)].join("\t"))
    .join("\n");
}

function stateOf(session: Waited["session"]): string {
  const activity = activityText(session);
  return session.status === "exited" ? `exited (${session.record.end ?? activity})` : activity;
}

function waitedJson({ branch, session, reached }: Waited): unknown {
  return {
    branch,
    session: session.record.name,
    status: session.status,
    exitCode: session.record.exitCode,
    activity: activityJson(session.activity, Date.now()),
    reached,
  };
}
