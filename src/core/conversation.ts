import { join } from "node:path";
import type { ConversationEntry, ConversationSource, Json } from "../agents/conversation.ts";
import { type AgentFile, findFiles, readPart } from "../drivers/agent-files.ts";
import { instanceFiles } from "../drivers/instance-files.ts";
import type { SessionRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";

/** Bytes of a record that are read to learn what it is. */
const firstRecordBytes = 256 * 1024;

/** Home of a session's agent on the host; what lies there is the agent's, so it is read with `agent-files` only. */
export function homeOnHost(deps: Pick<Deps, "folders">, session: SessionRecord): string {
  const files = instanceFiles(instanceFolder(deps, { id: session.instanceId }));
  return join(files.state, session.id);
}

export interface Conversation {
  /** Name by which the agent resumes it; undefined where it cannot. */
  id: string | undefined;
  /** Oldest first. */
  entries: ConversationEntry[];
  /** Whether the entries are all there are. */
  whole: boolean;
  /** Size and time of the file: while they stay, so do the entries. */
  fingerprint: string;
}

/** The end of the newest conversation of a home, at most `maxBytes` of its file; undefined when there is none yet. */
export function readConversation(
  home: string,
  source: ConversationSource,
  maxBytes: number,
): Conversation | undefined {
  const [newest] = readConversations(home, source, maxBytes);
  return newest;
}

/** All conversations of a home, newest first: the user may have begun another in the same session. */
export function* readConversations(
  home: string,
  source: ConversationSource,
  maxBytes: number,
): Generator<Conversation> {
  for (const file of findFiles(home, source.folder, source.depth, source.file)) {
    if (source.isMain !== undefined && !isMain(home, file.path, source.isMain)) continue;
    const part = readRecords(home, file, maxBytes);
    if (part === undefined) continue;
    const { records, whole } = part;
    yield {
      id: source.id(file.name),
      entries: source.read(records),
      whole,
      fingerprint: fingerprintOf(file),
    };
  }
}

/** Entries of each of the threads beside the conversations of a home. */
export function* readSideThreads(
  home: string,
  { folder, side }: ConversationSource,
  maxBytes: number,
): Generator<ConversationEntry[]> {
  if (side === undefined) return;
  for (const file of findFiles(home, folder, side.depth, side.file)) {
    const part = readRecords(home, file, maxBytes);
    if (part !== undefined) yield side.read(part.records);
  }
}

/** Of all conversations of a home and the threads beside them, without reading them; empty when there is none. */
export function conversationsFingerprint(home: string, source: ConversationSource): string {
  const { folder, side } = source;
  const files = [
    ...findFiles(home, folder, source.depth, source.file),
    ...(side === undefined ? [] : findFiles(home, folder, side.depth, side.file)),
  ];
  return files.length === 0 ? "" : Bun.hash(files.map(fingerprintOf).join("\n")).toString(16);
}

const fingerprintOf = (file: AgentFile): string => `${file.path} ${file.size} ${file.modifiedAt}`;

/** The records at the end of a file; whether they are all there are. */
function readRecords(
  home: string,
  file: AgentFile,
  maxBytes: number,
): { records: Json[]; whole: boolean } | undefined {
  const part = readPart(home, file.path, "tail", maxBytes);
  if (part === undefined) return undefined;
  const lines = part.bytes.toString("utf8").split("\n");
  // The first is the end of a record, the last one that is still being written.
  const records = (part.whole ? lines : lines.slice(1)).map(parsed).filter((record) => record !== undefined);
  return { records, whole: part.whole };
}

function isMain(home: string, path: string, agrees: (first: Json) => boolean): boolean {
  const head = readPart(home, path, "head", firstRecordBytes)?.bytes.toString("utf8");
  const first = parsed(head?.split("\n")[0] ?? "");
  return first !== undefined && agrees(first);
}

function parsed(line: string): Json | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Json;
  } catch {
    return undefined;
  }
}
