import { HeadjackError } from "../errors.ts";
import { bringHome, changedGitlinks, ensureHub } from "../drivers/git/hub.ts";
import { gitTarget } from "../drivers/git/private-dir.ts";
import { isHeld, type Ref, type Repository } from "../drivers/git/repository.ts";
import { ownRefs } from "../drivers/git/snapshot-script.ts";
import type { InstanceRecord } from "../store/records.ts";
import { repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";
import { gitInside, refsMadeInside } from "./inside.ts";
import { bringLfsHome } from "./lfs.ts";
import { fetchFromInside, runInside } from "./snapshot.ts";
import { hubFolder } from "./sync.ts";

/** Refs kept of one instance at most. */
const maxKept = 200;

/** Stashes are no refs but for the newest: each is kept by its place, as in `stash/0`. */
const stashRef = "refs/stash";

/**
 * Keeps the other branches, the tags and the stashes that an agent has made, before their instance goes:
 * as `refs/headjack/<instance>/kept/<time>/heads/name` in the user's repository, where nothing else there
 * holds their commits. Those that bring submodules are not kept. Returns the names.
 */
export async function keepRefs(deps: Deps, instance: InstanceRecord): Promise<string[]> {
  const repository = await repositoryOf(deps, instance);
  const made = await refsToKeep(deps, repository, instance);
  if (made.length === 0) return [];
  const hub = hubFolder(deps, instance.repoId);
  await ensureHub(deps.git, repository, hub);
  const refs = made.map((_, index) => `${ownRefs}kept/${index}`);
  const command = ["/bin/sh", "-c", pinScript, "sh", ...made.map(({ oid }) => oid)];
  const pinned = await runInside(deps, instance, command, [gitTarget]);
  if (pinned.code !== 0) throw new HeadjackError("Its other branches and stashes could not be kept.");
  const inHub = await fetchFromInside(deps, instance, { hub, refs }, {});
  const time = Math.floor(deps.now() / 1000);
  const names: string[] = [];
  for (const [index, { name }] of made.entries()) {
    const ref = inHub[index] ?? "";
    if ((await changedGitlinks(deps.git, hub, instance.baseCommit, ref)).length > 0) continue;
    await bringLfsHome(deps, repository, instance, { hub, commits: [ref] });
    await bringHome(deps.git, repository, hub, `+${ref}:${keptPrefix(instance.id)}${time}/${name}`);
    names.push(name);
  }
  return names;
}

const keptPrefix = (instanceId: string): string => `refs/headjack/${instanceId}/kept/`;

/** Refs of our own for what is to be fetched: a stash has none, and a name could be anything. */
const pinScript = `
i=0
for oid; do
  git --git-dir=${gitTarget} -c core.hooksPath=/dev/null -c core.logAllRefUpdates=false \\
    update-ref ${ownRefs}kept/$i "$oid" || exit 1
  i=$((i + 1))
done
`;

/** Those whose commits no ref of the user's repository holds; by names such as `heads/x`, `tags/v1`, `stash/0`. */
async function refsToKeep(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<{ oid: string; name: string }[]> {
  const made = await refsMadeInside(deps, instance);
  const list = [`--git-dir=${gitTarget}`, "log", "--no-show-signature", "-g", "--format=%H", stashRef, "--"];
  const stashes = made.some(({ name }) => name === stashRef)
    ? (await gitInside(deps, instance, list, { workspace: false })).split("\n")
    : [];
  const all = [
    ...made.filter(({ name }) => name !== stashRef),
    ...stashes
      .filter((oid) => /^[0-9a-f]{40,64}$/.test(oid))
      .map((oid, index) => ({ oid, name: `${stashRef}/${index}` })),
  ];
  const wanted: { oid: string; name: string }[] = [];
  for (const { oid, name } of all.slice(0, maxKept)) {
    const at = { cwd: repository.gitDir };
    if (await isHeld(deps.git, repository, oid)) continue;
    const valid = (await deps.git.try(["check-ref-format", name], at)).code === 0;
    wanted.push({ oid, name: valid ? name.replace("refs/", "") : `other/${wanted.length}` });
  }
  return wanted;
}

/** What was kept of an instance: refs as it had them, and its stashes, the newest first. */
export async function keptRefs(
  deps: Deps,
  repository: Repository,
  instanceId: string,
): Promise<{ refs: Ref[]; stashes: string[] }> {
  const prefix = keptPrefix(instanceId);
  const format = "--format=%(objectname) %(*objectname) %(refname)";
  const listed = await deps.git.run(["for-each-ref", format, prefix.replace(/\/$/, "")], {
    cwd: repository.gitDir,
  });
  const refs = new Map<string, Ref>();
  const stashes: string[] = [];
  for (const line of listed.split("\n")) {
    const [oid = "", peeled = "", ref = ""] = line.split(" ");
    const name = ref.slice(prefix.length).replace(/^\d+\//, "");
    if (name.startsWith("stash/")) stashes.push(oid);
    else if (/^(heads|tags)\//.test(name)) refs.set(name, { name: `refs/${name}`, oid, peeled });
  }
  return { refs: [...refs.values()], stashes };
}
