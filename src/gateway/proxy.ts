import { request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream";
import { addressKind } from "./addresses.ts";
import { longestHello, readClientHello } from "./client-hello.ts";
import type { AllowedHost, GatewayConfiguration, ProxyServer } from "./config.ts";
import { endToEnd, hasBody, idleMs, makeServer, type Open, type State } from "./http.ts";
import { dial, Unreachable } from "./outside.ts";
import { allowed, parseAbsolute, parseAuthority } from "./rules.ts";
import { connectToProxy, lookBefore, proxyFor, proxyHeaders, tunnelThrough } from "./upstream-proxy.ts";

/** For the ClientHello. */
const helloMs = 10_000;

/** Why something is refused, and with which status. */
const statuses = {
  syntax: 400,
  "not-configured": 503,
  "not-allowed": 403,
  method: 405,
  body: 400,
  dns: 502,
  address: 403,
  connect: 502,
  proxy: 502,
};
type Why = keyof typeof statuses;

interface Place {
  host: string;
  port: number;
}

/** The proxy for all traffic but that to the model APIs. */
export function makeProxy(state: State): Server {
  const server = makeServer((request, response) => forward(state, request, response));
  server.on("connect", (request, stream, head) => {
    const client = stream as Socket;
    client.on("error", () => client.destroy());
    tunnel(state, request.url ?? "", client, head).catch(() => client.destroy());
  });
  return server;
}

/** The entry in force that lets this through, or why none does. */
function decide(
  state: State,
  place: Place | undefined,
): { why: Why } | { entry: NonNullable<ReturnType<typeof allowed>> } {
  if (place === undefined) return { why: "syntax" };
  if (state.configuration === undefined) return { why: "not-configured" };
  const entry = allowed(state.configuration, place.host, place.port);
  return entry === undefined ? { why: "not-allowed" } : { entry };
}

/** A connection through the proxy, from before its name is resolved, so that a new configuration can end it at any time. */
class Passage implements Open {
  readonly #state: State;
  readonly #place: Place;
  readonly close: () => void;
  /** Where it leads, once that is known; a proxy of the user's does not tell. */
  #address: string | undefined;

  constructor(state: State, place: Place, close: () => void) {
    this.#state = state;
    this.#place = place;
    this.close = close;
    state.open.add(this);
  }

  isAllowed(configuration: GatewayConfiguration): boolean {
    const entry = allowed(configuration, this.#place.host, this.#place.port);
    if (entry === undefined) return false;
    return this.#address === undefined || entry.private === true || addressKind(this.#address) === "public";
  }

  /** Connects to its place by itself, or in the way given through a proxy of the user's. */
  async open(
    entry: AllowedHost,
    via: ProxyServer | undefined,
    through: (proxy: ProxyServer) => Promise<Socket>,
  ): Promise<Socket> {
    const { outside } = this.#state;
    const { host, port } = this.#place;
    if (via !== undefined) {
      await lookBefore(outside, entry, host);
      return await through(via);
    }
    const { socket, address } = await dial(outside, entry, host, port);
    this.#address = address;
    return socket;
  }

  end(): void {
    this.#state.open.delete(this);
  }
}

/** CONNECT: bytes both ways, once the client has begun TLS with the very host that it asked for. */
async function tunnel(state: State, target: string, client: Socket, head: Buffer): Promise<void> {
  client.pause();
  const place = parseAuthority(target);
  const about = place ?? { host: target };
  const refuse = (why: Why): void => {
    state.log.note({ event: "deny", method: "CONNECT", ...about, why });
    const text = `The gateway of this instance refuses this: ${why}\n`;
    client.setTimeout(5000, () => client.destroy());
    client.resume();
    client.end(
      `HTTP/1.1 ${statuses[why]} Refused by the gateway\r\nx-hjk-deny: ${why}\r\nconnection: close\r\n` +
        `content-type: text/plain\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    );
  };
  const decision = decide(state, place);
  if (place === undefined || "why" in decision) return refuse("why" in decision ? decision.why : "syntax");
  let upstream: Socket | undefined;
  const close = (): void => {
    client.destroy();
    upstream?.destroy();
  };
  const passage = new Passage(state, place, close);
  client.on("close", () => {
    passage.end();
    if (upstream !== undefined) finish(upstream);
  });
  try {
    const via = proxyFor(state.configuration?.proxy, "https", place.host, place.port);
    upstream = await passage.open(decision.entry, via, async (proxy) =>
      tunnelThrough(state.outside, proxy, place.host, place.port),
    );
  } catch (error) {
    passage.end();
    return refuse(error instanceof Unreachable ? error.why : "connect");
  }
  upstream.on("error", close);
  upstream.on("close", () => finish(client));
  // In the meantime the client may have left, or another configuration come.
  if (client.destroyed || state.configuration === undefined || !passage.isAllowed(state.configuration))
    return close();
  client.write("HTTP/1.1 200 Connection established\r\n\r\n");
  const hello = await firstBytes(client, head);
  const read = readClientHello(hello);
  if (client.destroyed || upstream.destroyed) return close();
  const why =
    read.kind === "name"
      ? read.name === place.host
        ? undefined
        : "sni"
      : read.kind === "more"
        ? "no-hello"
        : read.why;
  if (why !== undefined) {
    state.log.note({ event: "deny", method: "CONNECT", ...place, why });
    return close();
  }
  state.log.note({ event: "allow", method: "CONNECT", ...place });
  client.setTimeout(idleMs, close);
  client.setKeepAlive(true, 60_000);
  upstream.write(hello);
  client.pipe(upstream);
  upstream.pipe(client);
}

/** Ends the other half of a connection: what is on its way still arrives, if it is taken within some time. */
function finish(socket: Socket): void {
  socket.setTimeout(60_000, () => socket.destroy());
  socket.destroySoon();
}

/** What a client sends until its ClientHello is complete, refused, or too late. */
async function firstBytes(client: Socket, head: Buffer): Promise<Buffer> {
  let bytes = head;
  const isDone = (): boolean => readClientHello(bytes).kind !== "more" || bytes.length > longestHello;
  if (isDone()) return bytes;
  return await new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      client.pause();
      client.off("data", read).off("end", done).off("close", done);
      resolve(bytes);
    };
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      if (isDone()) done();
    };
    const timer = setTimeout(done, helloMs);
    client.on("data", read).on("end", done).on("close", done);
    client.resume();
  });
}

/** Plain HTTP: a new request of ours to the same host, for reading only. */
async function forward(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "", url = "" } = request;
  const place = parseAbsolute(url);
  const about = { method, ...(place ?? { host: url }) };
  const refuse = (why: Why): void => {
    state.log.note({ event: "deny", ...about, why });
    response.writeHead(statuses[why], {
      "x-hjk-deny": why,
      "content-type": "text/plain",
      connection: "close",
    });
    response.end(`The gateway of this instance refuses this: ${why}\n`);
  };
  const decision = decide(state, place);
  if (place === undefined || "why" in decision) return refuse("why" in decision ? decision.why : "syntax");
  const methods: readonly string[] = decision.entry.methods ?? ["GET", "HEAD"];
  if (!methods.includes(method)) return refuse("method");
  // Nothing that is read has a body, and what has none cannot be misread as two requests.
  if (hasBody(request)) return refuse("body");
  const via = proxyFor(state.configuration?.proxy, "http", place.host, place.port);
  let socket: Socket | undefined;
  const close = (): void => {
    socket?.destroy();
    response.destroy();
  };
  const passage = new Passage(state, place, close);
  response.on("close", () => {
    passage.end();
    close();
  });
  try {
    socket = await passage.open(decision.entry, via, async (proxy) => connectToProxy(state.outside, proxy));
  } catch (error) {
    return refuse(error instanceof Unreachable ? error.why : "connect");
  }
  if (response.destroyed || state.configuration === undefined || !passage.isAllowed(state.configuration))
    return close();
  const headers = endToEnd(
    request.headers,
    (name) => name === "host" || name === "content-length" || name === "expect",
  );
  const authority = place.port === 80 ? place.host : `${place.host}:${place.port}`;
  headers["host"] = authority;
  headers["connection"] = "close";
  if (via !== undefined) Object.assign(headers, proxyHeaders(via));
  const upstream = httpRequest({
    createConnection: () => socket,
    method,
    path: via === undefined ? place.path : `http://${authority}${place.path}`,
    headers,
    setHost: false,
    maxHeaderSize: 32 * 1024,
    timeout: idleMs,
  });
  upstream.on("timeout", () => upstream.destroy());
  const answer = await answered(upstream);
  if (answer === undefined) return refuse("connect");
  let bytes = 0;
  answer.on("data", (chunk: Buffer) => (bytes += chunk.length));
  const status = answer.statusCode ?? 502;
  response.writeHead(
    status,
    endToEnd(answer.headers, () => false),
  );
  pipeline(answer, response, () =>
    state.log.note({ event: "allow", ...about, path: place.path, status, bytes }),
  );
}

/** Sends a request without a body, or one whose body is on its way; undefined if there is no answer. */
async function answered(upstream: ReturnType<typeof httpRequest>): Promise<IncomingMessage | undefined> {
  return await new Promise((resolve) => {
    upstream.on("response", resolve);
    upstream.on("error", () => resolve(undefined));
    upstream.on("close", () => resolve(undefined));
    upstream.end();
  });
}
