import { BlockList, isIPv4, type Socket } from "node:net";
import type { AllowedHost, ProxyServer, UpstreamProxy } from "./config.ts";
import { connectTo, mayReach, type Outside, Unreachable, within } from "./outside.ts";

const answerMs = 15_000;
/** Of an answer to CONNECT. */
const longestHead = 16 * 1024;
/** For a look at a name that the proxy resolves anyway: where nobody answers, nothing waits for long. */
const lookMs = 2000;

/** The proxy through which a host is reached, unless it is one of the exceptions. */
export function proxyFor(
  proxy: UpstreamProxy | undefined,
  scheme: "http" | "https",
  host: string,
  port: number,
): ProxyServer | undefined {
  return proxy?.except.some((entry) => isExcepted(entry, host, port)) === true ? undefined : proxy?.[scheme];
}

/**
 * `example.org` with and without a dot before it is the host and all below it, `example.org:8080` on this port alone,
 * `10.0.0.0/8` the model's API at an address there.
 */
function isExcepted(entry: string, host: string, port: number): boolean {
  if (entry === "*") return true;
  const [, network = "", bits] = /^(\d+\.\d+\.\d+\.\d+)\/(\d{1,2})$/.exec(entry) ?? [];
  if (isIPv4(network) && isIPv4(host) && Number(bits) <= 32) {
    const range = new BlockList();
    range.addSubnet(network, Number(bits));
    return range.check(host);
  }
  const [, name = "", only] = /^(?:\*?\.)?(.+?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
  if (only !== undefined && Number(only) !== port) return false;
  return host === name || host.endsWith(`.${name}`);
}

/**
 * The proxy resolves the name, not we. What our own resolver knows to lie in a private network is refused nevertheless,
 * so that a proxy inside a company is no way to its other machines.
 */
export async function lookBefore(outside: Outside, entry: AllowedHost, host: string): Promise<void> {
  const found = await within(lookMs, outside.lookup(host)).catch(() => []);
  if (found.length > 0 && !found.some((address) => mayReach(outside, entry, address)))
    throw new Unreachable("address");
}

/** Connects to a proxy, which may lie anywhere: the user named it. */
export async function connectToProxy(outside: Outside, { host, port }: ProxyServer): Promise<Socket> {
  const found = await within(answerMs, outside.lookup(host)).catch(() => []);
  const socket = await connectTo(outside, found, port);
  if (socket === undefined) throw new Unreachable("proxy");
  return socket.socket;
}

/** Has a proxy connect to a host, and gives back the connection once that has said yes. */
export async function tunnelThrough(
  outside: Outside,
  proxy: ProxyServer,
  host: string,
  port: number,
): Promise<Socket> {
  const socket = await connectToProxy(outside, proxy);
  // A numeric IPv6 address of a model's API.
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const credential = Object.entries(proxyHeaders(proxy)).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${credential.join("")}\r\n`);
  const answer = await within(answerMs, readHead(socket)).catch(() => undefined);
  if (answer !== undefined && /^HTTP\/1\.[01] 2\d\d\b/.test(answer.head)) {
    if (answer.rest.length > 0) socket.unshift(answer.rest);
    return socket;
  }
  socket.destroy();
  throw new Unreachable("proxy");
}

/** What a request to a proxy has beside those of the request itself. */
export function proxyHeaders({ authorization }: ProxyServer): Record<string, string> {
  return authorization === undefined ? {} : { "proxy-authorization": authorization };
}

async function readHead(socket: Socket): Promise<{ head: string; rest: Buffer } | undefined> {
  let bytes = Buffer.alloc(0);
  return await new Promise((resolve) => {
    const done = (answer?: { head: string; rest: Buffer }): void => {
      socket.pause();
      socket.off("data", read).off("end", ended).off("close", ended);
      resolve(answer);
    };
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end >= 0) done({ head: bytes.subarray(0, end).toString("latin1"), rest: bytes.subarray(end + 4) });
      else if (bytes.length > longestHead) done();
    };
    const ended = (): void => done();
    socket.on("data", read).on("end", ended).on("close", ended);
    socket.resume();
  });
}
