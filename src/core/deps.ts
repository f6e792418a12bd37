import type { Engine } from "../drivers/engine/engine.ts";
import type { GatewayConfiguration } from "../gateway/config.ts";
import type { Git } from "../drivers/git/git.ts";
import type { Environment } from "../drivers/process.ts";
import type { Tmux } from "../drivers/tmux.ts";
import type { Store } from "../store/store.ts";
import type { InstanceRecord } from "../store/records.ts";

/** What the core works with. Built once, in `cli/context.ts`. */
export interface Deps {
  store: Store;
  git: Git;
  tmux: Tmux;
  /** Opened on first use: many commands never need it. */
  engine: () => Promise<Engine>;
  gateway: {
    /** Name of the image that gateways run in; makes sure of it. */
    image: () => Promise<string>;
    /** Variables with the user's own package registries, for a container that is made; tells what stays outside. */
    registries: () => Promise<Record<string, string>>;
    /** What the gateway of an instance lets through, for the agents of these names. */
    policy: (
      instance: InstanceRecord,
      agents: readonly string[],
      /** When the gateway was last told of the logins, if one of them has been refused since. */
      refusedSince?: number,
    ) => Promise<GatewayPolicy>;
  };
  /** Environment for children. */
  env: Environment;
  folders: {
    /** One folder an instance, with its private git directory and state. */
    instances: string;
    /** One bare repository for each of the user's. */
    hubs: string;
    /** What the sessions of removed instances leave, a folder each. */
    removed: string;
    /** Sockets and pipes. */
    runtime: string;
  };
  /** Bytes of all files together that a snapshot may have at most; asked for when one is made. */
  maxSnapshotBytes: () => Promise<number>;
  /** Ids of the user that runs `hjk`. */
  user: { uid: number; gid: number };
  version: string;
  now: () => number;
}

/** What a gateway lets through; the rest of its configuration is always the same. */
export interface GatewayPolicy extends Pick<GatewayConfiguration, "allow" | "apis" | "proxy"> {
  /** Of what has an end. */
  login?: GatewayLogin;
}

/** What a gateway's agents have of the user's logins on this machine. */
export interface GatewayLogin {
  /** Whose they are. */
  agents: string[];
  /** When it has to be told again, in Unix milliseconds. */
  renewAt: number;
  /** What is wrong with one, and what to do, for people. */
  problem?: string;
}

/** Said while something takes long: what is being done now. */
export type OnStep = (step: string) => void;

/** Folder of one instance's own files. */
export function instanceFolder(deps: Pick<Deps, "folders">, instance: Pick<InstanceRecord, "id">): string {
  return `${deps.folders.instances}/${instance.id}`;
}

/** Key of the lock that one command at a time holds to make, change or remove the instance of a branch. */
export function instanceLock(instance: Pick<InstanceRecord, "repoId" | "branch">): string {
  return `instance:${instance.repoId}:${instance.branch}`;
}
