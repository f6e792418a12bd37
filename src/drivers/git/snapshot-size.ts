import type { Git } from "./git.ts";
import type { Repository } from "./repository.ts";

/** A repository's snapshots, and everything that does not belong to them. */
export interface SnapshotTips {
  /** Commits of snapshots by the instance's id. */
  ofInstance: Map<string, string[]>;
  others: string[];
}

export async function snapshotTips(
  git: Git,
  repository: Repository,
  signal: AbortSignal,
): Promise<SnapshotTips> {
  const listed = await git.run(["for-each-ref", "--format=%(objectname) %(refname)"], {
    cwd: repository.gitDir,
    signal,
  });
  const tips: SnapshotTips = { ofInstance: new Map(), others: [] };
  for (const line of listed.split("\n")) {
    const [oid = "", ref = ""] = line.split(" ");
    const [, id] = /^refs\/headjack\/([0-9a-f]+)\/(?:snapshots|staged)\//.exec(ref) ?? [];
    if (id !== undefined) tips.ofInstance.set(id, [...(tips.ofInstance.get(id) ?? []), oid]);
    else if (oid !== "") tips.others.push(oid);
  }
  return tips;
}

/** Bytes of the objects that commits hold and the others do not, as they lie packed or loose. */
export async function sizeOfOnly(
  git: Git,
  repository: Repository,
  tips: { of: readonly string[]; others: readonly string[]; signal: AbortSignal },
): Promise<number> {
  if (tips.of.length === 0) return 0;
  const input = [...tips.of, ...tips.others.map((oid) => `^${oid}`)].map((oid) => `${oid}\n`).join("");
  const command = ["rev-list", "--disk-usage", "--objects", "--ignore-missing", "--stdin"];
  return Number(await git.run(command, { cwd: repository.gitDir, input, signal: tips.signal }));
}
