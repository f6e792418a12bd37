import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
} from "node:fs";
import { basename, join } from "node:path";

/** Files looked at in one folder of an agent's at most. */
const maxEntries = 5000;

export interface AgentFile {
  name: string;
  /** Path below the root that was searched. */
  path: string;
  size: number;
  /** Unix time in milliseconds. */
  modifiedAt: number;
}

/**
 * Opens a file that belongs to an agent, who may have put a link, a pipe or a device in its place: only
 * a plain file that truly lies below `root` is opened. Undefined when there is none.
 */
function openBelow(root: string, path: string): number | undefined {
  let descriptor: number | undefined;
  try {
    // Not to wait for the other end of a pipe; that it is none is seen afterwards.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
    descriptor = openSync(join(root, path), flags);
    if (fstatSync(descriptor).isFile() && liesBelow(realpathSync(root), descriptor, join(root, path)))
      return descriptor;
  } catch {
    // Gone, or not to be read.
  }
  if (descriptor !== undefined) closeSync(descriptor);
  return undefined;
}

/** Where a descriptor truly is: folders on the way to it may have been links. */
function liesBelow(root: string, descriptor: number, path: string): boolean {
  const real =
    process.platform === "linux" ? readlinkSync(`/proc/self/fd/${descriptor}`) : realpathSync(path);
  return real.startsWith(`${root}/`);
}

/** The beginning or the end of a file of an agent's, at most `maxBytes`; whether that is all of it. */
export function readPart(
  root: string,
  path: string,
  part: "head" | "tail",
  maxBytes: number,
): { bytes: Buffer; whole: boolean } | undefined {
  const descriptor = openBelow(root, path);
  if (descriptor === undefined) return undefined;
  try {
    const { size } = fstatSync(descriptor);
    const length = Math.min(size, maxBytes);
    const bytes = Buffer.alloc(length);
    const read = readSync(descriptor, bytes, 0, length, part === "head" ? 0 : size - length);
    return { bytes: bytes.subarray(0, read), whole: length === size };
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** Plain files of an agent's by their names, `depth` folders below `folder`, newest first. */
export function findFiles(root: string, folder: string, depth: number, name: RegExp): AgentFile[] {
  const found: AgentFile[] = [];
  const look = (below: string, levels: number): void => {
    for (const entry of list(join(root, below))) {
      const path = join(below, entry.name);
      if (levels > 0) {
        if (entry.isDirectory()) look(path, levels - 1);
        continue;
      }
      if (!entry.isFile() || !name.test(entry.name)) continue;
      const descriptor = openBelow(root, path);
      if (descriptor === undefined) continue;
      const { size, mtimeMs } = fstatSync(descriptor);
      closeSync(descriptor);
      found.push({ name: basename(path), path, size, modifiedAt: mtimeMs });
    }
  };
  look(folder, depth);
  return found.toSorted((a, b) => b.modifiedAt - a.modifiedAt);
}

function list(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).slice(0, maxEntries);
  } catch {
    return [];
  }
}
