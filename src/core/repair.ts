import { readdir, rename, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import { labels, type ContainerSummary } from "../drivers/engine/engine.ts";
import { isHubDamaged } from "../drivers/git/hub.ts";
import { openRepository } from "../drivers/git/repository.ts";
import { forgetWorktree, lockedWorktrees } from "../drivers/git/worktree.ts";
import { exists, isSealed, seal } from "../drivers/instance-files.ts";
import type { CarryRequest } from "./carry.ts";
import { deskLock, deskRoom } from "./desk.ts";
import { instanceLock, type Deps } from "./deps.ts";
import { fixHint, type Finding } from "./finding.ts";
import { gatewayState } from "./gateway.ts";
import { recreateInstance, startInstance } from "./instance.ts";
import { findLostInstances, recordAgain } from "./record.ts";
import { exposedSessions, viewInstances, type InstanceView } from "./status.ts";
import { hubFolder } from "./sync.ts";

/** What mending needs of the user's settings. */
export interface RepairSettings {
  /** Folder that holds all workspaces. */
  worktrees: string;
  carry: CarryRequest;
}

/** Milliseconds after which a throwaway container has been left by a command that was killed. */
const oldHelperMs = 10 * 60_000;

/** Everything that belongs to no record, or lacks what its record says. */
export async function findDamage(deps: Deps, settings: RepairSettings): Promise<Finding[]> {
  const engine = await deps.engine();
  const containers = await engine.list(labels.instance);
  const lost = await findLostInstances(deps, containers);
  const lostIds = new Set(lost.map(({ instance }) => instance.id));
  return [
    ...lost.map(({ instance, gitDir }): Finding => ({
      what: `instance ${instance.id} (${instance.branch})`,
      state: "problem",
      detail: "is there, but no record knows it",
      hint: fixHint,
      fix: async () => {
        await recordAgain(deps, { instance, gitDir });
        return "recorded again";
      },
    })),
    ...strayContainers(deps, containers, lostIds),
    ...(await strayWorktrees(deps, settings, containers, lostIds)),
    ...(await instanceFindings(deps, settings)),
    ...(await damagedHubs(deps)),
    ...(await leftHelpers(deps)),
    ...(await strayGateways(deps, lostIds)),
    ...(await leftPipes(deps)),
    ...leftDesks(deps),
    ...staleLocks(deps),
  ];
}

/** Containers of this store whose workspace or git directory is gone: nothing of theirs is on the host. */
function strayContainers(deps: Deps, containers: ContainerSummary[], lost: Set<string>): Finding[] {
  const known = new Set(deps.store.instances().map((instance) => instance.container));
  const id = deps.store.id();
  return containers
    .filter((one) => one.labels[labels.store] === id && !known.has(one.name))
    .filter((one) => !lost.has(one.labels[labels.instance] ?? ""))
    .map((container) => ({
      what: `container ${container.name}`,
      state: "warning",
      detail: `of ${container.labels[labels.branch] ?? "?"}, but no record knows it, and its files are gone`,
      hint: fixHint,
      fix: async () => {
        await (await deps.engine()).remove(container.name);
        return "removed";
      },
    }));
}

/**
 * Worktrees in our folder whose instance is gone. The same repository may have those of another store: an
 * instance of that one has its container.
 */
async function strayWorktrees(
  deps: Deps,
  { worktrees }: RepairSettings,
  containers: ContainerSummary[],
  lost: Set<string>,
): Promise<Finding[]> {
  const known = new Set([
    ...deps.store.instances().map((instance) => instance.id),
    ...containers.map((container) => container.labels[labels.instance] ?? ""),
    ...lost,
  ]);
  const findings: Finding[] = [];
  for (const repo of deps.store.repos()) {
    if (!exists(repo.gitDir)) continue;
    const repository = await openRepository(deps.git, repo.gitDir, true);
    for (const { folder, reason } of await lockedWorktrees(deps.git, repository)) {
      const id = /^headjack instance ([0-9a-f]+)$/.exec(reason)?.[1];
      if (id === undefined || known.has(id) || !folder.startsWith(`${worktrees}${sep}`)) continue;
      findings.push({
        what: `worktree ${folder}`,
        state: "warning",
        detail: `of instance ${id} in ${repo.name}, but no record knows it`,
        hint: fixHint,
        fix: async () => {
          // Its git directory is gone, so no snapshot can be made of its files.
          const kept = `${folder}.kept`;
          const there = exists(folder);
          if (there) await rename(folder, kept);
          await forgetWorktree(deps.git, repository, folder);
          return there ? `git has forgotten it; its files are in ${kept}` : "git has forgotten it";
        },
      });
    }
  }
  return findings;
}

async function instanceFindings(deps: Deps, settings: RepairSettings): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const view of await viewInstances(deps)) {
    const { record, status } = view;
    const what = `instance ${record.id} (${record.branch})`;
    const exposed = exposedSessions(view.sessions);
    const problem = (await gatewayState(deps, record).catch(() => undefined))?.login?.problem;
    const sealed = status === "missing" || !exists(record.workspace) || (await isSealed(record.workspace));
    if (status === "missing") findings.push(missing(deps, settings, view));
    else if (!sealed && status !== "creating" && status !== "removing") findings.push(unsealed(view));
    else if (exposed.length > 0)
      findings.push({
        what,
        state: "warning",
        detail: `weak protection: ${exposed.join(", ")} with a credential inside, which whatever runs there can read`,
        hint: "See docs/security.md: which agents leave theirs with the gateway.",
      });
    else if (problem !== undefined) findings.push({ what, state: "warning", detail: problem });
    else if (record.notice !== "") findings.push({ what, state: "warning", detail: record.notice });
    else findings.push({ what, state: "ok", detail: status });
  }
  return findings;
}

const silent = (): void => undefined;

function missing(deps: Deps, { carry }: RepairSettings, { record }: InstanceView): Finding {
  if (deps.store.isLocked(instanceLock(record))) {
    return {
      what: `instance ${record.id} (${record.branch})`,
      state: "warning",
      detail: "another command is at work on it",
    };
  }
  return {
    what: `instance ${record.id} (${record.branch})`,
    state: "problem",
    detail: "its container or its workspace has been removed",
    hint: `${fixHint}, or: hjk recreate ${record.branch}. Give it up: hjk rm ${record.branch}`,
    fix: async () => {
      if (exists(record.workspace)) {
        await startInstance(deps, record, silent);
        return "its container was made again";
      }
      const unsaved: string[] = [];
      await recreateInstance(deps, record, {
        image: record.image,
        carry,
        onStep: silent,
        onUnsaved: (reason) => unsaved.push(reason),
      });
      return ["its workspace was made again, as of its last commit", ...unsaved].join("; ");
    },
  };
}

function unsealed({ record, status }: InstanceView): Finding {
  return {
    what: `instance ${record.id} (${record.branch})`,
    state: "problem",
    detail: "its workspace is not sealed: git on this machine would run there what an agent can write",
    hint: fixHint,
    fix: async () => {
      const kept = await seal(record.workspace);
      const what = kept === undefined ? "sealed" : `sealed; what was there is now ${kept}`;
      return status === "running" ? `${what}; if git fails inside: hjk recreate ${record.branch}` : what;
    },
  };
}

/** What a hub holds is in the user's repository or in the instances, and comes again from there. */
async function damagedHubs(deps: Deps): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const repo of deps.store.repos()) {
    const hub = hubFolder(deps, repo.id);
    if (!exists(repo.gitDir) || !(await isHubDamaged(deps.git, hub))) continue;
    findings.push({
      what: `hub of ${repo.name}`,
      state: "problem",
      detail: `${hub} is damaged`,
      hint: fixHint,
      fix: async () => {
        await rm(hub, { recursive: true, force: true });
        for (const { id } of deps.store.instances(repo.id))
          deps.store.updateInstance(id, { fingerprint: "" });
        return "removed; the next command makes it anew";
      },
    });
  }
  return findings;
}

/** Throwaway containers that a killed command has left. */
async function leftHelpers(deps: Deps): Promise<Finding[]> {
  const engine = await deps.engine();
  const helpers = await engine.list(`${labels.helper}=${deps.store.id()}`);
  return helpers
    .filter((helper) => deps.now() - helper.createdAt > oldHelperMs)
    .map((helper) => ({
      what: `container ${helper.name}`,
      state: "warning",
      detail: "a throwaway one that a command has left",
      hint: fixHint,
      fix: async () => {
        await engine.remove(helper.name);
        return "removed";
      },
    }));
}

/** Gateways and networks of this store that belong to no instance. */
async function strayGateways(deps: Deps, lost: Set<string>): Promise<Finding[]> {
  const engine = await deps.engine();
  const known = new Set([...deps.store.instances().map((instance) => instance.id), ...lost]);
  const isStray = ({ labels: own }: Pick<ContainerSummary, "labels">): boolean =>
    own[labels.store] === deps.store.id() && !known.has(own[labels.gateway] ?? "");
  const [gateways, networks] = await Promise.all([
    engine.list(labels.gateway),
    engine.networks(labels.gateway),
  ]);
  return [
    ...gateways
      .filter((one) => isStray(one))
      .map(({ name }) => stray(`gateway ${name}`, () => engine.remove(name))),
    // A container that still is in one goes first, in the next round.
    ...networks
      .filter((one) => isStray(one))
      .map(({ name }) => stray(`network ${name}`, () => engine.removeNetwork(name))),
  ];
}

function stray(what: string, remove: () => Promise<void>): Finding {
  return {
    what,
    state: "warning",
    detail: "of an instance that no record knows",
    hint: fixHint,
    fix: async () => {
      await remove();
      return "removed";
    },
  };
}

/** Pipes of sessions that are not being started. */
async function leftPipes(deps: Deps): Promise<Finding[]> {
  const names = await readdir(deps.folders.runtime).catch(() => []);
  const left = names.filter(
    (name) => name.endsWith(".env") && deps.store.session(name.slice(0, -4))?.state !== "starting",
  );
  return left.map((name) => ({
    what: `pipe ${name}`,
    state: "warning",
    detail: "of a session that is not being started",
    hint: fixHint,
    fix: async () => {
      await rm(join(deps.folders.runtime, name), { force: true });
      return "removed";
    },
  }));
}

function staleLocks(deps: Deps): Finding[] {
  return deps.store.staleLocks().map((name) => ({
    what: `lock ${name}`,
    state: "warning",
    detail: "its holder was killed; nobody waits for it",
    hint: fixHint,
    fix: () => {
      deps.store.removeStaleLock(name);
      return Promise.resolve("removed");
    },
  }));
}

/** Each holds the files of a commit. The next command at a desk would clear it away, too. */
function leftDesks(deps: Deps): Finding[] {
  return deps.store
    .repos()
    .filter(({ id }) => exists(deskRoom(deps, id)) && !deps.store.isLocked(deskLock(id)))
    .map(({ id, name }) => ({
      what: `desk of ${name}`,
      state: "warning",
      detail: "was left by a command that was killed",
      hint: fixHint,
      fix: async () => {
        await deps.store.withLock(deskLock(id), () =>
          rm(deskRoom(deps, id), { recursive: true, force: true }),
        );
        return "removed";
      },
    }));
}
