import { HeadjackError } from "../errors.ts";
import { defaultIsolation, defaultProfile } from "../hardening.ts";
import { limitsOn, runtimeFor } from "./hardening.ts";
import { labels, type ContainerSpec } from "../drivers/engine/engine.ts";
import { lfsFolder } from "../drivers/git/lfs.ts";
import { objectFolders, openRepository, type Repository } from "../drivers/git/repository.ts";
import {
  alternatesToMask,
  exists,
  instanceFiles,
  instanceMounts,
  workspaceTarget,
} from "../drivers/instance-files.ts";
import type { InstanceRecord } from "../store/records.ts";
import { instanceFolder, type Deps } from "./deps.ts";
import { gatewayState, hasOwnNetwork, networkThrough } from "./gateway.ts";
import { newInstanceId } from "./names.ts";
import { waitingForProbe } from "./probe.ts";

/** Never root: files made inside must be the host user's, and root there would be root in the container. */
export function containerUser(deps: Pick<Deps, "user">): string {
  return deps.user.uid === 0 ? "1000:1000" : `${deps.user.uid}:${deps.user.gid}`;
}

/** The container of an instance, as it is made by `run` and made again by `recreate`. */
export async function containerSpec(
  deps: Deps,
  repository: Repository,
  instance: InstanceRecord,
): Promise<ContainerSpec> {
  const [folders, gateway, machine] = await Promise.all([
    objectFolders(repository),
    gatewayState(deps, instance),
    deps.engine().then((engine) => engine.capacity()),
  ]);
  const profile = instance.hardening.profile ?? defaultProfile;
  const isolation = instance.hardening.isolation ?? defaultIsolation;
  const runtime = runtimeFor(machine, instance.hardening, instance.flags);
  const files = instanceFiles(instanceFolder(deps, instance));
  const through = gateway === undefined ? undefined : networkThrough(instance, gateway);
  return {
    name: instance.container,
    image: instance.image,
    labels: {
      [labels.instance]: instance.id,
      [labels.repo]: repository.gitDir,
      [labels.branch]: instance.branch,
      [labels.version]: deps.version,
      [labels.store]: deps.store.id(),
      [labels.profile]: profile,
      [labels.isolation]: isolation,
    },
    environment: {
      // The worktree may belong to another user id than the one that looks, as for `docker exec -u root`.
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      HEADJACK_BRANCH: instance.branch,
      ...gateway?.registries,
      ...through?.environment,
    },
    mounts: [
      ...instanceMounts(files, {
        workspace: instance.workspace,
        objectFolders: folders,
        lfs: lfsFolder(repository),
        masked: alternatesToMask(folders),
      }),
      ...(gateway === undefined
        ? []
        : [{ source: files.resolver, target: "/etc/resolv.conf", readOnly: true }]),
    ],
    user: instance.user,
    workingDir: workspaceTarget,
    command: waitingForProbe,
    network: through?.network ?? (hasOwnNetwork(instance.flags) ? "own" : "default"),
    profile,
    ...(runtime === undefined ? {} : { runtime }),
    limits: limitsOn(machine, instance.hardening),
    flags: instance.flags,
  };
}

/**
 * A throwaway container of a stopped instance, without network, that may read its files and change only
 * what is `writable`. It can do without the workspace, which may have been removed while the commits are
 * still there.
 */
export async function helperSpec(
  deps: Deps,
  instance: InstanceRecord,
  command: string[],
  needs: { workspace: boolean; writable?: readonly string[] },
): Promise<ContainerSpec> {
  const repository = await repositoryOf(deps, instance);
  const spec = await containerSpec(deps, repository, instance);
  return {
    ...spec,
    name: `${instance.container}-helper-${newInstanceId()}`,
    // Not the instance's label: it is no instance.
    labels: { [labels.version]: deps.version, [labels.helper]: deps.store.id() },
    mounts: spec.mounts
      .filter((mount) => needs.workspace || !mount.target.startsWith(workspaceTarget))
      .map((mount) => ({
        ...mount,
        readOnly: mount.readOnly || needs.writable?.includes(mount.target) !== true,
      })),
    workingDir: needs.workspace ? spec.workingDir : "/",
    command,
    network: "none",
    profile: "strict",
    flags: [],
  };
}

/** The user's repository of an instance. */
export async function repositoryOf(deps: Deps, instance: InstanceRecord): Promise<Repository> {
  const record = deps.store.repo(instance.repoId);
  if (record === undefined || !exists(record.gitDir)) {
    throw new HeadjackError(
      `The repository of ${instance.branch} is gone from ${record?.gitDir ?? "its place"}.`,
      {
        kind: "not-found",
        hints: ["Put it back where it was, or give the instance up: hjk rm -f."],
      },
    );
  }
  return await openRepository(deps.git, record.gitDir, true);
}
