import type { InstanceRecord } from "../store/records.ts";
import { lastReply } from "./activity.ts";
import type { Deps } from "./deps.ts";
import { notify, type NotifyKind, type NotifySettings } from "./notify.ts";
import type { SessionView } from "./status.ts";

/** Notifies the user once of what a session has come to: it waits for them, has finished or has failed. */
export async function tellOfSession(
  deps: Deps,
  settings: NotifySettings,
  instance: InstanceRecord,
  view: SessionView,
): Promise<void> {
  const { record, activity } = view;
  // Whoever is attached sees it.
  if (view.status === "attached") return;
  const what = record.end === "limit" ? limitReached : activity;
  if (what === undefined || !isKind(what.state)) return;
  // An agent that is done and then ends has done nothing new.
  const event = `${what.state} ${what.reason ?? ""} ${what.source === "process" ? "" : what.since}`;
  if (what.source === "process" && what.state === "done" && record.told.startsWith("done")) return;
  if (!deps.store.tellOnce(record.id, event)) return;
  await notify(deps, settings, {
    kind: what.state,
    message: what.message === "" ? lastReply(deps, record) : what.message,
    ...(what.reason === undefined ? {} : { reason: what.reason }),
    instance,
    session: record,
    terminals: record.terminal === "" ? [] : [record.terminal],
  });
}

const limitReached = {
  state: "failed",
  reason: undefined,
  source: "process",
  since: null,
  message: "it has reached a limit of its run (--max-time, --max-turns)",
} as const;

const isKind = (state: string): state is NotifyKind =>
  state === "waiting" || state === "done" || state === "failed";
