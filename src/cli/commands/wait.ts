import type { Command } from "@commander-js/extra-typings";
import { Option } from "@commander-js/extra-typings";
import type { SessionView } from "../../core/status.ts";
import { waitFor, waitGoals, type Waited } from "../../core/wait.ts";
import { HeadjackError } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import { activityJson, activityText, sessionState } from "../activity.ts";
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
States: rest (not at work any more: waiting, idle or done), waiting (for you), idle (nothing to do, or done), done (its
last task succeeded), exited (its process has ended).

Exit codes: 0 when it is so, 1 when it cannot become so any more (an agent has failed, or its session was ended), 3 when
there is no agent, 124 when the time is up.

Examples:
  $ hjk wait feat/login --for done && hjk merge feat/login
  $ hjk wait --any --for waiting --timeout 30m
  $ hjk wait --json | jq -r '.sessions[] | select(.activity.state == "waiting") | .branch'`,
    )
    .action(async (branches, options) => {
      if (options.any === true && options.all === true) {
        throw new HeadjackError("Give one of --any and --all.", { kind: "usage" });
      }
      await heal(context);
      const deps = context.deps();
      const instances =
        branches.length === 0
          ? deps.store.instances(await currentRepoId(context))
          : await Promise.all(branches.map((branch) => findInstance(context, branch)));
      const waited = await waitFor(deps, {
        instances,
        named: branches.length > 0,
        goal: options.for,
        any: options.any === true,
        timeoutMs: options.timeout,
        signal: context.signal,
        ...(options.for === "done" || options.for === "idle" || options.for === "exited"
          ? { onWaiting: ({ branch, session }) => note(context, branch, session) }
          : {}),
      });
      for (const instance of instances) await syncAndTell(context, instance);
      const text =
        options.json === true
          ? formatJson({ version: 1, sessions: waited.map(waitedJson) })
          : lines(context, waited);
      context.io.out(text);
      if (waited.some((one) => !one.reached)) throw new ChildExit(1);
    });
}

/** Only its user can make it go on. */
function note(context: Context, branch: string, session: SessionView): void {
  context.io.note(`${branch}/${session.record.name} is ${activityText(session)}`);
}

function lines(context: Context, waited: Waited[]): string {
  const rows = waited.map(({ branch, session }) => [branch, session.record.name, sessionState(session)]);
  return formatTable(undefined, rows, context.io.table);
}

function waitedJson({ branch, session, reached }: Waited): unknown {
  return {
    branch,
    session: session.record.name,
    status: session.status,
    end: session.record.end,
    exitCode: session.record.exitCode,
    activity: activityJson(session.activity, Date.now()),
    reached,
  };
}
