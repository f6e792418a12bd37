import type { ContainerSpec, GatewaySpec } from "./engine.ts";
import { seccompProfile } from "./seccomp.ts";

/* The network of a container, and the container of a gateway, as bodies of requests and as flags. */

/** The engine's own network, from which the world can be reached. */
export const outwardNetwork = "bridge";

/** Nobody to ask for names: the engine would pass them on to the host's resolvers, and with them whatever they spell. */
const noResolver = "127.0.0.1";

/** Flags of the command line that put a container into its network. */
export function networkFlags(network: ContainerSpec["network"]): string[] {
  if (network === "own") return [];
  if (typeof network === "string") return [`--network=${network}`];
  return [
    `--network=${network.name}`,
    `--ip=${network.address}`,
    `--dns=${noResolver}`,
    ...Object.entries(network.hosts).map(([name, address]) => `--add-host=${name}:${address}`),
  ];
}

/** The same for `HostConfig`. */
export function networkBody(network: ContainerSpec["network"]): object {
  if (typeof network === "string") return { NetworkMode: network };
  return {
    NetworkMode: network.name,
    Dns: [noResolver],
    ExtraHosts: Object.entries(network.hosts).map(([name, address]) => `${name}:${address}`),
  };
}

/** What stands beside `HostConfig`: the address in a network. */
export function endpointAt({ name, address }: { name: string; address: string }): object {
  return { NetworkingConfig: { EndpointsConfig: { [name]: { IPAMConfig: { IPv4Address: address } } } } };
}

/** It gets no more than it needs: it is what stands between an agent and the world. */
export function gatewayBody(gateway: GatewaySpec): unknown {
  return {
    Image: gateway.image,
    Entrypoint: [""],
    Cmd: gateway.command,
    Env: Object.entries(gateway.environment).map(([name, value]) => `${name}=${value}`),
    Labels: gateway.labels,
    // Its input stays open, so that it can be told something new.
    OpenStdin: true,
    StdinOnce: false,
    ...endpointAt(gateway.network),
    HostConfig: {
      NetworkMode: gateway.network.name,
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges", `seccomp=${seccompProfile}`],
      IpcMode: "private",
      PidsLimit: 64,
      Memory: gatewayMemory,
      MemorySwap: gatewayMemory,
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      LogConfig: { Type: "local", Config: { "max-size": "4m", "max-file": "2" } },
    },
  };
}

/** Bytes; it takes some 20 MB, and 75 with 256 connections at once. */
const gatewayMemory = 128 * 1024 ** 2;
