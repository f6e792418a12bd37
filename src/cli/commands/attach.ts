import type { Command } from "@commander-js/extra-typings";
import { isResumable, refreshSessions } from "../../core/session.ts";
import { HeadjackError } from "../../errors.ts";
import type { InstanceRecord, SessionRecord } from "../../store/records.ts";
import type { Context } from "../context.ts";
import { briefSyncMs, currentRepoId, findInstance, findSession, syncAndTell } from "../find.ts";
import { resumeAgent } from "../resume.ts";
import { startAndSetUp } from "../set-up.ts";
import { attachTo, requireTerminal } from "../start.ts";

export function addAttach(program: Command, context: Context): void {
  program
    .command("attach")
    .summary("put your terminal on a session")
    .description(
      "Puts your terminal on a session: watch, answer, work. Ctrl+B, then d leaves it running. An agent whose session " +
        "has ended is brought back with its conversation.",
    )
    .argument("[branch]", "branch of the instance (default: the session used last)")
    .argument("[session]", "name of the session (default: the one used last)")
    .addHelpText(
      "after",
      `
Keys while attached: Ctrl+B d detaches, Ctrl+B [ scrolls (q ends), Ctrl+B Ctrl+B sends Ctrl+B itself.
It works inside your own tmux too: press Ctrl+B twice there, or use another prefix in yours.

Examples:
  $ hjk attach
  $ hjk attach feat/login
  $ hjk attach feat/login happy-panda`,
    )
    .action(async (branch, name) => {
      requireTerminal(context, "In a script, read a session with `hjk logs`.");
      await refreshSessions(context.deps());
      const found = await target(context, branch, name);
      const { instance } = found;
      if (found.session.state === "ended" && !isResumable(found.session))
        throw endedError(instance, found.session);
      const session = found.session.state === "ended" ? await broughtBack(context, found) : found.session;
      await syncAndTell(context, instance, briefSyncMs);
      await attachTo(context, instance, session);
    });
}

/** A session that had ended, going on with its conversation. */
async function broughtBack(context: Context, { instance, session }: Target): Promise<SessionRecord> {
  await startAndSetUp(context, instance);
  const resumed = await resumeAgent(context, instance, session);
  context.io.stepDone();
  return resumed;
}

interface Target {
  instance: InstanceRecord;
  session: SessionRecord;
}

async function target(
  context: Context,
  branch: string | undefined,
  name: string | undefined,
): Promise<Target> {
  if (branch !== undefined && name !== undefined) {
    const instance = await findInstance(context, branch);
    return { instance, session: findSession(context, instance, name) };
  }
  const { store } = context.deps();
  const instances =
    branch === undefined
      ? store.instances(await currentRepoId(context))
      : [await findInstance(context, branch)];
  const newest = instances
    .flatMap((instance) => store.sessions(instance.id).map((session) => ({ instance, session })))
    .toSorted((a, b) => b.session.accessedAt - a.session.accessedAt);
  const found = newest.find(({ session }) => session.state !== "ended") ?? newest[0];
  if (found !== undefined) return found;
  throw new HeadjackError(
    branch === undefined ? "There is no session to attach to." : `${branch} has no session.`,
    {
      kind: "not-found",
      hints: [`Start one: hjk run ${branch ?? "<branch>"} --agent claude`],
    },
  );
}

function endedError(instance: InstanceRecord, session: SessionRecord): HeadjackError {
  const how =
    session.exitCode === null
      ? `was ended (${session.end ?? "unknown"})`
      : `exited with code ${session.exitCode}`;
  return new HeadjackError(`Session ${session.name} of ${instance.branch} ${how}.`, {
    hints: [
      `Read it: hjk logs ${instance.branch} ${session.name}`,
      `Start another: hjk run ${instance.branch} --agent`,
    ],
  });
}
