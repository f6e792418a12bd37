import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ModelApi } from "../../src/gateway/config.ts";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type AddressInfo, type Server as TcpServer, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import {
  certificate,
  clientHello,
  configuration,
  eventually,
  key,
  Raw,
  records,
  TestGateway,
  token,
} from "../support/gateway/gateway.ts";
import { CompanyProxy } from "../support/gateway/upstream-proxy.ts";

/* The gateway's program under Node, over real sockets; only names and addresses lead where the test says. */

/** An address that looks public, and what lies there. */
const publicAddress = "93.184.216.34";
const secret = "REAL-credential-of-the-user-42";

const servers: (Server | TcpServer)[] = [];
/** What the server behind the proxy and the model API have got. */
const reached: { head: string; headers: IncomingMessage["headers"]; body: string }[] = [];
const sockets = new Set<Socket>();
let secure = 0;
let echo = 0;
let silent = 0;
let web = 0;
let api = 0;

async function listen(server: Server | TcpServer): Promise<number> {
  servers.push(server);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  return body;
}

/** What the model's server answers to each path. */
async function answerModel(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request);
  reached.push({ head: `${request.method} ${request.url}`, headers: request.headers, body });
  if (request.url?.startsWith("/v1/stream") === true) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: first\n\n");
    await eventually(() => reached.some(({ head }) => head === "GET /v1/models"), "the go-ahead", 10_000);
    response.end("data: second\n\n");
  } else if (request.url === "/v1/echo") {
    const headers = JSON.stringify(request.headers);
    response.writeHead(200, {
      "x-echo": headers,
      "x-fine": "yes",
      "set-cookie": "session=1",
      "content-type": "text/plain",
    });
    response.write(headers.slice(0, headers.indexOf(secret) + 5));
    setTimeout(() => response.end(headers.slice(headers.indexOf(secret) + 5)), 50);
  } else if (request.url === "/v1/zipped") {
    response.writeHead(200, { "content-encoding": "gzip" }).end("not really");
  } else if (request.url === "/v1/break") {
    request.socket.destroy();
  } else response.writeHead(201, { "content-type": "application/json" }).end('{"ok":true}');
}

beforeAll(async () => {
  secure = await listen(
    createTlsServer({ cert: certificate, key }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsecret!"));
    }),
  );
  echo = await listen(createServer((socket) => socket.on("data", (chunk) => socket.write(chunk))));
  silent = await listen(createServer(() => {}));
  web = await listen(
    createHttpServer((request, response) => {
      reached.push({ head: `${request.method} ${request.url}`, headers: request.headers, body: "" });
      response.writeHead(200, { "x-from": "web", "keep-alive": "timeout=99" }).end("plain text");
    }),
  );
  api = await listen(createHttpServer((request, response) => void answerModel(request, response)));
});

afterAll(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
});

const everything = (): Parameters<typeof TestGateway.start>[0] => ({
  names: {
    "ok.test": [[publicAddress]],
    "deep.wild.test": [[publicAddress]],
    "wild.test": [[publicAddress]],
    "lan.test": [["10.1.2.3"]],
    "rebind.test": [[publicAddress], ["127.0.0.1"]],
    "metadata.test": [["169.254.169.254"]],
    "loop.test": [["127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]],
    "mapped.test": [["::ffff:10.1.2.3"]],
    "own.test": [["93.184.216.99"]],
    "mixed.test": [["10.1.2.3", publicAddress]],
    "down.test": [["93.184.216.1"]],
  },
  places: {
    [`${publicAddress} 443`]: secure,
    [`${publicAddress} 80`]: web,
    [`${publicAddress} 8443`]: echo,
    "10.1.2.3 443": secure,
    "10.1.2.3 80": web,
  },
  own: ["93.184.216.99"],
});

const allow = [
  { host: "ok.test", ports: [443, 80, 8443] },
  { host: "*.wild.test", ports: [443] },
  { host: "rebind.test", ports: [443] },
  ...["metadata.test", "loop.test", "own.test"].map((host) => ({ host, ports: [443], private: true })),
  ...["mapped.test", "mixed.test", "down.test", "nowhere.test"].map((host) => ({ host, ports: [443] })),
];

async function connectTo(gateway: TestGateway, target: string): Promise<Raw> {
  const raw = new Raw(gateway.ports.proxy).send(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await raw.status();
  return raw;
}

/** What curl gets through the gateway. */
async function curl(gateway: TestGateway, url: string): Promise<string> {
  const file = join(import.meta.dir, "../support/gateway/certificate.pem");
  const proxy = `http://127.0.0.1:${gateway.ports.proxy}`;
  const child = Bun.spawn(["curl", "--silent", "--show-error", "--proxy", proxy, "--cacert", file, url], {
    env: { PATH: process.env["PATH"] },
    stderr: "pipe",
  });
  expect(await new Response(child.stderr).text()).toBe("");
  return await new Response(child.stdout).text();
}

/** The status of CONNECT. */
async function status(gateway: TestGateway, target: string): Promise<number> {
  const raw = await connectTo(gateway, target);
  raw.socket.destroy();
  return await raw.status();
}

/** A gateway with the usual hosts for all tests of a group, in which nothing may go wrong. */
function forAll(use: (gateway: TestGateway) => void): void {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await TestGateway.start(everything());
    await gateway.configure({ allow });
    use(gateway);
  });
  afterAll(async () => {
    expect(gateway.errors).toBe("");
    await gateway[Symbol.asyncDispose]();
  });
}

describe("before a configuration", () => {
  test("everything is refused, also after a bad one", async () => {
    await using gateway = await TestGateway.start(everything());
    const url = `http://127.0.0.1:${gateway.ports.api}`;
    const refused = async (): Promise<void> => {
      expect(await status(gateway, "ok.test:443")).toBe(503);
      expect((await fetch(`${url}/healthz`)).status).toBe(503);
      expect((await fetch(`${url}/model/v1/models`, { headers: { "x-api-key": token } })).status).toBe(503);
    };
    await refused();
    expect(await gateway.send('{"id":"x","token":"leaks-not-0123456789"}')).toMatchObject({
      event: "refused",
      id: "x",
    });
    await refused();
    await gateway.configure({ allow });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(await status(gateway, "ok.test:443")).toBe(200);
    // A bad one later leaves the good one in force, and so does the end of the input.
    expect(await gateway.send("nonsense")).toEqual({ event: "refused", reason: "not JSON" });
    await gateway.endInput();
    expect(await status(gateway, "ok.test:443")).toBe(200);
    expect(await gateway.stop()).toBe(0);
    expect(gateway.output).not.toContain("leaks-not");
  });
});

describe("CONNECT", () => {
  let gateway: TestGateway;
  forAll((made) => (gateway = made));

  test("TLS to an allowed host works, whoever speaks it", async () => {
    for (const host of ["ok.test", "deep.wild.test"])
      expect(await curl(gateway, `https://${host}/`)).toBe("secret!");
    expect(gateway.events("allow")).toContainEqual(expect.objectContaining({ host: "ok.test", port: 443 }));
  });

  test.each([
    ["ok.test\0.evil.test:443", 400],
    ["2130706433:443", 400],
    ["0177.0.0.1:443", 400],
    ["127.0.0.1:443", 400],
    ["127.1:443", 400],
    ["0x7f000001:443", 400],
    ["0x7f.0.0.1:443", 400],
    ["ok.test.:443", 400],
    ["user@ok.test:443", 400],
    ["user:pass@ok.test:443", 400],
    ["ok.test.evil.test:443", 403],
    ["evil-ok.test:443", 403],
    ["wild.test:443", 403],
    [".wild.test:443", 400],
    ["a..wild.test:443", 400],
    ["evilwild.test:443", 403],
    ["[::1]:443", 400],
    ["[::ffff:127.0.0.1]:443", 400],
    ["::ffff:127.0.0.1:443", 400],
    [`${"a".repeat(64)}.wild.test:443`, 400],
    [`${"a.".repeat(200)}wild.test:443`, 400],
    ["ok.te\u00DFt:443", 400],
    ["o\u212A.test:443", 400],
    ["ok%2etest:443", 400],
    ["ok.test", 400],
    ["ok.test:", 400],
    ["ok.test:0", 400],
    ["ok.test:0443", 400],
    ["ok.test:+443", 400],
    ["ok.test:443:443", 400],
    ["ok.test:443/", 400],
    ["ok.test:65979", 400],
    ["ok.test:444", 403],
    ["localhost:443", 403],
    ["http://ok.test:443", 400],
    ["/", 400],
  ])("attack 35: %p is refused", async (target, code) => {
    const before = gateway.lines.length;
    const raw = new Raw(gateway.ports.proxy).send(
      Buffer.from(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`, "utf8"),
    );
    expect(await raw.status()).toBe(code);
    raw.socket.destroy();
    expect(gateway.lines.slice(before).filter((line) => "dial" in line || "lookup" in line)).toEqual([]);
  });

  test("upper case is the same name", async () => {
    expect(await status(gateway, "OK.Test:443")).toBe(200);
  });

  test("attack 34: a name that leads to this machine, a neighbour or the metadata service is refused", async () => {
    const before = gateway.lines.length;
    for (const host of ["metadata.test", "loop.test", "own.test", "mapped.test"])
      expect([host, await status(gateway, `${host}:443`)]).toEqual([host, 403]);
    expect(gateway.lines.slice(before).filter((line) => "dial" in line)).toEqual([]);
    expect(await status(gateway, "nowhere.test:443")).toBe(502);
    expect(await status(gateway, "down.test:443")).toBe(502);
  });

  test("only an address that passed is dialled", async () => {
    const before = gateway.lines.length;
    expect(await status(gateway, "mixed.test:443")).toBe(200);
    expect(gateway.lines.slice(before).filter((line) => "dial" in line)).toEqual([
      { dial: `${publicAddress} 443` },
    ]);
  });

  test("attack 34: a name is resolved once, and its next answer is judged anew", async () => {
    const before = gateway.lines.length;
    const said = (): unknown[] =>
      gateway.lines.slice(before).filter((line) => "dial" in line || "lookup" in line);
    expect(await status(gateway, "rebind.test:443")).toBe(200);
    expect(said()).toEqual([{ lookup: "rebind.test" }, { dial: `${publicAddress} 443` }]);
    expect(await status(gateway, "rebind.test:443")).toBe(403);
    expect(said()).toHaveLength(3);
  });

  test("attack 36: what does not ask for the host by TLS is closed, and nothing of it arrives", async () => {
    const cases: [string, string | Buffer, string][] = [
      ["another name", clientHello("evil.test"), "sni"],
      ["no name", clientHello(undefined), "no-sni"],
      ["two names", clientHello(undefined, { names: ["ok.test", "evil.test"] }), "not-tls"],
      ["a name with NUL", clientHello("ok.test\0"), "not-tls"],
      ["a dot at the end", clientHello("ok.test."), "sni"],
      ["SSH", "SSH-2.0-OpenSSH_9.2\r\n", "not-tls"],
      ["plain HTTP", "GET / HTTP/1.1\r\nHost: ok.test\r\n\r\n", "not-tls"],
      [
        "SSL 2",
        Buffer.from("802e0100020015000000100100800200800300800400800500800600400700c0", "hex"),
        "not-tls",
      ],
      ["another record", Buffer.from("17030300050102030405", "hex"), "not-tls"],
      ["too long", clientHello("ok.test", { extra: 20_000 }), "not-tls"],
    ];
    for (const [what, bytes, why] of cases) {
      const raw = await connectTo(gateway, "ok.test:8443");
      const answered = raw.received.length;
      raw.send(bytes);
      await raw.closed();
      expect([what, raw.received.length]).toEqual([what, answered]);
      expect([what, why, gateway.events("deny").some((line) => line["why"] === why)]).toEqual([
        what,
        why,
        true,
      ]);
    }
  });

  test("a ClientHello may come in any pieces", async () => {
    const plain = clientHello("ok.test");
    const cases: Record<string, Buffer> = {
      greased: clientHello("ok.test", { greased: true }),
      large: clientHello("ok.test", { extra: 12_000 }),
      "many records": records(plain.subarray(5), 3),
    };
    for (const [what, bytes] of Object.entries({ "byte by byte": plain, ...cases })) {
      const raw = await connectTo(gateway, "ok.test:8443");
      const answered = raw.received.length;
      raw.socket.setNoDelay(true);
      if (what === "byte by byte")
        for (const byte of bytes) {
          raw.send(Buffer.from([byte]));
          await Bun.sleep(1);
        }
      else raw.send(bytes);
      await eventually(() => raw.received.length === answered + bytes.length, `the echo: ${what}`);
      expect(raw.received.subarray(answered).equals(bytes)).toBe(true);
      raw.socket.destroy();
    }
  });

  test("what comes with CONNECT in one piece is the beginning of the connection", async () => {
    const hello = clientHello("ok.test");
    const raw = new Raw(gateway.ports.proxy);
    raw.send(Buffer.concat([Buffer.from("CONNECT ok.test:8443 HTTP/1.1\r\nHost: x\r\n\r\n"), hello]));
    await eventually(() => raw.received.includes(hello), "the echo");
    raw.socket.destroy();
  });

  test("much data goes through whole in both directions", async () => {
    const raw = await connectTo(gateway, "ok.test:8443");
    const answered = raw.received.length;
    const hello = clientHello("ok.test");
    const data = Buffer.alloc(4_000_000, "0123456789abcdef");
    raw.send(hello).send(data);
    await eventually(() => raw.received.length === answered + hello.length + data.length, "all of it");
    expect(raw.received.subarray(answered + hello.length).equals(data)).toBe(true);
    raw.socket.destroy();
  });
});

test("a client that says early that it is done still gets the whole answer", async () => {
  const data = Buffer.alloc(4_000_000, "0123456789abcdef");
  const port = await listen(createServer((socket) => socket.once("data", () => socket.end(data))));
  const world = everything();
  await using gateway = await TestGateway.start({
    ...world,
    places: { ...world?.places, [`${publicAddress} 8443`]: port },
  });
  await gateway.configure({ allow });
  const raw = await connectTo(gateway, "ok.test:8443");
  const answered = raw.received.length;
  raw.send(clientHello("ok.test"));
  raw.socket.end();
  await raw.closed();
  expect(raw.received.length - answered).toBe(data.length);
});

describe("another configuration", () => {
  test("closes what it no longer allows, and keeps the rest", async () => {
    await using gateway = await TestGateway.start(everything());
    await gateway.configure({ allow });
    const open = async (): Promise<Raw> => {
      const raw = await connectTo(gateway, "ok.test:8443");
      const answered = raw.received.length;
      raw.send(clientHello("ok.test"));
      await eventually(() => raw.received.length > answered, "the echo");
      return raw;
    };
    const raw = await open();
    const waiting = await connectTo(gateway, "ok.test:8443");
    await gateway.configure({ allow: [{ host: "ok.test", ports: [8443] }] });
    const before = raw.received.length;
    raw.send("still there");
    await eventually(() => raw.received.length > before, "the echo");
    await gateway.configure({ allow: [{ host: "ok.test", ports: [443] }] });
    await raw.closed();
    await waiting.closed();
    expect(await status(gateway, "ok.test:8443")).toBe(403);
  });

  test("keeps the model APIs that it does not name, where it says so", async () => {
    await using gateway = await TestGateway.start(everything());
    const apis = {
      model: { upstream: `http://127.0.0.1:${api}`, headers: { "x-api-key": secret }, paths: [] },
    };
    const asks = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${gateway.ports.api}/model/v1/x`, { headers: { "x-api-key": token } }))
        .status;
    await gateway.configure({ allow: [], apis });
    // It is there, and lets no path through.
    expect(await asks()).toBe(403);
    await gateway.configure({ allow, apis: {}, keepApis: true });
    expect(await asks()).toBe(403);
    expect(await status(gateway, "ok.test:443")).toBe(200);
    await gateway.configure({ allow, apis: {} });
    expect(await asks()).toBe(404);
  });

  test("decides about private networks; `all` opens every public host and no private one", async () => {
    await using gateway = await TestGateway.start(everything());
    const lan = (isPrivate: boolean): Promise<void> =>
      gateway.configure({ allow: [{ host: "lan.test", ports: [443], private: isPrivate }] });
    await lan(false);
    expect(await status(gateway, "lan.test:443")).toBe(403);
    await lan(true);
    const raw = await connectTo(gateway, "lan.test:443");
    expect(await raw.status()).toBe(200);
    await gateway.configure({ allow: "all" });
    await raw.closed();
    expect(await status(gateway, "lan.test:443")).toBe(403);
    expect(await status(gateway, "metadata.test:443")).toBe(403);
    expect(await status(gateway, "ok.test:8443")).toBe(200);
    expect(await status(gateway, "localhost:443")).toBe(403);
  });
});

describe("plain HTTP through the proxy", () => {
  let gateway: TestGateway;
  forAll((made) => (gateway = made));

  async function ask(head: string): Promise<Raw> {
    const raw = new Raw(gateway.ports.proxy).send(head);
    await raw.status();
    raw.socket.destroy();
    return raw;
  }

  test("is read with GET and HEAD, as the host that the URL names", async () => {
    const raw = await ask(
      "GET http://ok.test/a/b?c=1 HTTP/1.1\r\nHost: evil.test\r\nX-Mine: 1\r\nX-Hop: 1\r\n" +
        "Connection: x-hop\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
    );
    expect(await raw.status()).toBe(200);
    expect(raw.text).toContain("x-from: web");
    expect(raw.text).not.toContain("timeout=99");
    const { head, headers } = reached.at(-1) ?? { head: "", headers: {} };
    expect(head).toBe("GET /a/b?c=1");
    expect(headers).toEqual({ host: "ok.test", "x-mine": "1", connection: "close" });
    expect(await (await ask("HEAD http://OK.test HTTP/1.1\r\nHost: x\r\n\r\n")).status()).toBe(200);
    expect(reached.at(-1)?.head).toBe("HEAD /");
  });

  test.each([
    ["POST http://ok.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405],
    ["OPTIONS http://ok.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 405],
    ["GET http://ok.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400],
    ["GET http://ok.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
    [
      "GET http://ok.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
    ],
    ["GET http://ok.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", 400],
    ["GET http://ok.test/ HTTP/1.1\r\nHost: x\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n", 400],
    ["GET http://ok.test/ HTTP/1.1\r\nHost : x\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: ok.test\r\n\r\n", 400],
    ["GET https://ok.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["GET ftp://ok.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["GET http://ok.test@evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["GET http://ok.test\\@evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["GET http://ok.test#.evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["GET http://127.0.0.1/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", 400],
    ["GET http://[::1]/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", 400],
    ["GET http://evil.test/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", 403],
    ["GET http://ok.test:81/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", 403],
    ["GET http:///ok.test/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", 400],
    [`GET http://ok.test/ HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(20_000)}\r\n\r\n`, 431],
  ])("%p is refused", async (head, code) => {
    const before = reached.length;
    expect(await (await ask(head)).status()).toBe(code);
    expect(reached).toHaveLength(before);
  });

  test("a second request before the first is answered ends the connection", async () => {
    const before = reached.length;
    const one = "GET http://ok.test/one HTTP/1.1\r\nHost: x\r\n\r\n";
    const raw = new Raw(gateway.ports.proxy).send(one + one);
    await raw.closed();
    expect(raw.text).toBe("");
    expect(reached.length).toBeLessThanOrEqual(before + 1);
  });
});

/** The model API of the tests. Its port is known only once it listens. */
const model = (): ModelApi => ({
  upstream: `http://127.0.0.1:${api}`,
  headers: { authorization: `Bearer ${secret}`, "x-version": "7" },
  paths: [
    ...["/v1/messages", "/v1/echo", "/v1/zipped", "/v1/break", "/v1/stream"].map((path) => ({
      method: "POST",
      path,
    })),
    { method: "GET", path: "/v1/models*" },
  ],
});

describe("a model API", () => {
  let gateway: TestGateway;
  let url: string;
  beforeAll(async () => {
    gateway = await TestGateway.start();
    await gateway.configure({ apis: { model: model() } });
    url = `http://127.0.0.1:${gateway.ports.api}/model`;
  });
  afterAll(async () => {
    expect(gateway.errors).toBe("");
    await gateway[Symbol.asyncDispose]();
  });

  const post = (path: string, headers: Record<string, string>, body = "{}"): Promise<Response> =>
    fetch(url + path, { method: "POST", headers, body });

  test("gets the user's credential in place of the token, and nothing else of the client's", async () => {
    const credentials: Record<string, string>[] = [
      { authorization: `Bearer ${token}` },
      { "x-api-key": token },
      { "x-goog-api-key": token, cookie: "a=b", "x-forwarded-for": "10.0.0.1", "proxy-authorization": "x" },
      {
        "x-api-key": token,
        "anthropic-beta": "b1",
        "x-version": "1",
        "x-auth-token": "theirs",
        "api-key": "theirs",
      },
    ];
    for (const shown of credentials) {
      const answer = await post("/v1/messages?beta=true", shown, '{"n":1}');
      expect([answer.status, await answer.text()]).toEqual([201, '{"ok":true}']);
      const { head, headers, body } = reached.at(-1) ?? { head: "", headers: {}, body: "" };
      expect([head, body]).toEqual(["POST /v1/messages?beta=true", '{"n":1}']);
      expect(headers).toMatchObject({
        authorization: `Bearer ${secret}`,
        "x-version": "7",
        host: `127.0.0.1:${api}`,
        "accept-encoding": "identity",
      });
      const all = JSON.stringify(headers);
      expect(all).not.toContain(token);
      expect(all).not.toMatch(/theirs|a=b|10\.0\.0\.1|proxy-/);
      if ("anthropic-beta" in shown) expect(headers["anthropic-beta"]).toBe("b1");
    }
  });

  test.each([
    ["no credential", {}],
    ["another key", { "x-api-key": "sk-of-the-attacker-0123456789" }],
    ["the token and another key", { authorization: `Bearer ${token}`, "x-api-key": "sk-of-the-attacker" }],
    ["a beginning of the token", { "x-api-key": token.slice(0, -1) }],
    ["another scheme", { authorization: `Basic ${token}` }],
    ["nothing in it", { "x-api-key": "" }],
  ])("%s is refused", async (_, headers) => {
    const before = reached.length;
    expect((await post("/v1/messages", headers as Record<string, string>)).status).toBe(401);
    expect(reached).toHaveLength(before);
  });

  test.each([
    ["POST", "/model/v1/files", 403],
    ["GET", "/model/v1/messages", 403],
    ["DELETE", "/model/v1/models/x", 403],
    ["POST", "/model/v1/messages/", 403],
    ["GET", "/model/v1/models/../files", 400],
    ["GET", "/model/v1/models/%2e%2e/files", 400],
    ["GET", "/model/v1/models%2Ffiles", 400],
    ["GET", "/model/v1/models/%252e%252e/files", 400],
    ["GET", "/model/v1/models//files", 400],
    ["GET", "/model/v1/models/./files", 400],
    ["GET", "/model/v1/models\\..\\files", 400],
    ["GET", "/model//v1/models", 400],
    ["GET", "//model/v1/models", 400],
    ["GET", "/other/v1/models", 404],
    ["GET", "/constructor/v1/models", 404],
    ["GET", "/model/v1/models?key=abc", 403],
    ["GET", "/model/v1/models?a=1&%6bey=abc", 403],
    ["GET", "/model/v1/models?a=1;key=abc", 403],
    ["GET", "/model/v1/models?$httpHeaders=x", 403],
    ["GET", "http://api.test/model/v1/models", 400],
    ["TRACE", "/model/v1/models", 403],
  ])("%s %s is refused", async (method, path, code) => {
    const before = reached.length;
    const raw = new Raw(gateway.ports.api).send(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${token}\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(await raw.status()).toBe(code);
    raw.socket.destroy();
    expect(reached).toHaveLength(before);
  });

  test("streams: a client has the first event before the second is made", async () => {
    const answer = await post("/v1/stream", { "x-api-key": token });
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe("data: first\n\n");
    expect((await fetch(`${url}/v1/models`, { headers: { "x-api-key": token } })).status).toBe(201);
    const second = await reader?.read();
    expect(new TextDecoder().decode(second?.value)).toBe("data: second\n\n");
  });

  test("an upstream that repeats what it got does not give the credential away", async () => {
    const answer = await post("/v1/echo", { "x-api-key": token });
    const text = await answer.text();
    expect(text).toContain("********");
    expect(text).not.toContain(secret);
    expect(text).toHaveLength(JSON.stringify(reached.at(-1)?.headers).length);
    expect(answer.headers.get("x-fine")).toBe("yes");
    expect(answer.headers.get("x-echo")).toBeNull();
    expect(answer.headers.get("set-cookie")).toBeNull();
  });

  test("what it cannot pass on is a 502", async () => {
    expect((await post("/v1/zipped", { "x-api-key": token })).status).toBe(502);
    expect((await post("/v1/break", { "x-api-key": token })).status).toBe(502);
  });

  test("an upstream with TLS must show a good certificate", async () => {
    const own = { NODE_EXTRA_CA_CERTS: join(import.meta.dir, "../support/gateway/certificate.pem") };
    for (const [env, code] of [
      [own, 200],
      [{}, 502],
    ] as const) {
      await using other = await TestGateway.start({}, env);
      await other.configure({ apis: { model: { ...model(), upstream: `https://localhost:${secure}` } } });
      const there = `http://127.0.0.1:${other.ports.api}/model/v1/messages`;
      const answer = await fetch(there, { method: "POST", headers: { "x-api-key": token }, body: "{}" });
      expect([env, answer.status]).toEqual([env, code]);
    }
  });

  test("a WebSocket is answered with 426", async () => {
    const raw = new Raw(gateway.ports.api).send(
      `GET /model/v1/responses HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n` +
        `Authorization: Bearer ${token}\r\n\r\n`,
    );
    expect(await raw.status()).toBe(426);
    raw.socket.destroy();
  });

  test("attack 29: has limits", async () => {
    await using limited = await TestGateway.start();
    await limited.configure({
      apis: { model: model() },
      limits: { requestsPerMinute: 3, bodyBytes: 1000, connections: 4 },
    });
    const there = `http://127.0.0.1:${limited.ports.api}/model/v1/messages`;
    const headers = { "x-api-key": token };
    const send = (body: string): Promise<Response> => fetch(there, { method: "POST", headers, body });
    expect((await send("x".repeat(1001))).status).toBe(413);
    const chunked = new Raw(limited.ports.api).send(
      `POST /model/v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${token}\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `7d0\r\n${"x".repeat(2000)}\r\n`,
    );
    expect(await chunked.status()).toBe(413);
    expect((await send("x".repeat(1000))).status).toBe(201);
    const refused = await send("{}");
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeWithin(1, 61);
    const many = Array.from({ length: 6 }, () => new Raw(limited.ports.proxy));
    await eventually(() => many.filter((raw) => raw.isClosed).length === 2, "two are closed");
    for (const raw of many) raw.socket.destroy();
  });

  test("a new token ends what goes on with the old one, a new credential does not", async () => {
    await using other = await TestGateway.start();
    const api = { ...model(), upstream: `http://127.0.0.1:${silent}` };
    await other.configure({ apis: { model: api } });
    const raw = new Raw(other.ports.api).send(
      `POST /model/v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${token}\r\nContent-Length: 100\r\n\r\nabc`,
    );
    await Bun.sleep(300);
    await other.configure({
      apis: { model: { ...api, headers: { authorization: "Bearer renewed-credential" } } },
    });
    expect(raw.isClosed).toBe(false);
    await other.configure({ apis: { model: api }, token: "another-token-0123456789" });
    await raw.closed();
  });
});

describe("the log", () => {
  test("tells decisions, and neither secrets nor anything but plain text", async () => {
    await using gateway = await TestGateway.start(everything());
    await gateway.configure({
      allow,
      apis: { model: { upstream: `http://127.0.0.1:${api}`, headers: { "x-api-key": secret }, paths: [] } },
    });
    const raw = new Raw(gateway.ports.proxy).send(
      Buffer.from(`CONNECT \u001B]52;c;x\u0007${"\u202E".repeat(500)}:443 HTTP/1.1\r\nHost: x\r\n\r\n`),
    );
    await raw.closed();
    for (const path of ["/model/v1/x?key=query-secret", "/model/%1b%5b2J"])
      await fetch(`http://127.0.0.1:${gateway.ports.api}${path}`, {
        headers: { "x-api-key": "sk-shown-by-client" },
      });
    await gateway.send(JSON.stringify({ ...configuration(), token: `${token}\n`, id: "bad" }));
    await gateway.stop();
    expect(gateway.output).toMatch(/^[\x20-\x7e\n]*$/);
    for (const word of [secret, token, "query-secret", "sk-shown-by-client"])
      expect(gateway.output + gateway.errors).not.toContain(word);
    expect(gateway.errors).toBe("");
    expect(Math.max(...gateway.output.split("\n").map((line) => line.length))).toBeLessThan(700);
  });

  test("is short after a flood, and still tells of something else", async () => {
    await using gateway = await TestGateway.start(everything());
    await gateway.configure({ allow });
    for (let count = 0; count < 200; count++) {
      await status(gateway, "evil.test:443");
      if (count % 2 === 0) await status(gateway, `evil-${count}.test:443`);
    }
    await fetch(`http://127.0.0.1:${gateway.ports.api}/model/v1/x`);
    await gateway.stop();
    const denied = gateway.events("deny");
    expect(denied.length).toBeLessThan(75);
    expect(denied.reduce((sum, line) => sum + Number(line["times"] ?? 1), 0)).toBe(300);
    expect(gateway.events("api-deny")).toHaveLength(1);
  }, 60_000);
});

describe("a proxy of the user's network", () => {
  const user = "ann:pass word";
  const authorization = `Basic ${btoa(user)}`;

  /** A gateway whose way out is a proxy, which knows names that nobody else does. */
  async function start(
    change: { authorization?: string; except?: string[] } = {},
  ): Promise<{ gateway: TestGateway; proxy: CompanyProxy }> {
    const places = { "ok.test:443": secure, "hidden.wild.test:443": secure, "hidden.test:80": web };
    const proxy = await CompanyProxy.start({ ...places, "models.test:80": api }, { user });
    const world = everything();
    const gateway = await TestGateway.start({
      ...world,
      names: { ...world?.names, "proxy.corp": [["10.9.9.9"]] },
      places: { ...world?.places, "10.9.9.9 3128": proxy.port },
    });
    const server = { host: "proxy.corp", port: 3128, authorization: change.authorization ?? authorization };
    const hosts = ["ok.test", "hidden.test", "hidden.wild.test", "lan.test", "metadata.test"];
    const paths = [{ method: "POST", path: "/v1/*" }];
    await gateway.configure({
      allow: hosts.map((host) => ({ host, ports: [443, 80] })),
      apis: { model: { upstream: "http://models.test", headers: { "x-api-key": secret }, paths } },
      proxy: { https: server, http: server, except: change.except ?? [] },
    });
    return { gateway, proxy };
  }

  test("is asked for what is allowed, by name: TLS, plain requests and the model's API", async () => {
    const made = await start();
    await using gateway = made.gateway;
    using proxy = made.proxy;
    // Known to the proxy alone.
    expect(await curl(gateway, "https://hidden.wild.test/")).toBe("secret!");
    expect(await curl(gateway, "http://hidden.test/x?y=1")).toBe("plain text");
    const answer = await fetch(`http://127.0.0.1:${gateway.ports.api}/model/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": token },
      body: "{}",
    });
    expect([answer.status, await answer.text()]).toEqual([201, '{"ok":true}']);
    expect(reached.at(-1)).toMatchObject({ head: "POST /v1/messages", body: "{}" });
    expect(reached.at(-1)?.headers["x-api-key"]).toBe(secret);
    expect(proxy.asked).toEqual([
      "CONNECT hidden.wild.test:443 HTTP/1.1",
      "GET http://hidden.test/x?y=1 HTTP/1.1",
      "POST http://models.test/v1/messages HTTP/1.1",
    ]);
    // Only it gets its credential, and nothing says it.
    expect(reached.some(({ headers }) => "proxy-authorization" in headers)).toBe(false);
    expect(gateway.output + gateway.errors).not.toContain(authorization);
  });

  test("is not asked for what is not allowed, not named, or known to be private", async () => {
    const made = await start();
    await using gateway = made.gateway;
    using proxy = made.proxy;
    expect(await status(gateway, "other.test:443")).toBe(403);
    expect(await status(gateway, "10.1.2.3:443")).toBe(400);
    expect(await status(gateway, "lan.test:443")).toBe(403);
    expect(await status(gateway, "metadata.test:443")).toBe(403);
    expect(gateway.events("deny").map((line) => line["why"])).toEqual([
      "not-allowed",
      "syntax",
      "address",
      "address",
    ]);
    expect(proxy.heads).toEqual([]);
    // Bytes flow only to the host that was asked for.
    const raw = await connectTo(gateway, "ok.test:443");
    const before = raw.received.length;
    raw.send(clientHello("evil.test"));
    await raw.closed();
    expect(raw.received.length).toBe(before);
    expect(gateway.events("deny").at(-1)).toMatchObject({ why: "sni" });
  });

  test("that refuses, or wants another credential, is told apart", async () => {
    const made = await start({ authorization: "Basic bm9ib2R5OngK" });
    await using gateway = made.gateway;
    using _ = made.proxy;
    expect(await status(gateway, "ok.test:443")).toBe(502);
    expect(gateway.events("deny").at(-1)).toMatchObject({ host: "ok.test", why: "proxy" });
    const answer = await fetch(`http://127.0.0.1:${gateway.ports.api}/model/v1/x`, {
      method: "POST",
      headers: { "x-api-key": token },
    });
    expect(answer.status).toBe(407);
  });

  test("has exceptions, and goes with the configuration that lacks it", async () => {
    const made = await start({ except: [".ok.test"] });
    await using gateway = made.gateway;
    using proxy = made.proxy;
    expect(await status(gateway, "ok.test:443")).toBe(200);
    expect(proxy.heads).toEqual([]);
    expect(gateway.lines).toContainEqual({ dial: `${publicAddress} 443` });
    await gateway.configure({ allow });
    expect(await status(gateway, "deep.wild.test:443")).toBe(200);
    expect(proxy.heads).toEqual([]);
  });

  test("stays as it is where a configuration says so, whatever that has itself", async () => {
    const made = await start();
    await using gateway = made.gateway;
    using proxy = made.proxy;
    const wrong = { https: { host: "elsewhere.corp", port: 3128 }, except: [] };
    for (const named of [{}, { proxy: wrong }]) {
      await gateway.configure({ allow, keepProxy: true, ...named });
      expect(await status(gateway, "ok.test:443")).toBe(200);
    }
    expect(proxy.asked).toEqual(["CONNECT ok.test:443 HTTP/1.1", "CONNECT ok.test:443 HTTP/1.1"]);
    await gateway.configure({ allow });
    await gateway.configure({ allow, keepProxy: true, proxy: wrong });
    expect(await status(gateway, "ok.test:443")).toBe(200);
    expect(proxy.asked).toHaveLength(2);
  });

  test("may be the way to a model's API with TLS", async () => {
    let shown = "";
    const models = createHttpsServer({ cert: certificate, key }, (request, response) => {
      shown = String(request.headers["x-api-key"]);
      response.end(`${request.method} ${request.url}`);
    });
    const places = { "localhost:443": await listen(models) };
    using proxy = await CompanyProxy.start(places);
    // The certificate of tests is trusted by nobody else.
    const trust = { NODE_EXTRA_CA_CERTS: join(import.meta.dir, "../support/gateway/certificate.pem") };
    const world = { names: { "proxy.corp": [["10.9.9.9"]] }, places: { "10.9.9.9 3128": proxy.port } };
    await using gateway = await TestGateway.start(world, trust);
    const paths = [{ method: "GET", path: "/v1/*" }];
    await gateway.configure({
      apis: { model: { upstream: "https://localhost", headers: { "x-api-key": secret }, paths } },
      proxy: { https: { host: "proxy.corp", port: 3128 }, except: [] },
    });
    const answer = await fetch(`http://127.0.0.1:${gateway.ports.api}/model/v1/x`, {
      headers: { "x-api-key": token },
    });
    expect([answer.status, await answer.text()]).toEqual([200, "GET /v1/x"]);
    expect(shown).toBe(secret);
    expect(proxy.asked).toEqual(["CONNECT localhost:443 HTTP/1.1"]);
  });
});
