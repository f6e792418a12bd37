import type { Command } from "@commander-js/extra-typings";
import type { Deps } from "../../core/deps.ts";
import { makeForecasts, patient } from "../../core/forecast.ts";
import { renewLogins } from "../../core/gateway.ts";
import { isOverLimit, nextCheckMs } from "../../core/limits.ts";
import { noteRest } from "../../core/logs.ts";
import { noteRefusals } from "../../core/net-log.ts";
import { killSession, refreshSessions, screenName, sessionBegun } from "../../core/session.ts";
import { pruneSnapshots } from "../../core/gc.ts";
import { takeSnapshot } from "../../core/snapshot.ts";
import { basesOf } from "../../core/standing.ts";
import { viewInstances, type SessionView } from "../../core/status.ts";
import { syncInstance } from "../../core/sync.ts";
import { tellOfSession } from "../../core/tell.ts";
import type { InstanceRecord, SessionRecord } from "../../store/records.ts";
import type { Context } from "../context.ts";

/** What tmux runs for a moment when a session has ended, has come to rest or is out of time; not for people. */
export function addInternal(program: Command, context: Context): void {
  program
    .command("internal", { hidden: true })
    .command("session-event")
    .argument("<screen>", "tmux name of the session")
    .option("--check", "somebody was to look at its limits")
    .option("--renew", "what its agent is logged in with has to be renewed")
    .action(async (screen, options) => {
      const deps = context.deps();
      if (options.renew === true) return await renew(deps, screen);
      await noteRest(deps, screen);
      await sessionBegun(deps, screen);
      await refreshSessions(deps);
      const { instance, session } = sessionOf(deps, screen) ?? {};
      if (instance === undefined || session === undefined) return;
      if (session.state === "live") await checkLimits(deps, instance, session, options.check === true);
      const view = await viewOf(context, instance, session);
      await Promise.all([
        syncInstance(deps, instance),
        tell(context, instance, view),
        noteRefusals(deps, instance),
      ]);
      if (view?.record.state === "live") await renewLogins(deps, instance);
      await keepFiles(context, instance, view);
      const base = (await basesOf(deps, [instance.repoId])).get(instance.repoId);
      await makeForecasts(deps, instance.repoId, base, patient);
    });
}

/** The session whose screen has this name, if there is one still. */
function sessionOf(
  deps: Deps,
  screen: string,
): { instance: InstanceRecord; session: SessionRecord } | undefined {
  const instance = deps.store.instanceById(screen.slice(0, screen.indexOf("/")));
  if (instance === undefined) return undefined;
  const session = deps.store
    .sessions(instance.id)
    .findLast((one) => screenName(instance.id, one.name) === screen);
  return session === undefined ? undefined : { instance, session };
}

/** Renews what a session's agent is logged in with, and sees to the next time. */
async function renew(deps: Deps, screen: string): Promise<void> {
  await refreshSessions(deps);
  const { instance, session } = sessionOf(deps, screen) ?? {};
  if (instance === undefined || session?.state !== "live") return;
  const login = await renewLogins(deps, instance);
  if (login !== undefined)
    await deps.tmux.checkIn(screen, Math.max(1000, login.renewAt - deps.now()), "renew");
}

/** Ends a session that has reached a limit; whoever was to look sees to the next look. */
async function checkLimits(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  again: boolean,
): Promise<void> {
  if (isOverLimit(deps, session)) return await killSession(deps, instance, session, "limit");
  const next = nextCheckMs(session, deps.now());
  if (again && next !== undefined) await deps.tmux.checkIn(screenName(instance.id, session.name), next);
}

async function viewOf(
  context: Context,
  instance: InstanceRecord,
  session: SessionRecord,
): Promise<SessionView | undefined> {
  const view = (await viewInstances(context.deps())).find((one) => one.record.id === instance.id);
  return view?.sessions.find((one) => one.record.id === session.id);
}

async function tell(
  context: Context,
  instance: InstanceRecord,
  view: SessionView | undefined,
): Promise<void> {
  if (view === undefined || view.record.type === "shell") return;
  await tellOfSession(context.deps(), (await context.config()).notify, instance, view);
}

/** An agent that has stopped working leaves files that no commit has. Where they cannot be kept now, `rm` says so. */
async function keepFiles(
  context: Context,
  instance: InstanceRecord,
  view: SessionView | undefined,
): Promise<void> {
  if (view === undefined || view.record.type === "shell") return;
  const reason = view.record.state === "ended" ? "ended" : (view.activity?.state ?? "");
  if (!restStates.includes(reason)) return;
  const deps = context.deps();
  await takeSnapshot(deps, instance, reason).catch(() => undefined);
  await pruneSnapshots(deps, instance.repoId, (await context.config()).snapshots);
}

/** What an agent is when it has stopped working; each is the reason of a snapshot. */
const restStates = ["waiting", "idle", "done", "failed", "ended"];
