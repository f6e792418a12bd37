import type { Git } from "./git.ts";

/** Sizes of blobs in bytes, by their ids; those that are not there are left out. */
export async function blobSizes(
  git: Git,
  folder: string,
  oids: readonly string[],
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  if (oids.length === 0) return sizes;
  const text = await git.run(["cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)"], {
    cwd: folder,
    input: listed(oids),
  });
  for (const line of text.split("\n")) {
    const [oid = "", type, size] = line.split(" ");
    if (type === "blob") sizes.set(oid, Number(size));
  }
  return sizes;
}

/** Contents of blobs that are known to be small, by their ids, with one run of git for all. */
export async function readBlobs(
  git: Git,
  folder: string,
  oids: readonly string[],
): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  if (oids.length === 0) return contents;
  const chunks: Uint8Array[] = [];
  await git.stream(["cat-file", "--batch=%(objectname) %(objectsize)"], {
    cwd: folder,
    input: listed(oids),
    onOutput: (chunk) => void chunks.push(chunk),
  });
  const bytes = Buffer.concat(chunks);
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf("\n", at);
    const [oid = "", size = ""] = bytes.toString("latin1", at, end).split(" ");
    const start = end + 1;
    // The sizes are in bytes, and the content may hold what looks like the next head line.
    at = start + Number(size) + 1;
    contents.set(oid, bytes.toString("utf8", start, at - 1));
  }
  return contents;
}

const listed = (oids: readonly string[]): string => [...new Set(oids)].map((oid) => `${oid}\n`).join("");
