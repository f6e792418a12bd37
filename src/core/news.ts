import { branchFingerprint, instanceFiles, refsFingerprint } from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";

/** Whether there may be commits to bring home; cheap enough to ask at every turn, and apart from what does it. */
export function hasNews(deps: Deps, instance: InstanceRecord): boolean {
  return fingerprintOf(deps, instance) !== instance.fingerprint;
}

/** What changes when the instance has a commit or the user moves the branch. */
export function fingerprintOf(deps: Deps, instance: InstanceRecord): string {
  return insideOf(deps, instance) + outsideOf(deps, instance);
}

export function insideOf(deps: Deps, instance: InstanceRecord): string {
  return refsFingerprint(instanceFiles(instanceFolder(deps, instance)).git, instance.branch);
}

export function outsideOf(deps: Deps, instance: InstanceRecord): string {
  const repo = deps.store.repo(instance.repoId);
  return repo === undefined ? "" : ` | ${branchFingerprint(repo.gitDir, instance.branch)}`;
}
