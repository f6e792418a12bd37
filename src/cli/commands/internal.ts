import type { Command } from "@commander-js/extra-typings";
import { refreshSessions, sessionBegun } from "../../core/session.ts";
import { syncInstance } from "../../core/sync.ts";
import type { Context } from "../context.ts";

/** What tmux runs for a moment when a session has ended or come to rest; not for people. */
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
      if (instance !== undefined) await syncInstance(deps, instance);
    });
}
