import { readConversation, homeOnHost } from "../core/conversation.ts";
import { isResumable, refreshSessions, resumeSession } from "../core/session.ts";
import { messageOf } from "../errors.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { chooseAgent, programFor } from "./start.ts";

/** Bytes of a conversation that are read to find its name; none of them is needed. */
const noBytes = 0;

/** Brings back the agents that were ended with their instance or lost; one that cannot be is told, and the rest goes on. */
export async function resumeAgents(context: Context, instance: InstanceRecord): Promise<void> {
  const deps = context.deps();
  await refreshSessions(deps);
  const sessions = deps.store
    .sessions(instance.id)
    .filter((session) => isResumable(session) && (session.end === "stopped" || session.end === "lost"));
  for (const session of sessions) {
    context.io.step(`bringing back ${session.name}`);
    try {
      await resumeAgent(context, instance, session);
      context.io.stepDone();
      context.io.out(`Resumed session ${session.name} in instance ${instance.id} (detached)`);
    } catch (error) {
      context.io.stepDone();
      context.io.note(`warning: Session ${session.name} was not brought back: ${messageOf(error)}`);
    }
  }
}

/** Starts an agent again in its own session, with its conversation where there is one. The container must run. */
export async function resumeAgent(
  context: Context,
  instance: InstanceRecord,
  session: SessionRecord,
): Promise<SessionRecord> {
  const deps = context.deps();
  const agent = await chooseAgent(context, session.type);
  const source = agent.conversation;
  const home = homeOnHost(deps, session);
  const known = source === undefined ? undefined : readConversation(home, source, noBytes)?.id;
  const id = known ?? (agent.resumesLast === true ? "last" : undefined);
  const program = await programFor(context, instance.branch, agent, id === undefined ? {} : { resume: id });
  return await resumeSession(deps, instance, session, program);
}
