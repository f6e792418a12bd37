import type { Command } from "@commander-js/extra-typings";
import { killSession, refreshSessions, screenName, sessionBegun } from "../../core/session.ts";
import { syncInstance } from "../../core/sync.ts";
import type { Context } from "../context.ts";

/** What tmux runs for a moment when a session has ended, has come to rest or is out of time; not for people. */
export function addInternal(program: Command, context: Context): void {
  program
    .command("internal", { hidden: true })
    .command("session-event")
    .argument("<screen>", "tmux name of the session")
    .action(async (screen) => {
      const deps = context.deps();
      await sessionBegun(deps, screen);
      await refreshSessions(deps);
      const instance = deps.store.instanceById(screen.slice(0, screen.indexOf("/")));
      if (instance === undefined) return;
      const session = deps.store
        .sessions(instance.id)
        .find((one) => one.state === "live" && screenName(instance.id, one.name) === screen);
      if (session?.endsAt != null && session.endsAt <= deps.now()) {
        await killSession(deps, instance, session, "limit");
      }
      await syncInstance(deps, instance);
    });
}
