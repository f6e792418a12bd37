import { DockerConversation } from "./docker-conversation.ts";
import { DockerApi, DockerApiError, demultiplex } from "./docker-api.ts";
import { findDockerHost, type DockerHost } from "./docker-host.ts";
import { HeadjackError } from "../../errors.ts";
import { ProcessError, run, type Environment } from "../process.ts";
import { hardeningBody, hardeningFlags } from "./hardening.ts";
import { endpointAt, gatewayBody, networkBody, networkFlags, outwardNetwork } from "./docker-network.ts";
import type {
  Capacity,
  ContainerDetails,
  ContainerSpec,
  ContainerSummary,
  Conversation,
  Engine,
  ExecCommandOptions,
  ExecOptions,
  ExecResult,
  GatewaySpec,
  ImageBuild,
  ImageSummary,
  ImageTraits,
  NetworkSpec,
} from "./engine.ts";

/**
 * The engine client takes a key sequence out of the terminal's input to detach, Ctrl+P first by
 * default, which agents and shells use. There is no way to say "none"; this one nobody types.
 */
const unusedDetachKeys = "ctrl-^,ctrl-],ctrl-^,ctrl-]";

/** Names by which the makers of gVisor, Kata Containers and libkrun have their runtimes registered. */
const gvisorRuntimes = ["runsc", "io.containerd.runsc.v1", "gvisor"];
const vmRuntimes = [
  "kata",
  "kata-runtime",
  "io.containerd.kata.v2",
  "kata-qemu",
  "kata-clh",
  "kata-fc",
  "krun",
];

const removalTimeoutMs = 15_000;

const maxExecOutput = 32 * 1024 * 1024;

/** Docker Engine: its socket for what is quick, its CLI for terminals and builds. */
export class DockerEngine implements Engine {
  readonly name = "docker";
  readonly environment: Record<string, string>;
  readonly #api: DockerApi;
  readonly #env: Environment;
  readonly #folder: string;
  #capacity: Promise<Capacity> | undefined;

  /** `folder` is for files that the CLI has to read. */
  static async open(env: Environment, folder: string): Promise<DockerEngine> {
    return new DockerEngine(await findDockerHost(env), env, folder);
  }

  constructor(host: DockerHost, env: Environment, folder: string) {
    this.#api = new DockerApi(host);
    this.#env = env;
    this.#folder = folder;
    // So that the CLI talks to the same engine as we do, whatever its context becomes meanwhile.
    this.environment = { DOCKER_HOST: host.display };
  }

  async version(): Promise<string> {
    return (await this.#api.get<{ Version: string }>("/version")).Version;
  }

  async capacity(): Promise<Capacity> {
    return await (this.#capacity ??= this.#findCapacity());
  }

  async #findCapacity(): Promise<Capacity> {
    const info = await this.#api.get<InfoJson>("/info");
    const lacks: Capacity["lacks"] = [];
    if (!(info.SecurityOptions ?? []).some((option) => option.startsWith("name=seccomp")))
      lacks.push("seccomp");
    if (info.MemoryLimit === false) lacks.push("memory limit");
    if (info.CpuCfsQuota === false) lacks.push("cpu limit");
    if (info.PidsLimit === false) lacks.push("process limit");
    const fileSystem = info.DriverStatus?.find(([name]) => name === "Backing Filesystem")?.[1];
    const named = (names: readonly string[]): string | undefined =>
      names.find((name) => Object.hasOwn(info.Runtimes ?? {}, name));
    const [gvisor, vm] = [named(gvisorRuntimes), named(vmRuntimes)];
    return {
      cpus: info.NCPU,
      memory: info.MemTotal,
      lacks,
      // overlay2 needs xfs, mounted with pquota: that the engine says only when it makes a container.
      limitsDisk:
        info.Driver === "overlay2" ? fileSystem === "xfs" : ["btrfs", "zfs"].includes(info.Driver ?? ""),
      runtimes: { ...(gvisor === undefined ? {} : { gvisor }), ...(vm === undefined ? {} : { vm }) },
      kernel: info.KernelVersion,
    };
  }

  async list(label: string): Promise<ContainerSummary[]> {
    const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
    const found = await this.#api.get<ContainerListJson>(`/containers/json?all=1&filters=${filters}`);
    return found.map((container) => ({
      name: (container.Names[0] ?? "").replace(/^\//, ""),
      labels: container.Labels,
      running: container.State === "running",
      createdAt: container.Created * 1000,
    }));
  }

  async layerSizes(label: string, signal: AbortSignal): Promise<Map<string, number>> {
    const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
    const found = await this.#api.get<{ Names: string[]; SizeRw?: number }[]>(
      `/containers/json?all=1&size=1&filters=${filters}`,
      signal,
    );
    // The engine leaves it out where it is nothing.
    return new Map(found.map(({ Names: [name = ""], SizeRw = 0 }) => [name.replace(/^\//, ""), SizeRw]));
  }

  async inspect(container: string): Promise<ContainerDetails | undefined> {
    const found = await this.#look(container);
    if (found === undefined) return undefined;
    if (found.State.Status === "removing" || found.State.Status === "dead") {
      // A command that was killed had asked for it.
      await this.remove(container);
      return undefined;
    }
    return {
      running: found.State.Running,
      user: found.Config.User,
      image: found.Config.Image,
      mounts: (found.Mounts ?? []).map((mount) => ({ source: mount.Source, target: mount.Destination })),
    };
  }

  async #look(container: string): Promise<ContainerJson | undefined> {
    try {
      return await this.#api.get<ContainerJson>(`/containers/${container}/json`);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async create(spec: ContainerSpec): Promise<void> {
    try {
      // Flags are the CLI's language, so only it can read them; without any, the socket saves 20 ms.
      await this.#anew(
        () =>
          spec.flags.length > 0
            ? this.#createByCli(spec)
            : this.#api.post(`/containers/create?name=${spec.name}`, toCreateBody(spec)),
        () => this.remove(spec.name),
      );
    } catch (error) {
      if (
        spec.limits.disk !== undefined &&
        error instanceof Error &&
        /storage-opt|pquota/i.test(error.message)
      ) {
        throw new HeadjackError(`Docker cannot limit what a container writes here: ${error.message}`, {
          kind: "engine",
          cause: error,
          hints: [
            "Its storage must lie on xfs that is mounted with pquota. Without the limit: leave out --disk, limits.disk.",
          ],
        });
      }
      if (!isMissing(error)) throw imageError(error, spec.image);
      throw new HeadjackError(`There is no image ${spec.image} on this machine.`, {
        kind: "not-found",
        hints: [`Get it with \`docker pull ${spec.image}\` or build it, or choose another with --image.`],
      });
    }
  }

  /**
   * Makes something whose name is one instance's alone. What has that name already, a command asked for that was
   * killed: the engine may make it at any moment after that, also when it has just been looked for.
   */
  async #anew(make: () => Promise<unknown>, remove: () => Promise<void>): Promise<void> {
    try {
      await make();
    } catch (error) {
      if (!(error instanceof DockerApiError) || error.status !== 409) throw error;
      await remove();
      await make();
    }
  }

  async #createByCli(spec: ContainerSpec): Promise<void> {
    try {
      await run(
        [
          this.#cli(),
          "create",
          "--pull=never",
          "--interactive",
          ...toFlags(spec, this.#folder),
          ...spec.flags,
          spec.image,
          ...spec.command,
        ],
        {
          env: { ...this.#env, ...this.environment },
        },
      );
    } catch (error) {
      if (!(error instanceof ProcessError)) throw error;
      if (/no such image/i.test(error.result.stderr)) throw new DockerApiError(404, error.message);
      if (error.result.stderr.includes("is already in use by container"))
        throw new DockerApiError(409, error.message);
      throw new HeadjackError(`Docker did not make the container: ${lastLine(error.result.stderr)}`, {
        kind: "engine",
        cause: error,
        hints: [`Check the flags after \`--\` and \`runtime.flags\`: ${spec.flags.join(" ")}`],
      });
    }
  }

  async start(container: string): Promise<void> {
    try {
      await this.#api.post(`/containers/${container}/start`);
    } catch (error) {
      // It runs already.
      if (!(error instanceof DockerApiError) || error.status !== 304) throw error;
    }
  }

  async stop(container: string, graceSeconds: number): Promise<void> {
    await this.#ignoringMissing(() => this.#api.post(`/containers/${container}/stop?t=${graceSeconds}`));
  }

  async remove(container: string): Promise<void> {
    await this.#ignoringMissing(() => this.#api.delete(`/containers/${container}?force=1&v=1`));
    // Another command may be removing it at this moment; its name is free when it is gone.
    const deadline = Date.now() + removalTimeoutMs;
    while ((await this.#look(container)) !== undefined && Date.now() < deadline) await Bun.sleep(50);
  }

  async exec(container: string, command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const created = (await this.#api.post(`/containers/${container}/exec`, {
      AttachStdout: true,
      AttachStderr: true,
      Cmd: command,
      ...(options.user === undefined ? {} : { User: options.user }),
    })) as { Id: string };
    const signal = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
    const text = { stdout: "", stderr: "" };
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    const output = await this.#api.stream(`/exec/${created.Id}/start`, { Detach: false, Tty: false }, signal);
    await demultiplex(output, (chunk, stream) => {
      text[stream] += decoders[stream].decode(chunk, { stream: true });
      if (text[stream].length > maxExecOutput)
        throw new HeadjackError(`${command[0] ?? ""} printed too much.`);
    });
    const details = await this.#api.get<{ ExitCode: number | null }>(`/exec/${created.Id}/json`);
    return { code: details.ExitCode ?? 1, ...text };
  }

  execCommand(container: string, command: readonly string[], options: ExecCommandOptions): string[] {
    return [
      this.#cli(),
      "exec",
      "--interactive",
      ...(options.tty ? ["--tty", `--detach-keys=${unusedDetachKeys}`] : []),
      ...(options.environmentFile === undefined ? [] : ["--env-file", options.environmentFile]),
      ...Object.entries(options.environment ?? {}).map(([name, value]) => `--env=${name}=${value}`),
      container,
      ...command,
    ];
  }

  runCommand(spec: ContainerSpec): string[] {
    return [
      this.#cli(),
      "run",
      "--rm",
      "--interactive",
      "--pull=never",
      ...toFlags(spec, this.#folder),
      ...spec.flags,
      spec.image,
      ...spec.command,
    ];
  }

  async createNetwork(network: NetworkSpec): Promise<boolean> {
    try {
      const body = {
        Name: network.name,
        CheckDuplicate: true,
        Driver: "bridge",
        Internal: true,
        Labels: network.labels,
        IPAM: { Config: [{ Subnet: network.subnet }] },
        // Without it the host has an address there, and with it whatever listens on all of its addresses.
        Options: { "com.docker.network.bridge.inhibit_ipv4": "true" },
      };
      await this.#anew(
        () => this.#api.post("/networks/create", body),
        () => this.removeNetwork(network.name),
      );
      return true;
    } catch (error) {
      if (error instanceof DockerApiError && /pool overlaps/i.test(error.message)) return false;
      throw error;
    }
  }

  async removeNetwork(name: string): Promise<void> {
    const deadline = Date.now() + removalTimeoutMs;
    for (;;) {
      try {
        await this.#ignoringMissing(() => this.#api.delete(`/networks/${name}`));
        return;
      } catch (error) {
        // The last container in it is being removed at this moment.
        if (!(error instanceof DockerApiError) || error.status !== 403 || Date.now() > deadline) throw error;
        await Bun.sleep(50);
      }
    }
  }

  async networks(label: string): Promise<{ name: string; labels: Record<string, string> }[]> {
    const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
    const found = await this.#api.get<{ Name: string; Labels: Record<string, string> | null }[]>(
      `/networks?filters=${filters}`,
    );
    return found.map((network) => ({ name: network.Name, labels: network.Labels ?? {} }));
  }

  async createGateway(gateway: GatewaySpec): Promise<void> {
    await this.#anew(
      () => this.#api.post(`/containers/create?name=${gateway.name}`, gatewayBody(gateway)),
      () => this.remove(gateway.name),
    );
    try {
      await this.#api.post(`/networks/${outwardNetwork}/connect`, { Container: gateway.name });
    } catch (error) {
      // An engine without a network of its own leads nowhere, and neither does the gateway.
      if (!isMissing(error)) throw error;
    }
  }

  async converse(container: string): Promise<Conversation> {
    return new DockerConversation(await this.#api.attach(container));
  }

  async output(container: string, lines: number): Promise<string> {
    let text = "";
    const decoder = new TextDecoder();
    try {
      const stream = await this.#api.read(`/containers/${container}/logs?stdout=1&tail=${lines}`);
      await demultiplex(stream, (chunk) => {
        text += decoder.decode(chunk, { stream: true });
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    return text;
  }

  async imageExists(image: string): Promise<boolean> {
    return (await this.imageLabels(image)) !== undefined;
  }

  async imageLabels(image: string): Promise<Record<string, string> | undefined> {
    const details = await this.#lookAtImage(image);
    return details && (details.Config?.Labels ?? {});
  }

  async imageId(image: string): Promise<string | undefined> {
    return (await this.#lookAtImage(image))?.Id;
  }

  async imageTraits(image: string): Promise<ImageTraits | undefined> {
    const found = await this.#lookAtImage(image);
    return (
      found && {
        volumes: Object.keys(found.Config?.Volumes ?? {}),
        triggers: (found.Config?.OnBuild ?? []).length > 0,
      }
    );
  }

  async dropTriggers(image: string, name: string): Promise<void> {
    // A container takes no triggers over, so that an image made from it has none. It is never started.
    const container = `hjk-plain-${new Bun.CryptoHasher("sha256").update(name).digest("hex").slice(0, 12)}`;
    await this.#anew(
      () => this.#api.post(`/containers/create?name=${container}`, { Image: image, Cmd: ["true"] }),
      () => this.remove(container),
    );
    try {
      const [repository = "", tag = ""] = name.split(":");
      await this.#api.post(`/commit?container=${container}&repo=${repository}&tag=${tag}`);
    } finally {
      await this.remove(container);
    }
  }

  async #lookAtImage(image: string): Promise<ImageJson | undefined> {
    try {
      return await this.#api.get<ImageJson>(`/images/${image}/json`);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw imageError(error, image);
    }
  }

  async images(repository: string): Promise<ImageSummary[]> {
    const filters = encodeURIComponent(JSON.stringify({ reference: [repository] }));
    const found = await this.#api.get<
      { RepoTags: string[] | null; Labels: Record<string, string> | null; Size: number; Created: number }[]
    >(`/images/json?filters=${filters}`);
    return found.map((image) => ({
      names: image.RepoTags ?? [],
      labels: image.Labels ?? {},
      bytes: image.Size,
      createdAt: image.Created * 1000,
    }));
  }

  async removeImage(name: string): Promise<boolean> {
    try {
      await this.#api.delete(`/images/${name}`);
      return true;
    } catch (error) {
      if (isMissing(error)) return true;
      if (error instanceof DockerApiError && error.status === 409) return false;
      throw error;
    }
  }

  async tagImage(image: string, name: string): Promise<void> {
    await this.#api.post(`/images/${image}/tag?repo=${name}`);
  }

  buildCommand(build: ImageBuild): string[] {
    return [
      this.#cli(),
      "build",
      // Otherwise the container of the step that failed stays.
      "--force-rm",
      `--tag=${build.tag}`,
      ...(build.dockerfile === undefined ? [] : [`--file=${build.dockerfile}`]),
      ...(build.target === undefined ? [] : [`--target=${build.target}`]),
      ...Object.entries(build.labels).map(([name, value]) => `--label=${name}=${value}`),
      ...Object.entries(build.args).map(([name, value]) => `--build-arg=${name}=${value}`),
      build.folder,
    ];
  }

  /** Found before it is needed: a session whose program is missing would only end at once. */
  #cli(): string {
    if (Bun.which("docker", { PATH: this.#env["PATH"] ?? "" }) !== null) return "docker";
    throw new HeadjackError("The `docker` command is not installed.", {
      kind: "engine",
      hints: ["Install Docker's command line (package `docker-cli` or `docker.io`)."],
    });
  }

  async #ignoringMissing(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // 304: it was stopped already. 409: another command is removing it at this moment.
      if (error instanceof DockerApiError && [304, 404, 409].includes(error.status)) return;
      throw error;
    }
  }
}

interface InfoJson {
  KernelVersion: string;
  Driver?: string;
  DriverStatus?: [string, string][] | null;
  Runtimes?: Record<string, unknown>;
  NCPU: number;
  MemTotal: number;
  SecurityOptions: string[] | null;
  MemoryLimit?: boolean;
  CpuCfsQuota?: boolean;
  PidsLimit?: boolean;
}

type ContainerListJson = {
  Names: string[];
  Labels: Record<string, string>;
  State: string;
  Created: number;
}[];

interface ImageJson {
  Id: string;
  Config?: {
    Labels?: Record<string, string> | null;
    Volumes?: Record<string, object> | null;
    OnBuild?: string[] | null;
  };
}

interface ContainerJson {
  State: { Running: boolean; Status: string };
  Config: { User: string; Image: string };
  Mounts: { Source: string; Destination: string }[] | null;
}

function isMissing(error: unknown): boolean {
  return error instanceof DockerApiError && error.status === 404;
}

/** What the engine said of an image's name, in our words. */
function imageError(error: unknown, image: string): unknown {
  if (!(error instanceof DockerApiError) || !error.message.includes("invalid reference format")) return error;
  return new HeadjackError(`${JSON.stringify(image)} cannot be the name of an image.`, {
    kind: "usage",
    cause: error,
    hints: ["A name is in small letters, as in registry.example.com/team/image:tag."],
  });
}

function lastLine(text: string): string {
  return (
    text
      .trim()
      .split("\n")
      .findLast((line) => line.trim() !== "" && !line.startsWith("See 'docker")) ?? "no reason given"
  );
}

/** Same container as `toCreateBody`, in the CLI's words. */
function toFlags(spec: ContainerSpec, folder: string): string[] {
  return [
    `--name=${spec.name}`,
    ...Object.entries(spec.labels).map(([name, value]) => `--label=${name}=${value}`),
    ...Object.entries(spec.environment).map(([name, value]) => `--env=${name}=${value}`),
    ...spec.mounts.map(
      (mount) =>
        // The CLI reads --mount as a CSV record: quoting keeps a comma in a path, a doubled quote is one.
        `--mount="type=bind","source=${mount.source.replaceAll('"', '""')}","target=${mount.target}"${mount.readOnly ? ",readonly" : ""}`,
    ),
    `--user=${spec.user}`,
    `--workdir=${spec.workingDir}`,
    ...networkFlags(spec.network),
    "--init",
    ...hardeningFlags(spec, folder),
    "--log-driver=none",
    "--entrypoint=",
    "--no-healthcheck",
    "--stop-signal=SIGTERM",
  ];
}

function toCreateBody(spec: ContainerSpec): unknown {
  return {
    ...(typeof spec.network === "string" ? {} : endpointAt(spec.network)),
    Image: spec.image,
    // One empty string: none at all, not even the image's.
    Entrypoint: [""],
    Cmd: spec.command,
    Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
    Labels: spec.labels,
    OpenStdin: true,
    User: spec.user,
    WorkingDir: spec.workingDir,
    // The image's own check would be run every few seconds, and its own signal not be understood.
    Healthcheck: { Test: ["NONE"] },
    StopSignal: "SIGTERM",
    HostConfig: {
      Mounts: spec.mounts.map((mount) => ({
        Type: "bind",
        Source: mount.source,
        Target: mount.target,
        ReadOnly: mount.readOnly,
      })),
      ...networkBody(spec.network),
      Init: true,
      ...hardeningBody(spec),
      // The container's own process prints nothing that is to be kept; sessions are recorded by tmux.
      LogConfig: { Type: "none" },
    },
  };
}
