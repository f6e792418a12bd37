import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { instanceFiles } from "../drivers/instance-files.ts";
import type { SessionRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";

const folderOf = (deps: Deps, instanceId: string): string =>
  instanceFiles(instanceFolder(deps, { id: instanceId })).sessions;

const fileOf = (deps: Deps, session: SessionRecord): string =>
  join(folderOf(deps, session.instanceId), `${session.id}.json`);

/** Puts a copy of a session's record into its instance's folder, for the day the store is lost. */
export async function writeSessionCopy(deps: Deps, session: SessionRecord): Promise<void> {
  // A session can do without; another command may be removing the folder at this moment.
  await writeFile(fileOf(deps, session), JSON.stringify(session), { mode: 0o600 }).catch(() => undefined);
}

export async function removeSessionCopy(deps: Deps, session: SessionRecord): Promise<void> {
  await rm(fileOf(deps, session), { force: true }).catch(() => undefined);
}

/** Copies of the records of an instance's sessions, newest first. */
export async function readSessionCopies(deps: Deps, instanceId: string): Promise<SessionRecord[]> {
  const folder = folderOf(deps, instanceId);
  const names = await readdir(folder).catch(() => []);
  const copies = await Promise.all(
    names.map(async (name) => {
      try {
        return JSON.parse(await readFile(join(folder, name), "utf8")) as SessionRecord;
      } catch {
        // It was being written when the machine went down.
        return undefined;
      }
    }),
  );
  return copies
    .filter((copy) => copy?.instanceId === instanceId)
    .flatMap((copy) => copy ?? [])
    .toSorted((a, b) => b.createdAt - a.createdAt);
}
