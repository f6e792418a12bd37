import { baseOf, mergedInto } from "../drivers/git/base.ts";
import { tipsInHub } from "../drivers/git/hub.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { exists } from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { hasNews } from "./news.ts";
import { viewInstances, type InstanceView } from "./status.ts";
import { hubFolder } from "./sync.ts";

/** Which instances are to go: those that are all of it. */
export interface Cleanup {
  /** Its commits are in the base branch or its upstream. */
  merged: boolean;
  /** Made and last used longer ago than this. */
  olderThanMs?: number;
}

/** An instance that is to go, and why. */
export interface Chosen {
  instance: InstanceRecord;
  merged?: string;
  usedAt: number;
  running: InstanceView["sessions"];
}

/** Instances of a repository that a clean-up is about; their commits must have come home before. */
export async function chooseInstances(
  deps: Deps,
  repository: Repository,
  cleanup: Cleanup,
): Promise<Chosen[]> {
  const views = (await viewInstances(deps)).filter(
    ({ record }) => record.repoId === repository.id && record.state === "ready",
  );
  const base = cleanup.merged ? await baseOf(deps.git, repository) : undefined;
  const chosen: Chosen[] = [];
  for (const { record: instance, sessions } of views) {
    const usedAt = Math.max(instance.createdAt, ...sessions.map((session) => session.accessedAt));
    if (cleanup.olderThanMs !== undefined && deps.now() - usedAt < cleanup.olderThanMs) continue;
    let merged: string | undefined;
    if (cleanup.merged) {
      // Commits that were not fetched are in no branch of the user's.
      if (base === undefined || hasNews(deps, instance)) continue;
      const hub = hubFolder(deps, repository.id);
      const tips = exists(hub) ? await tipsInHub(deps.git, hub, instance) : {};
      const commit = tips.branch ?? tips.head ?? instance.head;
      // One that has no commit yet is in every branch, and its agent may have just begun.
      if (commit === instance.baseCommit) continue;
      merged = await mergedInto(deps.git, repository, base, { branch: instance.branch, commit });
      if (merged === undefined) continue;
    }
    const running = sessions.filter((session) => session.status !== "exited");
    chosen.push({ instance, usedAt, running, ...(merged === undefined ? {} : { merged }) });
  }
  return chosen;
}
