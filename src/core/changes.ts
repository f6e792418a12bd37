import type { Range } from "../drivers/git/diff.ts";
import { ensureHub, tipsInHub } from "../drivers/git/hub.ts";
import type { InstanceRecord } from "../store/store.ts";
import { repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { hubFolder } from "./sync.ts";

/**
 * What an instance's branch holds, from the commit it began with to its tip as it was fetched last. It
 * lies in the hub, so that also what was kept out of the user's repository can be looked at.
 */
export async function rangeOf(deps: Deps, instance: InstanceRecord): Promise<Range> {
  const folder = hubFolder(deps, instance.repoId);
  await ensureHub(deps.git, await repositoryOf(deps, instance), folder);
  const tips = await tipsInHub(deps.git, folder, instance);
  return { folder, from: instance.baseCommit, to: tips.branch ?? tips.head ?? instance.head };
}
