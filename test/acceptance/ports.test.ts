import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { binary, eventually, runProgram, Sandbox } from "../support/harness.ts";

/* What listens in an instance, and how this machine reaches it: with real servers inside, on their loopback only. */

setDefaultTimeout(120_000);

const megabytes = 50;

/** Answers with its branch, with 50 MB, and gives back what a WebSocket sends. */
const server = `
const { createHash } = require("node:crypto");
const big = Buffer.alloc(${megabytes} * 1024 * 1024, "0123456789abcdef-");
const web = require("node:http").createServer((request, answer) =>
  answer.end(request.url === "/big" ? big : "this is " + process.env.HEADJACK_BRANCH));
web.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  socket.on("data", (frame) => {
    const length = frame[1] & 127;
    const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, i) => byte ^ frame[2 + (i % 4)]));
    socket.write(Buffer.concat([Buffer.from([129, length]), text]));
  });
});
web.listen(3000, "127.0.0.1");`;

let sandbox: Sandbox;
const running: { kill: () => void; exited: Promise<number> }[] = [];

beforeAll(async () => {
  sandbox = await Sandbox.create();
  for (const branch of ["one", "two"]) {
    await sandbox.ok(["run", branch, "-d"]);
    await sandbox.ok(["exec", "-d", branch, "node", "-e", server]);
  }
});

afterAll(async () => {
  for (const one of running) {
    one.kill();
    await one.exited;
  }
  await sandbox[Symbol.asyncDispose]();
});

interface Ports {
  ports: { port: number; address: string; forwarded: number[] }[];
}

const portsOf = async (branch: string): Promise<Ports["ports"]> =>
  (JSON.parse(await sandbox.ok(["ports", branch, "--json"])) as Ports).ports;

/** Forwards a port until the end of the tests; gives the port of this machine. */
async function forward(branch: string, ...options: string[]) {
  const child = Bun.spawn([binary, "forward", branch, "3000", "--json", ...options], {
    cwd: sandbox.repo,
    env: sandbox.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.push(child);
  const reader = child.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`hjk forward ended: ${await new Response(child.stderr).text()}`);
    text += new TextDecoder().decode(value);
  }
  return { child, hostPort: (JSON.parse(text) as { hostPort: number }).hostPort };
}

/** What runs in the first instance. */
const processes = async (): Promise<string> =>
  (await sandbox.inside("one", ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])).stdout;

const answers = async (url: string): Promise<boolean> =>
  await fetch(url).then(
    () => true,
    () => false,
  );

test("two instances have a server on the same port, and each is reached by a port of its own", async () => {
  for (const branch of ["one", "two"]) {
    const listens = async (): Promise<boolean> => (await portsOf(branch)).some(({ port }) => port === 3000);
    await eventually(listens, `something listens in ${branch}`);
  }
  const [one, two] = [await forward("one"), await forward("two")];
  expect(one.hostPort).not.toBe(two.hostPort);
  expect(await (await fetch(`http://127.0.0.1:${one.hostPort}/`)).text()).toBe("this is one");
  expect(await (await fetch(`http://127.0.0.1:${two.hostPort}/`)).text()).toBe("this is two");
  const seen = (await portsOf("one")).find(({ port }) => port === 3000);
  expect(seen).toEqual({ port: 3000, address: "loopback", forwarded: [one.hostPort] });

  one.child.kill("SIGINT");
  expect(await one.child.exited).toBe(130);
  expect((await portsOf("one")).find(({ port }) => port === 3000)?.forwarded).toEqual([]);
  expect(await answers(`http://127.0.0.1:${one.hostPort}/`)).toBe(false);
});

test("carries large answers whole, several at once, and leaves nothing behind", async () => {
  const { hostPort } = await forward("one");
  const closing = { headers: { connection: "close" } };
  const expected = Buffer.alloc(megabytes * 1024 * 1024, "0123456789abcdef-");
  const all = await Promise.all(
    [1, 2, 3].map(async () => await (await fetch(`http://127.0.0.1:${hostPort}/big`, closing)).arrayBuffer()),
  );
  for (const got of all) expect(expected.equals(new Uint8Array(got))).toBe(true);
  // One that is given up halfway, too.
  const giveUp = new AbortController();
  const half = await fetch(`http://127.0.0.1:${hostPort}/big`, { ...closing, signal: giveUp.signal });
  await half.body?.getReader().read();
  giveUp.abort();
  await eventually(async () => !(await processes()).includes("/dev/tcp"), "the relays inside have ended");
});

test("carries a WebSocket", async () => {
  const { hostPort } = await forward("two");
  const socket = new WebSocket(`ws://127.0.0.1:${hostPort}/`);
  const answers: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<undefined>();
  socket.addEventListener("open", () => socket.send("first"));
  socket.addEventListener("message", ({ data }) => {
    answers.push(data);
    if (answers.length === 1) socket.send("second");
    else resolve(undefined);
  });
  await promise;
  expect(answers).toEqual(["first", "second"]);
  socket.close();
});

test("only this machine reaches it: no instance, and nobody from outside", async () => {
  const { hostPort } = await forward("two");
  const [address] = Object.values(networkInterfaces())
    .flatMap((all = []) => all)
    .filter(({ family, internal }) => family === "IPv4" && !internal);
  const asks = (host: string): string => `curl -s --max-time 3 --noproxy '*' http://${host}:${hostPort}/`;
  expect(await runProgram(["sh", "-c", asks("127.0.0.1")])).toMatchObject({ code: 0, stdout: "this is two" });
  expect((await runProgram(["sh", "-c", asks(address?.address ?? "")])).code).not.toBe(0);
  for (const host of ["127.0.0.1", address?.address ?? ""])
    expect((await sandbox.inside("one", ["sh", "-c", asks(host)])).code).not.toBe(0);
});

test("a port that is taken is refused, and where nothing listens it says so", async () => {
  const taken = await forward("one");
  const refused = await sandbox.hjk(["forward", "two", "3000", "--port", String(taken.hostPort)]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`Port ${taken.hostPort} of this machine cannot be had`);
  expect(await sandbox.hjk(["forward", "two", "70000"])).toMatchObject({ code: 2 });

  const child = Bun.spawn([binary, "forward", "two", "4000", "--json"], {
    cwd: sandbox.repo,
    env: sandbox.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { value } = await child.stdout.getReader().read();
  const { hostPort } = JSON.parse(new TextDecoder().decode(value)) as { hostPort: number };
  expect(await answers(`http://127.0.0.1:${hostPort}/`)).toBe(false);
  child.kill("SIGINT");
  expect(await new Response(child.stderr).text()).toContain("came to nothing");
});
