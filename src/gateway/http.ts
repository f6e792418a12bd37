import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import type { GatewayConfiguration } from "./config.ts";
import type { Log } from "./log.ts";
import type { Outside } from "./outside.ts";

/** What both servers work with. */
export interface State {
  /** In force; undefined until the first, and then everything is refused. */
  configuration: GatewayConfiguration | undefined;
  /** What goes on. */
  readonly open: Set<Open>;
  readonly log: Log;
  readonly outside: Outside;
}

/** A connection or request that another configuration may forbid. */
export interface Open {
  isAllowed: (configuration: GatewayConfiguration) => boolean;
  close: () => void;
}

/** How long a connection may be silent. Models think for minutes before they answer. */
export const idleMs = 30 * 60_000;

/** A server that gives nobody much time or room. `handle` never rejects a request by throwing: that is a 502. */
export function makeServer(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Server {
  const answers = new WeakMap<Socket, ServerResponse>();
  const server = createServer(
    {
      insecureHTTPParser: false,
      maxHeaderSize: 16 * 1024,
      headersTimeout: 10_000,
      requestTimeout: 5 * 60_000,
      keepAliveTimeout: 30_000,
      connectionsCheckingInterval: 5000,
      keepAlive: true,
    },
    (request, response) => {
      // A second request before the first is answered: no client of ours does so, and it would evade the limit of connections.
      if (answers.get(request.socket)?.writableEnded === false) {
        request.socket.destroy();
        return;
      }
      answers.set(request.socket, response);
      request.on("error", () => response.destroy());
      response.on("error", () => response.destroy());
      void handle(request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else response.writeHead(502, { connection: "close" }).end();
      });
    },
  );
  server.maxConnections = 16;
  return server;
}

const hopByHop = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|http2-settings)$/;

/** Headers without those that concern one connection only, and without those that `drop` names. */
export function endToEnd(
  headers: IncomingHttpHeaders,
  drop: (name: string, value: string) => boolean,
): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  const kept: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || hopByHop.test(name) || named.has(name) || drop(name, String(value))) continue;
    kept[name] = value;
  }
  return kept;
}

/** Whether a body follows a request's head. */
export function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers["transfer-encoding"] !== undefined || (request.headers["content-length"] ?? "0") !== "0"
  );
}
