import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import { homeOnHost } from "./conversation.ts";

export const instance: InstanceRecord = {
  id: "abc123",
  repoId: "repo1",
  branch: "feat/x",
  state: "ready",
  engine: "docker",
  container: "hjk-feat-x-abc123",
  image: "image",
  flags: [],
  hardening: { given: {} },
  baseCommit: "0",
  branchCreated: true,
  workspace: "/nowhere",
  user: "1000:1000",
  head: "0",
  fingerprint: "",
  notice: "",
  warning: "",
  refused: [],
  createdAt: 0,
};

export const session: SessionRecord = {
  id: "0123456789ab",
  instanceId: instance.id,
  name: "happy-panda",
  type: "claude",
  state: "ended",
  starter: 0,
  createdAt: 0,
  startedAt: 0,
  accessedAt: 0,
  endedAt: 0,
  exitCode: 0,
  end: "exited",
  prompted: 1,
  told: "",
  exposed: 0,
  terminal: "",
  endsAt: null,
  maxTurns: null,
  turnKey: "",
  turn: "",
  log: "/nowhere",
  cols: 80,
  rows: 24,
};

export interface Folders {
  instances: string;
  hubs: string;
  removed: string;
  runtime: string;
}

/** Folders of a test's own, for instances that exist only as files. */
export async function makeFolders(): Promise<Folders> {
  const folder = await mkdtemp(join(tmpdir(), "hjk-core-"));
  return {
    instances: join(folder, "instances"),
    hubs: join(folder, "hubs"),
    removed: join(folder, "removed"),
    runtime: folder,
  };
}

/** Where Claude Code records the conversation of the session above. */
export function claudeFile(folders: Folders): string {
  const home = homeOnHost({ folders }, session);
  return join(home, "projects", "-workspace", "01234567-89ab-cdef-0123-456789abcdef.jsonl");
}

/** Writes a record a line. */
export async function writeRecords(file: string, records: unknown[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
}
