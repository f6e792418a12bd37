import { lstat, mkdir, rename, rm, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { exists, instanceFiles } from "../drivers/instance-files.ts";
import { run } from "../drivers/process.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";
import { readSessionCopies, writeSessionCopy } from "./session-copy.ts";

/*
 * What the sessions of a removed instance leave: the homes of their agents with the conversations, their records
 * and recordings. Kept as long as snapshots are, so that `undo` brings all of it back. The homes are an agent's
 * and hostile: they are moved and copied as they are, and no file in them is opened by name.
 */

const keptFolder = (deps: Deps, instanceId: string): string => join(deps.folders.removed, instanceId);

/** Moves it aside; may be called again after it was interrupted. What lies on another disk cannot be kept. */
export async function keepSessions(deps: Deps, instance: InstanceRecord): Promise<void> {
  const sessions = deps.store.sessions(instance.id);
  if (sessions.length === 0) return;
  const files = instanceFiles(instanceFolder(deps, instance));
  const kept = keptFolder(deps, instance.id);
  await mkdir(kept, { recursive: true, mode: 0o700 });
  for (const session of sessions) await writeSessionCopy(deps, session);
  await moveTo(files.sessions, join(kept, "sessions"));
  await moveTo(files.state, join(kept, "state"));
  for (const folder of recordingFolders(sessions, instance.id))
    await moveTo(folder, join(kept, "recordings"));
}

async function moveTo(from: string, to: string): Promise<void> {
  if (!exists(from)) return;
  // Of an instance that had this id before.
  await rm(to, { recursive: true, force: true });
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
  }
}

/** Each instance has a folder of recordings; more than one if `storage.logs` was changed meanwhile. */
export function recordingFolders(sessions: readonly SessionRecord[], instanceId: string): string[] {
  const folders = new Set(sessions.map((session) => dirname(session.log)));
  return [...folders].filter((folder) => basename(folder) === instanceId);
}

/** Puts the homes back into the folder of an instance that is made again, before its container is. */
export async function bringHomesBack(deps: Deps, instance: InstanceRecord): Promise<void> {
  const files = instanceFiles(instanceFolder(deps, instance));
  const kept = join(keptFolder(deps, instance.id), "state");
  if (!exists(kept)) return;
  // A copy: should the making fail, the next one needs it again.
  await run(["cp", "--archive", "--no-target-directory", "--", kept, files.state], { env: deps.env });
}

/** Puts records and recordings back, once the instance is whole; nothing is kept aside any more then. */
export async function bringSessionsBack(deps: Deps, instance: InstanceRecord): Promise<void> {
  const kept = keptFolder(deps, instance.id);
  if (!exists(kept)) return;
  const { sessions: folder } = instanceFiles(instanceFolder(deps, instance));
  if (exists(join(kept, "sessions")))
    await run(["cp", "--archive", "--no-target-directory", "--", join(kept, "sessions"), folder], {
      env: deps.env,
    });
  const sessions = await readSessionCopies(deps, instance.id);
  for (const target of recordingFolders(sessions, instance.id)) {
    if (!exists(join(kept, "recordings")) || exists(target)) continue;
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await run(["cp", "--archive", "--no-target-directory", "--", join(kept, "recordings"), target], {
      env: deps.env,
    });
  }
  for (const session of sessions) {
    deps.store.addSession({ ...session, state: "ended" });
    const { end, exitCode, endedAt } = session;
    deps.store.updateSession(session.id, {
      end: end ?? "stopped",
      exitCode,
      endedAt: endedAt ?? session.startedAt,
    });
  }
  await rm(kept, { recursive: true, force: true });
}

/** Those that have been kept for longer than this, with how to forget them. */
export async function oldSessions(deps: Deps, keepMs: number): Promise<{ id: string; folder: string }[]> {
  const names = await readdir(deps.folders.removed).catch(() => []);
  const old: { id: string; folder: string }[] = [];
  for (const id of names) {
    const folder = join(deps.folders.removed, id);
    const found = await lstat(folder).catch(() => undefined);
    if (found !== undefined && deps.now() - found.mtimeMs > keepMs) old.push({ id, folder });
  }
  return old;
}
