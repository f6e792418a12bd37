import { networkInterfaces } from "node:os";
import { objectsTarget } from "../drivers/git/private-dir.ts";
import type { Conversation } from "../drivers/engine/engine.ts";
import { workspaceTarget } from "../drivers/instance-files.ts";
import { defaultIsolation } from "../hardening.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import { gatewayPorts } from "../gateway/rules.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { gatewayHost, gatewayState, subnetAt, type GatewayState } from "./gateway.ts";

/** Milliseconds for each half of the probe; both together take some 50. */
const probeMs = 20_000;

/**
 * The first process of every instance's container: a shell that waits for the probe on its input, and does nothing
 * after it. An exec for the probe would cost as much as half a start of a container. It has the path of the
 * shell, and the probe that of its programs: the agent's home may be first in the image's.
 */
export const waitingForProbe = ["/bin/sh", "-s"];

/**
 * Proves, in a container that has just been started, that its walls stand; refuses it otherwise. Before anything of
 * an agent's is run: later what it runs may be the agent's. The gateway is asked when it has been told its rules.
 */
export async function probe(
  deps: Deps,
  instance: InstanceRecord,
  gatewayIsReady: Promise<unknown>,
): Promise<void> {
  const state = await gatewayState(deps, instance);
  const engine = await deps.engine();
  const { isolation = defaultIsolation } = instance.hardening;
  const kernel = isolation === "container" ? "" : (await engine.capacity()).kernel;
  const conversation = await engine.converse(instance.container);
  try {
    const found = await said(conversation, wallsScript(state, kernel));
    if (state !== undefined && hostHasAddressIn(state))
      found.push("this machine has an address in its network");
    refuse(instance, found);
    await gatewayIsReady;
    refuse(instance, await said(conversation, gatewayScript(state), restScript));
  } finally {
    conversation.close();
  }
}

/** Has the first process of a container run a script, and tells which walls do not hold. */
async function said(conversation: Conversation, script: string, after = ""): Promise<string[]> {
  const found: string[] = [];
  try {
    await conversation.say({
      input: `${script}echo probed\n${after}`,
      timeoutMs: probeMs,
      isOver: (line) => {
        const wall = walls[line as keyof typeof walls];
        if (wall !== undefined) found.push(wall);
        return line === "probed";
      },
    });
  } catch (error) {
    found.push(`the probe did not come to its end: ${messageOf(error)}`);
  }
  return found;
}

function refuse(instance: InstanceRecord, found: readonly string[]): void {
  if (found.length === 0) return;
  throw new HeadjackError(
    `The instance of ${instance.branch} was not started: its walls do not hold (${found.join("; ")}).`,
    {
      hints: [
        `Make its container anew, files kept: hjk recreate ${instance.branch}`,
        "Look for what has changed its network or mounts: docker inspect, docker network ls.",
      ],
    },
  );
}

/** What the probe's words mean. */
const walls = {
  mask: "its .git can be written",
  objects: "the repository's objects can be written",
  route: "it has a route around the gateway",
  ipv6: "it has an IPv6 address",
  dns: "it can ask for names",
  gateway: "the gateway does not answer",
  host: "it reaches this machine",
  kernel: "it runs on the kernel that the isolation is to keep it from",
} as const;

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/*
 * The scripts print a word for each wall that does not hold. An image need have no more than a shell; what is tried
 * with more is tried with bash, which is in most. The shell's input is the script, so no program may read it.
 */

/** `kernel`: the engine's, where the container must have another one. */
const wallsScript = (state: GatewayState | undefined, kernel: string): string =>
  [
    `PATH=${systemPath} workspace=${workspaceTarget} objects=${objectsTarget(0)}`,
    filesScript,
    ...(kernel === "" ? [] : [`kernel="${kernel}"`, kernelScript]),
    ...(state === undefined
      ? []
      : [`router=${routerIn(state)} addresses="${hostAddresses().join(" ")}"`, networkScript]),
  ].join("\n");

const filesScript = `
(: >> "$workspace/.git") 2>/dev/null && echo mask
(: > "$objects/hjk-probe") 2>/dev/null && echo objects
`;

const kernelScript = `
read -r _ _ release _ < /proc/version
[ "$release" = "$kernel" ] && echo kernel
`;

/** `router`: what the network's only way out leads to. `addresses`: this machine's. */
const networkScript = `
while read -r _ destination next _; do
  [ "$destination" = 00000000 ] && [ "$next" != "$router" ] && echo route
done < /proc/net/route
if [ -r /proc/net/if_inet6 ]; then
  while read -r _ _ _ _ _ device; do
    [ "$device" = lo ] || { echo ipv6; break; }
  done < /proc/net/if_inet6
fi
while read -r key value _; do
  [ "$key" = nameserver ] || continue
  case "$value" in 127.*) ;; *) echo dns ;; esac
done < /etc/resolv.conf
if command -v bash >/dev/null && command -v timeout >/dev/null; then
  for address in $addresses; do
    {
      said=$(timeout 0.15 bash -c ": <>/dev/tcp/$address/22" 2>&1 </dev/null) && echo host
      case $said in *refused*) echo host ;; esac
    } </dev/null &
  done
  wait
fi
`;

const gatewayScript = (state: GatewayState | undefined): string =>
  state === undefined ? "" : `gateway=${gatewayHost} port=${gatewayPorts.api}\n${healthScript}`;

/** It reads again what fails: in gVisor a socket may have nothing yet, and say so. */
const healthScript = `
if command -v bash >/dev/null && command -v timeout >/dev/null; then
  timeout 5 bash -c "
    exec 3<>/dev/tcp/$gateway/$port || exit 1
    printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3
    until read -r answer <&3; do sleep 0.05; done
    case \\$answer in *' 200 '*) exit 0 ;; esac
    exit 1" 2>/dev/null </dev/null || echo gateway
fi
`;

/** `sleep infinity` is not in all images. */
const restScript = `exec sleep 2147483647 </dev/null >/dev/null 2>&1
`;

/**
 * The address that Docker makes the router of a network without one, as /proc/net/route writes it. Nobody has it:
 * see `hostHasAddressIn`.
 */
const routerIn = ({ subnet }: GatewayState): string =>
  subnetAt(subnet, 1)
    .split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0").toUpperCase())
    .toReversed()
    .join("");

/** Addresses by which programs reach this machine from outside. */
function hostAddresses(): string[] {
  return allAddresses()
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .slice(0, 4)
    .map(({ address }) => address);
}

function hostHasAddressIn({ subnet }: GatewayState): boolean {
  const addresses = Array.from({ length: 16 }, (_, index) => subnetAt(subnet, index));
  return allAddresses().some(({ address }) => addresses.includes(address));
}

const allAddresses = () => Object.values(networkInterfaces()).flatMap((all = []) => all);
