import type { Isolation, Profile } from "../../hardening.ts";

/** What Headjack asks of whatever runs containers. One implementation an engine. */
export interface Engine {
  /** `docker`, `podman`, ... as in `runtime.name`. */
  readonly name: string;
  /** Version of the engine; throws an engine error when it does not answer. */
  version(): Promise<string>;
  /** What the machine that runs the containers has. */
  capacity(): Promise<Capacity>;

  /** Containers that carry the label, running or not. */
  list(label: string): Promise<ContainerSummary[]>;
  /** Bytes that each of these has written above its image, by its name; the engine may take long for it. */
  layerSizes(label: string, signal: AbortSignal): Promise<Map<string, number>>;
  inspect(container: string): Promise<ContainerDetails | undefined>;
  create(spec: ContainerSpec): Promise<void>;
  /** No error when it runs already. */
  start(container: string): Promise<void>;
  /** Ends the container's processes; after `graceSeconds` by force. No error when it is not running. */
  stop(container: string, graceSeconds: number): Promise<void>;
  /** Removes the container, running or not. No error when there is none. */
  remove(container: string): Promise<void>;

  /** Runs a program in a running container and returns what it printed. */
  exec(container: string, command: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** argv on the host of a program in the container with its input and output on ours. */
  execCommand(container: string, command: readonly string[], options: ExecCommandOptions): string[];
  /** argv on the host of a program in a throwaway container that is gone when it ends. */
  runCommand(spec: ContainerSpec): string[];

  /**
   * Makes a network from which nothing outside of it can be reached, this machine included; false where its
   * addresses are taken.
   */
  createNetwork(network: NetworkSpec): Promise<boolean>;
  /** No error when there is none. */
  removeNetwork(name: string): Promise<void>;
  /** Names of the networks that carry the label, and their labels. */
  networks(label: string): Promise<Pick<ContainerSummary, "name" | "labels">[]>;
  /** Makes the container of a gateway: in the network of its instance, and in one that leads out. */
  createGateway(gateway: GatewaySpec): Promise<void>;
  /** Begins to talk with a running container's own process, about what is printed from then on. */
  converse(container: string): Promise<Conversation>;
  /** The last lines that a container's own process has printed; empty when there is none. */
  output(container: string, lines: number): Promise<string>;

  imageExists(image: string): Promise<boolean>;
  /** Undefined when there is no such image. */
  imageLabels(image: string): Promise<Record<string, string> | undefined>;
  /** What an image is, whatever its name means tomorrow; undefined when there is none. */
  imageId(image: string): Promise<string | undefined>;
  /** What an image says that would get in the way of ours; undefined when there is no such image. */
  imageTraits(image: string): Promise<ImageTraits | undefined>;
  /** Names an image that is the same but without instructions for whoever builds on it. */
  dropTriggers(image: string, name: string): Promise<void>;
  /** Images of a repository, each with its names. */
  images(repository: string): Promise<ImageSummary[]>;
  /** Removes a name, and what is left without one; false where a container uses it, of whomever. */
  removeImage(name: string): Promise<boolean>;
  /** Gives an image a further name. */
  tagImage(image: string, name: string): Promise<void>;
  /** argv on the host that builds a folder with a Dockerfile. */
  buildCommand(build: ImageBuild): string[];
  /** Host environment that the commands above need, beside the user's own. */
  readonly environment: Record<string, string>;
}

export interface Mount {
  /** Absolute path on the host. */
  source: string;
  /** Absolute path in the container. */
  target: string;
  readOnly: boolean;
}

export interface ContainerSpec {
  name: string;
  image: string;
  labels: Record<string, string>;
  environment: Record<string, string>;
  mounts: Mount[];
  /** uid:gid */
  user: string;
  workingDir: string;
  command: string[];
  /** The engine's own, none, the one that `flags` name, or one made for it. */
  network: "default" | "none" | "own" | InstanceNetwork;
  profile: Profile;
  /** What gives it another isolation than the engine's own, in the engine's words. */
  runtime?: string;
  limits: ContainerLimits;
  /** The user's own flags of the engine's command line, after ours so that they win. */
  flags: string[];
}

/** A network with a gateway, and the container's place in it. */
export interface InstanceNetwork {
  name: string;
  /** The container's own. */
  address: string;
  /** Names that it knows, with their addresses: there is nobody to ask for any other. */
  hosts: Record<string, string>;
}

export interface NetworkSpec {
  name: string;
  /** `10.213.0.0/28` */
  subnet: string;
  labels: Record<string, string>;
}

export interface GatewaySpec {
  name: string;
  image: string;
  labels: Record<string, string>;
  command: string[];
  environment: Record<string, string>;
  /** Network of the instance, and the gateway's address there. */
  network: { name: string; address: string };
}

/** What a container may use at most. */
export interface ContainerLimits {
  /** Bytes. */
  memory?: number;
  cpus?: number;
  /** Processes and threads. */
  pids: number;
  /** Bytes that it may write above its image. */
  disk?: number;
}

export interface Capacity {
  cpus: number;
  /** Bytes. */
  memory: number;
  /** What of our containers' protection it cannot give. */
  lacks: ("seccomp" | "memory limit" | "cpu limit" | "process limit")[];
  /** Whether it may be able to limit what a container writes. */
  limitsDisk: boolean;
  /** What gives the isolations there that are not the engine's own, in its words. */
  runtimes: Partial<Record<Exclude<Isolation, "container">, string>>;
  /** Release of its kernel, as in `uname -r`. */
  kernel: string;
}

export interface ContainerSummary {
  name: string;
  labels: Record<string, string>;
  running: boolean;
  /** Unix time in milliseconds. */
  createdAt: number;
}

export interface ImageTraits {
  /** Folders for which it wants a volume in each container. */
  volumes: string[];
  /** Whether it has instructions for whoever builds on it (`ONBUILD`). */
  triggers: boolean;
}

export interface ImageSummary {
  /** `name:tag` */
  names: string[];
  labels: Record<string, string>;
  bytes: number;
  /** Unix time in milliseconds. */
  createdAt: number;
}

export interface ContainerDetails {
  running: boolean;
  /** uid:gid or name, as configured. */
  user: string;
  image: string;
  mounts: { source: string; target: string }[];
}

export interface ExecOptions {
  user?: string;
  /** Milliseconds until the answer is given up; the program itself may go on. */
  timeoutMs?: number;
}

/** Input and output of a container's own process. Its input may end when this is closed. */
export interface Conversation {
  /** Throws when no line is the end of the answer in time, or the process ends. */
  say(saying: Saying): Promise<void>;
  close(): void;
}

export interface Saying {
  input: string;
  /** Is given each line of the answer. */
  isOver: (line: string) => boolean;
  /** Milliseconds. */
  timeoutMs: number;
}

export interface ExecResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface ExecCommandOptions {
  tty: boolean;
  /** File with NAME=value lines on the host, so that no value stands in a process list. */
  environmentFile?: string;
  environment?: Record<string, string>;
}

export interface ImageBuild {
  /** Folder on the host: the context. */
  folder: string;
  /** Absolute path; `Dockerfile` of the folder by default. */
  dockerfile?: string;
  /** Stage of the Dockerfile; the last one by default. */
  target?: string;
  tag: string;
  args: Record<string, string>;
  labels: Record<string, string>;
}

/** Label names on everything Headjack makes; enough to rebuild the store from the engine. */
export const labels = {
  instance: "headjack.instance",
  repo: "headjack.repo",
  branch: "headjack.branch",
  version: "headjack.version",
  profile: "headjack.profile",
  isolation: "headjack.isolation",
  store: "headjack.store",
  /** On throwaway containers only: whose they are. */
  helper: "headjack.helper",
  /** On a gateway and a network: the instance that they belong to. */
  gateway: "headjack.gateway",
  /** Names of the agents that a base image holds, with a space between them. */
  agents: "headjack.agents",
  /** On an image that was made for instances: the store it was made for, and the image that it was made from. */
  setup: "headjack.setup",
  from: "headjack.from",
  /** On an image that was built from the user's files: their place. */
  source: "headjack.source",
  /** On the layer of a dev container: what is run in its containers, as JSON. */
  hooks: "headjack.hooks",
} as const;
