import { networkInterfaces } from "node:os";
import { objectsTarget } from "../drivers/git/private-dir.ts";
import { workspaceTarget } from "../drivers/instance-files.ts";
import { HeadjackError } from "../errors.ts";
import { gatewayPorts } from "../gateway/rules.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { gatewayHost, gatewayState, subnetAt, type GatewayState } from "./gateway.ts";

/** Milliseconds for the probe; it takes some 50. */
const probeMs = 20_000;

/**
 * Proves, in a running container, that its walls stand; refuses it otherwise. Run before anything of an
 * agent's is: later what it runs may be the agent's.
 */
export async function probe(deps: Deps, instance: InstanceRecord): Promise<void> {
  const state = await gatewayState(deps, instance);
  const found: string[] = [];
  if (state !== undefined && hostHasAddressIn(state))
    found.push("this machine has an address in its network");
  const engine = await deps.engine();
  const result = await engine.exec(
    instance.container,
    [
      "sh",
      "-c",
      probeScript,
      "sh",
      workspaceTarget,
      objectsTarget(0),
      state === undefined ? "" : gatewayHost,
      String(gatewayPorts.api),
      state === undefined ? "" : routerIn(state),
      ...(state === undefined ? [] : hostAddresses()),
    ],
    { timeoutMs: probeMs },
  );
  for (const line of result.stdout.split("\n")) {
    const wall = walls[line as keyof typeof walls];
    if (wall !== undefined) found.push(wall);
  }
  if (!result.stdout.endsWith("probed\n")) found.push("the probe did not come to its end");
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
} as const;

/**
 * $1 workspace, $2 objects, $3 gateway (empty without one), $4 its port, $5 the router that the network's only way
 * out leads to, then addresses of this machine. Prints a word for each wall that does not hold, and `probed` at
 * its end. An image need have no more than a shell; what is tried with more is tried with bash, which is in most.
 */
const probeScript = `
workspace=$1 objects=$2 gateway=$3 port=$4 router=$5
shift 5
(: >> "$workspace/.git") 2>/dev/null && echo mask
(: > "$objects/hjk-probe") 2>/dev/null && echo objects
if [ -n "$gateway" ]; then
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
    timeout 5 bash -c "
      exec 3<>/dev/tcp/$gateway/$port || exit 1
      printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3
      read -r answer <&3
      case \\$answer in *' 200 '*) exit 0 ;; esac
      exit 1" 2>/dev/null || echo gateway
    for address; do
      {
        said=$(timeout 0.15 bash -c ": <>/dev/tcp/$address/22" 2>&1) && echo host
        case $said in *refused*) echo host ;; esac
      } &
    done
    wait
  fi
fi
echo probed
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
