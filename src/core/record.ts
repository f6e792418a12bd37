import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { labels, type ContainerSummary } from "../drivers/engine/engine.ts";
import { gitTarget } from "../drivers/git/private-dir.ts";
import { openRepository, type Repository } from "../drivers/git/repository.ts";
import { headOf } from "../drivers/git/worktree.ts";
import { exists, instanceFiles, workspaceTarget } from "../drivers/instance-files.ts";
import { HeadjackError } from "../errors.ts";
import { isolationNames, profileNames } from "../hardening.ts";
import { wholeInstance, type InstanceRecord } from "../store/records.ts";
import { instanceFolder, instanceLock, type Deps } from "./deps.ts";
import { readSessionCopies } from "./session-copy.ts";
import { screenName } from "./session.ts";

/** An instance that is there and has no record in the store. */
export interface LostInstance {
  instance: InstanceRecord;
  /** Git directory of its repository. */
  gitDir: string;
}

/** Puts a copy of an instance's record into its folder, out of the agent's reach. */
export async function writeRecord(deps: Deps, instance: InstanceRecord): Promise<void> {
  const { record } = instanceFiles(instanceFolder(deps, instance));
  const copy: LostInstance = { instance, gitDir: deps.store.repo(instance.repoId)?.gitDir ?? "" };
  await writeFile(`${record}.new`, JSON.stringify(copy), { mode: 0o600 });
  await rename(`${record}.new`, record);
}

/**
 * Instances that no record knows: by the copies of their records, then by the labels of their containers. A
 * container is ours when its label says so, or when it has our folders: a new store has another id.
 */
export async function findLostInstances(deps: Deps, containers: ContainerSummary[]): Promise<LostInstance[]> {
  const known = new Set(deps.store.instances().map((instance) => instance.id));
  const lost = new Map<string, LostInstance>();
  for (const id of await readdir(deps.folders.instances).catch(() => [])) {
    const copy = known.has(id) ? undefined : await readCopy(deps, id);
    if (copy !== undefined) lost.set(id, copy);
  }
  for (const container of containers) {
    const id = container.labels[labels.instance] ?? "";
    if (!isId(id) || known.has(id) || lost.has(id)) continue;
    const found = await fromContainer(deps, id, container);
    if (found !== undefined) lost.set(id, found);
  }
  return [...lost.values()];
}

const isId = (text: string): boolean => /^[0-9a-f]{6,40}$/.test(text);

async function readCopy(deps: Deps, id: string): Promise<LostInstance | undefined> {
  if (!isId(id)) return undefined;
  try {
    const text = await readFile(instanceFiles(instanceFolder(deps, { id })).record, "utf8");
    const copy = JSON.parse(text) as LostInstance;
    if (copy.instance.id !== id || copy.gitDir === "") return undefined;
    return { ...copy, instance: wholeInstance(copy.instance) };
  } catch {
    return undefined;
  }
}

/** What its container tells: all but the engine flags and limits, and where the branch began. */
async function fromContainer(
  deps: Deps,
  id: string,
  container: ContainerSummary,
): Promise<LostInstance | undefined> {
  const details = await (await deps.engine()).inspect(container.name);
  const mount = (target: string): string =>
    details?.mounts.find((one) => one.target === target)?.source ?? "";
  const workspace = mount(workspaceTarget);
  const git = instanceFiles(instanceFolder(deps, { id })).git;
  const gitDir = container.labels[labels.repo] ?? "";
  const branch = container.labels[labels.branch] ?? "";
  if (details === undefined || mount(gitTarget) !== git || !exists(git) || !exists(workspace))
    return undefined;
  if (gitDir === "" || branch === "") return undefined;
  const profile = profileNames.find((name) => name === container.labels[labels.profile]);
  const isolation = isolationNames.find((name) => name === container.labels[labels.isolation]);
  const instance: InstanceRecord = {
    id,
    repoId: "",
    branch,
    state: "ready",
    engine: (await deps.engine()).name,
    container: container.name,
    image: details.image,
    flags: [],
    hardening: {
      ...(profile === undefined ? {} : { profile }),
      ...(isolation === undefined ? {} : { isolation }),
      given: {},
    },
    baseCommit: "",
    branchCreated: false,
    workspace,
    user: details.user,
    head: "",
    fingerprint: "",
    notice: "",
    warning: "",
    refused: [],
    createdAt: container.createdAt,
  };
  return { instance, gitDir };
}

/** Records a lost instance again, with its snapshots and sessions; its commits come home with the next command. */
export async function recordAgain(deps: Deps, { instance, gitDir }: LostInstance): Promise<void> {
  if (!exists(gitDir)) throw new HeadjackError(`its repository is gone from ${gitDir}`);
  const repository = await openRepository(deps.git, gitDir, true);
  const head = (await headOf(deps.git, repository, instance.workspace)) ?? instance.baseCommit;
  const record: InstanceRecord = {
    ...instance,
    repoId: repository.id,
    state: "ready",
    baseCommit: instance.baseCommit === "" ? head : instance.baseCommit,
    head,
    fingerprint: "",
    notice: "",
    warning: "",
    refused: [],
  };
  if (head === "") throw new HeadjackError(`git does not know its worktree ${basename(instance.workspace)}`);
  await deps.store.withLock(instanceLock(record), async () => {
    deps.store.saveRepo({ id: repository.id, gitDir: repository.gitDir, name: repository.name });
    if (!deps.store.addInstance(record)) {
      const other = deps.store.instance(repository.id, record.branch)?.id ?? "";
      throw new HeadjackError(`${record.branch} has another instance by now, ${other}`);
    }
    await recordSnapshots(deps, repository, record);
    await recordSessions(deps, record);
    await writeRecord(deps, record);
  });
}

/** Those whose screens are there go on; how the others ended is not known any more. */
async function recordSessions(deps: Deps, instance: InstanceRecord): Promise<void> {
  const screens = new Set((await deps.tmux.list()).map((screen) => screen.name));
  for (const session of await readSessionCopies(deps, instance.id)) {
    // A name may have been used again: the newest has the screen.
    const lives = screens.delete(screenName(instance.id, session.name));
    deps.store.addSession({ ...session, state: lives ? "live" : "ended" });
    if (!lives) deps.store.updateSession(session.id, { end: "exited", endedAt: session.startedAt });
  }
}

/** Otherwise the next snapshot would have the number, and with it take the ref, of one that is there. */
async function recordSnapshots(deps: Deps, repository: Repository, instance: InstanceRecord): Promise<void> {
  const at = { cwd: repository.gitDir };
  const base = `refs/headjack/${instance.id}`;
  const format = "--format=%(refname) %(objectname) %(tree) %(committerdate:unix) %(parent)";
  const listed = await deps.git.run(["for-each-ref", format, `${base}/snapshots`], at);
  for (const line of listed.split("\n")) {
    const [ref = "", commit = "", tree = "", seconds = "", parent = ""] = line.split(" ");
    const number = /\/snapshots\/([1-9]\d*)$/.exec(ref)?.[1];
    if (number === undefined) continue;
    const staged = await deps.git.try(
      ["rev-parse", "--verify", "--quiet", `${base}/staged/${number}^{tree}`],
      at,
    );
    deps.store.keepSnapshot({
      instanceId: instance.id,
      number: Number(number),
      repoId: repository.id,
      branch: instance.branch,
      reason: "kept",
      commit,
      parent,
      tree,
      staged: staged.code === 0 ? staged.stdout.trim() : "",
      leftOut: [],
      createdAt: Number(seconds) * 1000,
    });
  }
}
