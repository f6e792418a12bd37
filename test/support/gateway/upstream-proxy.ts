import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A proxy as companies have them, which wants a user and a password: CONNECT, and plain requests with a whole address. */
export class CompanyProxy implements Disposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** The heads of all requests. */
  readonly heads: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** `places`: `host:port` and the port of this machine that it is; no other is known to it. */
  static async start(
    places: Record<string, number>,
    options: { user?: string; address?: string } = {},
  ): Promise<CompanyProxy> {
    const server = createServer((client) => proxy.#serve(client, places, options.user));
    const proxy = new CompanyProxy(server);
    await new Promise<void>((resolve) => {
      server.listen(0, options.address ?? "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The first lines of all requests. */
  get asked(): string[] {
    return this.heads.map((head) => head.slice(0, head.indexOf("\r\n")));
  }

  #serve(client: Socket, places: Record<string, number>, user: string | undefined): void {
    let bytes = Buffer.alloc(0);
    this.#keep(client);
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      client.off("data", read).pause();
      const head = bytes.subarray(0, end).toString("latin1");
      this.heads.push(head);
      const wanted = user === undefined ? "" : `proxy-authorization: Basic ${btoa(user)}`;
      const lines = head.split("\r\n");
      if (!lines.some((line) => line.toLowerCase() === wanted.toLowerCase()) && wanted !== "") {
        client.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
        return;
      }
      const [, method = "", target = ""] = /^(\S+) (\S+) /.exec(head) ?? [];
      const url = URL.parse(target);
      const authority = method === "CONNECT" ? target : `${url?.hostname}:${url?.port || 80}`;
      const port = places[authority];
      if (port === undefined) {
        client.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        return;
      }
      const server = connect({ host: "127.0.0.1", port }, () => {
        if (method === "CONNECT") client.write("HTTP/1.1 200 Fine\r\nx-from: proxy\r\n\r\n");
        else {
          const rest = lines.slice(1).filter((line) => !/^proxy-/i.test(line));
          server.write(
            [`${method} ${url?.pathname}${url?.search} HTTP/1.1`, ...rest].join("\r\n") + "\r\n\r\n",
          );
        }
        server.write(bytes.subarray(end + 4));
        client.pipe(server);
        server.pipe(client);
      });
      this.#keep(server);
    };
    client.on("data", read);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
