import { lstatSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { blobSizes, readBlobs } from "./blobs.ts";
import type { Git } from "./git.ts";
import { gitTarget } from "./private-dir.ts";
import type { Repository } from "./repository.ts";

/** What stands in a commit for a file that is kept in Git LFS. */
export interface LfsPointer {
  /** SHA-256 of the content. */
  oid: string;
  size: number;
  /** Path in a commit; hostile. */
  path: string;
}

/** Bytes of the longest pointer; git-lfs takes nothing longer for one. */
const maxPointerBytes = 1024;

/** The folder of a repository that holds the contents of its files in Git LFS. */
export const lfsFolder = (repository: Pick<Repository, "gitDir">): string =>
  join(repository.gitDir, "lfs", "objects");

/** Where git-lfs has a content, below the folder of all. */
const placeOf = ({ oid }: LfsPointer): string => join(oid.slice(0, 2), oid.slice(2, 4), oid);

/** Pointers in commits, but not in `base`, to contents that the repository has not; each content once. */
export async function missingPointers(
  git: Git,
  repository: Repository,
  hub: string,
  commits: { of: readonly string[]; base: string },
): Promise<LfsPointer[]> {
  const filter = [`--filter=blob:limit=${maxPointerBytes}`, "--missing=allow-any", "--ignore-missing"];
  const input = [...commits.of, `^${commits.base}`].map((oid) => `${oid}\n`).join("");
  const listed = await git.run(["rev-list", "--objects", ...filter, "--stdin"], { cwd: hub, input });
  const paths = new Map<string, string>();
  for (const line of listed.split("\n")) {
    const [, oid, path] = /^(\w+) (.+)$/.exec(line) ?? [];
    if (oid !== undefined && path !== undefined) paths.set(oid, path);
  }
  const blobs = [...(await blobSizes(git, hub, [...paths.keys()])).keys()];
  const missing = new Map<string, LfsPointer>();
  for (const [blob, text] of await readBlobs(git, hub, blobs)) {
    const pointer = parsePointer(text, paths.get(blob) ?? "");
    if (pointer !== undefined && !isThere(repository, pointer)) missing.set(pointer.oid, pointer);
  }
  return [...missing.values()];
}

/** What a file's text points at; undefined when it is no pointer. */
function parsePointer(text: string, path: string): LfsPointer | undefined {
  if (!text.startsWith("version https://git-lfs.github.com/spec/v1\n")) return undefined;
  const oid = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1];
  const size = /^size (\d{1,15})$/m.exec(text)?.[1];
  return oid === undefined || size === undefined ? undefined : { oid, size: Number(size), path };
}

function isThere(repository: Repository, pointer: LfsPointer): boolean {
  const found = lstatSync(join(lfsFolder(repository), placeOf(pointer)), { throwIfNoEntry: false });
  return found?.isFile() === true && found.size === pointer.size;
}

/** Runs a line of shell in a container for each content; `$1` is its file, `$2` the size that it should have. */
function forEach(line: string, pointers: readonly LfsPointer[]): string[] {
  const script = `cd ${gitTarget}/lfs/objects || exit 1; while [ $# -gt 1 ]; do ${line}; shift 2; done`;
  const args = pointers.flatMap((pointer) => [placeOf(pointer), String(pointer.size)]);
  return ["/bin/sh", "-c", script, "sh", ...args];
}

/** The command that says which contents are in a container, a letter for each: `y` or `n`. */
export function lfsListCommand(pointers: readonly LfsPointer[]): string[] {
  return forEach('[ -f "$1" ] && [ "$(stat -c %s "$1")" = "$2" ] && printf y || printf n', pointers);
}

/** The command that prints contents that are in a container, one after the other. */
export function lfsPrintCommand(pointers: readonly LfsPointer[]): string[] {
  return forEach('head -c "$2" "$1"', pointers);
}

/**
 * Takes what the command above prints into the repository: from an enemy, so only contents that are what
 * their names say. `print` passes on what comes, until the signal that it is given. Returns those taken.
 */
export async function takeLfsContents(
  repository: Repository,
  pointers: readonly LfsPointer[],
  print: (onOutput: (chunk: Uint8Array) => Promise<void>, enough: AbortSignal) => Promise<void>,
): Promise<LfsPointer[]> {
  // On the same disk, and where git-lfs has its own.
  const temporary = join(dirname(lfsFolder(repository)), "tmp");
  await mkdir(temporary, { recursive: true });
  await sweep(temporary);
  const folder = await mkdtemp(join(temporary, ours));
  try {
    const all = join(folder, "all");
    await spool(
      all,
      pointers.reduce((sum, { size }) => sum + size, 0),
      print,
    );
    const taken: LfsPointer[] = [];
    let at = 0;
    for (const pointer of pointers) {
      const file = join(folder, pointer.oid);
      const isIt = (await copyPart(all, { from: at, to: at + pointer.size }, file)) === pointer.oid;
      at += pointer.size;
      if (!isIt) continue;
      const place = join(lfsFolder(repository), placeOf(pointer));
      await mkdir(dirname(place), { recursive: true });
      await rename(file, place);
      taken.push(pointer);
    }
    return taken;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const ours = "headjack-";

/** Milliseconds after which no command is at work in a folder any more. */
const abandonedMs = 3_600_000;

/** Removes what killed commands have left. */
async function sweep(temporary: string): Promise<void> {
  for (const name of await readdir(temporary)) {
    const folder = join(temporary, name);
    const since = name.startsWith(ours) ? lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs : undefined;
    if (since !== undefined && Date.now() - since > abandonedMs)
      await rm(folder, { recursive: true, force: true });
  }
}

/** Copies a part of a file to a new one; returns the SHA-256 of what is in it. */
async function copyPart(file: string, part: { from: number; to: number }, target: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  await using handle = await open(target, "wx");
  for await (const chunk of Bun.file(file).slice(part.from, part.to).stream()) {
    hash.update(chunk);
    await handle.appendFile(chunk);
  }
  await handle.datasync();
  return hash.digest("hex");
}

async function spool(
  file: string,
  bytes: number,
  print: Parameters<typeof takeLfsContents>[2],
): Promise<void> {
  const enough = new AbortController();
  let left = bytes;
  await using handle = await open(file, "wx", 0o600);
  const onOutput = async (chunk: Uint8Array): Promise<void> => {
    await handle.appendFile(chunk.subarray(0, left));
    left = Math.max(0, left - chunk.length);
    if (left === 0) enough.abort();
  };
  try {
    await print(onOutput, enough.signal);
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  }
}
