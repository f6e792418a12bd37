import { forwardTo, type Forwarding } from "../drivers/forward.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";

/** A port on which something in an instance listens. */
export interface ListeningPort {
  port: number;
  /** `loopback` is in reach of programs in the instance alone, and of `hjk forward`. */
  address: "loopback" | "any" | "other";
  /** Ports of this machine that lead there. */
  forwarded: number[];
}

/** A line of /proc/net/tcp or tcp6 of a socket that listens. */
const listening = /^\s*\d{1,9}: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ 0A /;

/** The engine's own resolver, which has its place in the container's network. */
const resolver = "0B00007F";

/** What listens in a running instance, and from where it can be reached. */
export async function listeningPorts(deps: Deps, instance: InstanceRecord): Promise<ListeningPort[]> {
  const engine = await deps.engine();
  const command = ["sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null"];
  const { stdout } = await engine.exec(instance.container, command, { timeoutMs: 10_000 });
  const found = readListening(stdout);
  const forwards = forwardsOf(deps, instance);
  return found.map(({ port, address }) => ({
    port,
    address,
    forwarded: forwards.filter((one) => one.port === port).map((one) => one.hostPort),
  }));
}

/** Reads what the kernel lists; of a port with several sockets the widest counts. */
export function readListening(text: string): Pick<ListeningPort, "port" | "address">[] {
  const ports = new Map<number, ListeningPort["address"]>();
  for (const line of text.split("\n")) {
    const [, address = "", port = ""] = listening.exec(line) ?? [];
    if (address === "" || address === resolver) continue;
    const number = Number.parseInt(port, 16);
    const kind = addressKind(address);
    if (ports.get(number) !== "any") ports.set(number, kind);
  }
  return [...ports].map(([port, address]) => ({ port, address })).toSorted((a, b) => a.port - b.port);
}

/** The kernel writes each four bytes of an address as a number of this processor's: with little ends here. */
function addressKind(address: string): ListeningPort["address"] {
  if (/^0+$/.test(address)) return "any";
  const isLoopback = /^[0-9A-F]{6}7F$|^0{24}01000000$|^0{16}FFFF0000[0-9A-F]{6}7F$/.test(address);
  return isLoopback ? "loopback" : "other";
}

const lockPrefix = (instance: Pick<InstanceRecord, "id">): string => `forward:${instance.id}:`;

function forwardsOf(deps: Deps, instance: InstanceRecord): { port: number; hostPort: number }[] {
  const prefix = lockPrefix(instance);
  return deps.store
    .heldLocks(prefix)
    .map((name) => name.slice(prefix.length).split(":").map(Number))
    .map(([port = 0, hostPort = 0]) => ({ port, hostPort }));
}

/**
 * Carries a connection from its input and output to a port of the container's loopback, where servers listen by
 * default, under either family. bash and cat are in most images. Both ways end with the first of them.
 */
const relayScript = `
exec 3<>/dev/tcp/127.0.0.1/$1 || exec 3<>/dev/tcp/::1/$1 || exit 1
cat <&0 >&3 3<&- &
cat <&3 &
wait -n
kill $(jobs -p) 2>/dev/null
exit 0`;

/**
 * Leads a port of this machine's loopback to one of an instance until `during` is over. It goes by the engine's exec:
 * the instance gets no way out by it, and only what comes in from this machine is answered.
 */
export async function forwardPort(
  deps: Deps,
  instance: InstanceRecord,
  { port, hostPort }: { port: number; hostPort: number },
  during: (forwarding: Forwarding) => Promise<void>,
  onFailed: () => void,
): Promise<void> {
  const engine = await deps.engine();
  const command = engine.execCommand(instance.container, ["bash", "-c", relayScript, "bash", String(port)], {
    tty: false,
  });
  const forwarding = await forwardTo(hostPort, command, {
    env: { ...deps.env, ...engine.environment },
    onFailed,
  });
  try {
    await deps.store.withLock(`${lockPrefix(instance)}${port}:${forwarding.port}`, () => during(forwarding));
  } finally {
    await forwarding.close();
  }
}
