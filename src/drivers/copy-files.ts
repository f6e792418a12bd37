import { constants, lstatSync, readlinkSync, realpathSync } from "node:fs";
import { chmod, mkdir, open, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize, sep } from "node:path";
import { exists } from "./instance-files.ts";

/** Bytes of the largest list of patterns that is read. */
const maxListBytes = 64 * 1024;

/** Something that may be copied. */
export interface Source {
  /** Relative to the folder it is copied from and to. */
  path: string;
  /** Where a link leads; undefined for a plain file. */
  link?: string;
  bytes: number;
}

/** The lines of a plain file that the user wrote; undefined when there is none. */
export async function readPatterns(file: string): Promise<string[] | undefined> {
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const { size } = await handle.stat();
  if (size > maxListBytes) throw new Error(`${file} is larger than ${maxListBytes / 1024} kB.`);
  return (await handle.readFile("utf8"))
    .split("\n")
    .map((line) => line.replace(/(?<!\\)\s+$/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** What there is to copy of a path: nothing of another worktree's; otherwise a text says why nothing is. */
export function lookAtSource(root: string, path: string): Source | string | undefined {
  if (isAbsolute(path) || normalize(path) !== path || path.startsWith(".."))
    return "is not in the repository";
  const parts = path.split("/");
  if (parts.some((part) => part.toLowerCase() === ".git")) return "belongs to git";
  for (let depth = 1; depth < parts.length; depth += 1) {
    const folder = join(root, ...parts.slice(0, depth));
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return "is reached by a link";
    // It may be an instance's workspace, with files that an agent wrote.
    if (exists(join(folder, ".git"))) return undefined;
  }
  const found = lstatSync(join(root, path), { throwIfNoEntry: false });
  if (found?.isFile() === true) return { path, bytes: found.size };
  if (found?.isSymbolicLink() !== true) return "is no plain file";
  const link = readlinkSync(join(root, path));
  return leadsInside(root, path, link)
    ? { path, link, bytes: 0 }
    : "is a link that leads out of the repository";
}

function leadsInside(root: string, path: string, link: string): boolean {
  if (isAbsolute(link)) return false;
  const meant = normalize(join(dirname(path), link));
  if (meant === ".." || meant.startsWith("../") || meant.split("/")[0]?.toLowerCase() === ".git")
    return false;
  try {
    return `${realpathSync(join(root, path))}${sep}`.startsWith(`${realpathSync(root)}${sep}`);
  } catch {
    // It leads nowhere, and who knows where once there is something.
    return false;
  }
}

/**
 * Copies a file into a workspace that nobody else writes to yet. False when something is in its place
 * there that is not to be replaced, or the branch leads to it by a link of its own.
 */
export async function copyInto(
  root: string,
  workspace: string,
  source: Source,
  replace: boolean,
): Promise<boolean> {
  const target = join(workspace, source.path);
  if (!(await makeParents(workspace, source.path))) return false;
  if (replace && lstatSync(target, { throwIfNoEntry: false })?.isDirectory() === false) await rm(target);
  if (exists(target)) return false;
  if (source.link !== undefined) {
    await symlink(source.link, target);
    return true;
  }
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  await using from = await open(join(root, source.path), flags);
  const info = await from.stat();
  if (!info.isFile()) return false;
  // Of what has grown since it was counted, no more than was counted.
  const bytes = Buffer.alloc(source.bytes);
  const { bytesRead } = await from.read(bytes, 0, bytes.length, 0);
  await writeFile(target, bytes.subarray(0, bytesRead), { flag: "wx", mode: 0o600 });
  await chmod(target, info.mode & 0o777);
  return true;
}

async function makeParents(workspace: string, path: string): Promise<boolean> {
  const parts = path.split("/").slice(0, -1);
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const folder = join(workspace, ...parts.slice(0, depth));
    const found = lstatSync(folder, { throwIfNoEntry: false });
    if (found === undefined) await mkdir(folder);
    else if (!found.isDirectory()) return false;
  }
  return true;
}
