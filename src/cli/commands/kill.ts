import type { Command } from "@commander-js/extra-typings";
import { killSession, refreshSessions } from "../../core/session.ts";
import { HeadjackError } from "../../errors.ts";
import type { Context } from "../context.ts";
import {
  briefSyncMs,
  findInstance,
  findSession,
  lookForInstance,
  sessionNames,
  syncAndTell,
} from "../find.ts";

export function addKill(program: Command, context: Context): void {
  program
    .command("kill")
    .summary("end a session")
    .description(
      "Ends a session and everything it has started in the container. Its recording stays readable.",
    )
    .argument("<branch/session>", "branch of the instance, a slash, name of the session")
    .addHelpText("after", "\nExample:\n  $ hjk kill feat/login/happy-panda")
    .action(async (target) => {
      const slash = target.lastIndexOf("/");
      const branch = target.slice(0, Math.max(0, slash));
      await refuseInstance(context, target, branch);
      if (slash <= 0 || slash === target.length - 1) {
        throw new HeadjackError(`${JSON.stringify(target)} does not name a session.`, {
          kind: "usage",
          hints: [
            "Write <branch>/<session>, as in feat/login/happy-panda.",
            "`hjk ps <branch>` lists the sessions.",
          ],
        });
      }
      const instance = await findInstance(context, branch, { offerNew: false });
      await refreshSessions(context.deps());
      const session = findSession(context, instance, target.slice(slash + 1));
      if (session.state === "ended") {
        context.io.note(`Session ${session.name} had ended already.`);
        return;
      }
      context.io.step(`ending ${session.name}`);
      await killSession(context.deps(), instance, session);
      context.io.stepDone();
      context.io.out(`Killed session ${session.name} in instance ${instance.id}`);
      await syncAndTell(context, instance, briefSyncMs);
    });
}

/** The name of an instance, whose branch may have a slash too: the session was forgotten. */
async function refuseInstance(context: Context, target: string, branch: string): Promise<void> {
  if (branch !== "" && (await lookForInstance(context, branch)) !== undefined) return;
  const instance = await lookForInstance(context, target);
  if (instance === undefined) return;
  await refreshSessions(context.deps());
  const live = context
    .deps()
    .store.sessions(instance.id)
    .filter((session) => session.state !== "ended");
  throw new HeadjackError(`${target} is an instance; say which session of it to end.`, {
    kind: "usage",
    hints: [
      live.length === 0
        ? "None of its sessions is running."
        : `Its sessions: ${sessionNames(live, `${target}/`)}`,
    ],
  });
}
