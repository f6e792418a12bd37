import { createHash, timingSafeEqual } from "node:crypto";
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  type Server,
  type ServerResponse,
} from "node:http";
import { isIP, type Socket } from "node:net";
import { pipeline } from "node:stream";
import type { GatewayConfiguration, ModelApi } from "./config.ts";
import { endToEnd, idleMs, makeServer, type Open, type State } from "./http.ts";
import { credentialHeader, mask, secretsOf } from "./mask.ts";
import { allowedPath, carriesCredential, parseApiTarget } from "./rules.ts";
import { connectToProxy, proxyFor, proxyHeaders, tunnelThrough } from "./upstream-proxy.ts";

/** Why something is refused: the status, and a sentence for whoever reads the agent's screen. */
const refusals = {
  "not-configured": [503, "has not been configured yet"],
  syntax: [400, "takes no such path"],
  token: [401, "wants the instance's token, and no other credential"],
  credential: [403, "takes no credential in a query"],
  api: [404, "knows no such API"],
  path: [403, "does not let this method and path through"],
  rate: [429, "lets only so many requests through in a minute"],
  body: [413, "takes no request so long"],
  upstream: [502, "got no answer that it can pass on"],
} as const satisfies Record<string, readonly [number, string]>;
type Why = keyof typeof refusals;

/** The server through which agents reach their models without having a credential. */
export function makeModelApi(state: State): Server {
  const rate = new Rate();
  const server = makeServer((request, response) => serve(state, rate, request, response));
  server.on("upgrade", (request, stream) => {
    const socket = stream as Socket;
    socket.on("error", () => socket.destroy());
    state.log.note({
      event: "api-deny",
      method: request.method ?? "",
      path: request.url ?? "",
      why: "upgrade",
    });
    // Codex falls back to plain HTTP at this answer, and would first retry at others.
    socket.setTimeout(5000, () => socket.destroy());
    socket.resume();
    socket.end("HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  });
  return server;
}

async function serve(
  state: State,
  rate: Rate,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { configuration } = state;
  const { method = "", url = "" } = request;
  if (method === "GET" && url === "/healthz") {
    response.writeHead(configuration === undefined ? 503 : 200, { "content-type": "text/plain" });
    response.end(configuration === undefined ? "not configured" : "ok");
    return;
  }
  const target = parseApiTarget(url);
  // A query may hold a credential, and is not noted.
  const path = url.replace(/\?.*$/s, "");
  const about = { method, path, ...(target === undefined ? {} : { host: target.name }) };
  const refuse = (why: Why, headers: Record<string, string> = {}): void => {
    const [status, text] = refusals[why];
    state.log.note({ event: "api-deny", ...about, why, status });
    // The form that the clients of all three providers look for a message in.
    const body = JSON.stringify({
      type: "error",
      error: { type: `gateway_${why}`, code: status, message: `The gateway of this instance ${text}.` },
    });
    response.writeHead(status, { "x-hjk-deny": why, "content-type": "application/json", ...headers });
    response.end(body);
  };
  if (configuration === undefined) return refuse("not-configured");
  if (target === undefined) return refuse("syntax");
  if (!showsToken(request.headers, configuration.token)) return refuse("token");
  if (carriesCredential(target.query)) return refuse("credential");
  // An own property: `constructor` is a name that every object has.
  const api = Object.hasOwn(configuration.apis, target.name) ? configuration.apis[target.name] : undefined;
  if (api === undefined) return refuse("api");
  if (!allowedPath(api, method, target.path)) return refuse("path");
  const wait = rate.take(configuration.limits.requestsPerMinute);
  if (wait > 0) return refuse("rate", { "retry-after": String(wait) });
  const most = configuration.limits.bodyBytes;
  if (Number(request.headers["content-length"] ?? 0) > most) return refuse("body", { connection: "close" });

  const upstream = send(state, api, request, target.path + target.query);
  const close = (): void => {
    upstream.destroy();
    response.destroy();
  };
  const open: Open = {
    // Another credential for the same place does not end what goes on: it is renewed every hour.
    isAllowed: (next) =>
      next.token === configuration.token && own(next, target.name)?.upstream === api.upstream,
    close,
  };
  state.open.add(open);
  response.on("close", () => {
    state.open.delete(open);
    upstream.destroy();
  });
  const answer = await answered(request, upstream, most);
  if (response.destroyed) return;
  if (answer === "too-long") return refuse("body", { connection: "close" });
  const secrets = secretsOf(api.headers);
  // Asked for plain, so that what it holds can be seen. An answer in another form is not passed on unseen.
  if (answer === undefined || !/^(?:identity)?$/i.test(answer.headers["content-encoding"] ?? "")) {
    upstream.destroy();
    return refuse("upstream", { connection: "close" });
  }
  const status = answer.statusCode ?? 502;
  response.writeHead(
    status,
    endToEnd(
      answer.headers,
      (name, value) =>
        /^set-cookie2?$|^alt-svc$/.test(name) || secrets.some((secret) => value.includes(secret)),
    ),
  );
  // The client learns at once that it is being answered, long before the first word of a model.
  response.flushHeaders();
  let bytes = 0;
  answer.on("data", (chunk: Buffer) => (bytes += chunk.length));
  pipeline(answer, mask(secrets), response, () => state.log.note({ event: "api", ...about, status, bytes }));
}

function own(configuration: GatewayConfiguration, name: string): ModelApi | undefined {
  return Object.hasOwn(configuration.apis, name) ? configuration.apis[name] : undefined;
}

/** Whether every credential that is shown, and at least one, is the instance's token. */
function showsToken(headers: IncomingHttpHeaders, token: string): boolean {
  const { authorization, "x-api-key": key, "x-goog-api-key": googleKey } = headers;
  const shown = [
    authorization === undefined ? undefined : (/^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? ""),
    key,
    googleKey,
  ].filter((value) => value !== undefined);
  // All are compared, and as hashes: neither what differs nor its length shows in the time it takes.
  const good = shown.filter((value) => timingSafeEqual(sha256(String(value)), sha256(token)));
  return good.length > 0 && good.length === shown.length;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Headers of the client's that are not passed on: where it claims to come from, and what would make another request of it. */
const strippedHeader =
  /^(?:host|expect|accept-encoding|origin|referer|via|forwarded|x-forwarded-.*|x-real-ip|x-http-method.*|x-method-override|x-original-url|x-rewrite-url|content-length)$/;

function send(state: State, api: ModelApi, request: IncomingMessage, path: string): ClientRequest {
  const upstream = new URL(api.upstream);
  const headers = endToEnd(
    request.headers,
    (name) => strippedHeader.test(name) || credentialHeader.test(name),
  );
  const length = request.headers["content-length"];
  Object.assign(headers, length === undefined ? {} : { "content-length": length }, api.headers, {
    host: upstream.host,
    "accept-encoding": "identity",
    connection: "close",
  });
  const isSecure = upstream.protocol === "https:";
  // A numeric IPv6 address is in brackets in a URL, and only there.
  const hostname = upstream.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(upstream.port) || (isSecure ? 443 : 80);
  const via = proxyFor(state.configuration?.proxy, isSecure ? "https" : "http", hostname, port);
  const ownPath = upstream.pathname.replace(/\/$/, "") + path;
  const options: RequestOptions = {
    hostname,
    port,
    method: request.method ?? "",
    path: ownPath,
    headers,
    setHost: false,
    timeout: idleMs,
    maxHeaderSize: 32 * 1024,
  };
  // A connection each: none that an earlier request left in an unknown state.
  if (via === undefined) {
    // TLS is loaded by the first that needs it: a fifth of the time in which a gateway is up.
    const start = isSecure ? process.getBuiltinModule("node:https").request : httpRequest;
    return start({ ...options, agent: false });
  }
  if (!isSecure) {
    Object.assign(headers, proxyHeaders(via));
    options.path = `http://${upstream.host}${ownPath}`;
  }
  const connection = isSecure
    ? tunnelThrough(state.outside, via, hostname, port).then((socket) =>
        process
          .getBuiltinModule("node:tls")
          .connect({ socket, host: hostname, ...(isIP(hostname) === 0 ? { servername: hostname } : {}) }),
      )
    : connectToProxy(state.outside, via);
  return httpRequest({
    ...options,
    createConnection: (_, onCreate) => {
      connection.then(
        (socket) => onCreate(null, socket),
        (error: Error) => onCreate(error, undefined as never),
      );
      return undefined;
    },
  });
}

/** Streams the request's body. `too-long` when it has more bytes than it may; undefined if there is no answer. */
async function answered(
  request: IncomingMessage,
  upstream: ClientRequest,
  most: number,
): Promise<IncomingMessage | "too-long" | undefined> {
  return await new Promise((resolve) => {
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= most) return;
      resolve("too-long");
      upstream.destroy();
    });
    upstream.on("response", resolve);
    upstream.on("timeout", () => upstream.destroy());
    // Also at an upgrade, which was not asked for and which nobody listens to.
    upstream.on("error", () => resolve(undefined));
    upstream.on("close", () => resolve(undefined));
    request.on("aborted", () => upstream.destroy());
    request.pipe(upstream);
  });
}

/** Counts requests, anew each minute. */
class Rate {
  #since = 0;
  #count = 0;

  /** Takes one; if there is none left, the seconds until there are. */
  take(most: number): number {
    const now = performance.now();
    if (this.#since === 0 || now - this.#since >= 60_000) {
      this.#since = now;
      this.#count = 0;
    }
    if (this.#count >= most) return Math.ceil((60_000 - (now - this.#since)) / 1000);
    this.#count++;
    return 0;
  }
}
