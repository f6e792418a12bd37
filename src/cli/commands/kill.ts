import type { Command } from "@commander-js/extra-typings";
import { killSession, refreshSessions } from "../../core/session.ts";
import { HeadjackError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { findInstance, findSession, syncAndTell } from "../find.ts";

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
      if (slash <= 0 || slash === target.length - 1) {
        throw new HeadjackError(`${JSON.stringify(target)} does not name a session.`, {
          kind: "usage",
          hints: [
            "Write <branch>/<session>, as in feat/login/happy-panda.",
            "`hjk ps <branch>` lists the sessions.",
          ],
        });
      }
      const instance = await findInstance(context, target.slice(0, slash));
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
      await syncAndTell(context, instance);
    });
}
