import { lookup } from "node:dns/promises";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { addressKind, sameAddress } from "./addresses.ts";
import type { AllowedHost } from "./config.ts";

/** What the gateway has of the world. Tests put another in its place, since on one machine every address is its own. */
export interface Outside {
  lookup: (host: string) => Promise<string[]>;
  connect: (address: string, port: number) => Socket;
  /** Addresses of the gateway itself. */
  own: () => string[];
}

/** The real one. */
export const world: Outside = {
  lookup: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  connect: (address, port) => connect({ host: address, port, allowHalfOpen: true, keepAlive: true }),
  own: () => Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
};

const lookupMs = 10_000;
const dialMs = 15_000;
/** Addresses of one host that are tried. */
const mostAddresses = 4;

/** Why a connection is not made; the word stands in the log and in the answer. */
export class Unreachable extends Error {
  readonly why: "dns" | "address" | "connect" | "proxy";

  constructor(why: Unreachable["why"]) {
    super(why);
    this.why = why;
  }
}

/**
 * Connects to an allowed host. Its name is resolved once, and the very address that passed is dialled: a name that leads
 * elsewhere a moment later (rebinding) gains nothing.
 */
export async function dial(
  outside: Outside,
  entry: AllowedHost,
  host: string,
  port: number,
): Promise<{ socket: Socket; address: string }> {
  const found = await within(lookupMs, outside.lookup(host)).catch(() => undefined);
  if (found === undefined || found.length === 0) throw new Unreachable("dns");
  const good = found.filter((address) => mayReach(outside, entry, address));
  if (good.length === 0) throw new Unreachable("address");
  const connection = await connectTo(outside, good, port);
  if (connection === undefined) throw new Unreachable("connect");
  return connection;
}

/** Whether an allowed host may be reached at this address. */
export function mayReach(outside: Outside, entry: AllowedHost, address: string): boolean {
  if (outside.own().some((other) => sameAddress(other, address))) return false;
  const kind = addressKind(address);
  return kind === "public" || (kind === "private" && entry.private === true);
}

/** Connects to the first of these addresses that answers; undefined if none does. */
export async function connectTo(
  outside: Outside,
  addresses: readonly string[],
  port: number,
): Promise<{ socket: Socket; address: string } | undefined> {
  // IPv4 first: networks of containers seldom lead anywhere by IPv6.
  const sorted = addresses.toSorted((one, other) => Number(one.includes(":")) - Number(other.includes(":")));
  for (const address of sorted.slice(0, mostAddresses)) {
    const socket = await connected(outside.connect(address, port)).catch(() => undefined);
    if (socket !== undefined) return { socket, address };
  }
  return undefined;
}

async function connected(socket: Socket): Promise<Socket> {
  try {
    await within(
      dialMs,
      new Promise((resolve, reject) => {
        socket.once("connect", resolve);
        // Stays, so that a late error of a socket nobody looks at any more ends nothing.
        socket.on("error", reject);
      }),
    );
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The same, given up after a time. */
export async function within<Value>(ms: number, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("timeout")), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
