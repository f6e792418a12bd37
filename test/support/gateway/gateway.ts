import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GatewayConfiguration } from "../../../src/gateway/config.ts";

/** Waits until something is true; looks more often than the harness does, since hundreds of connections are made. */
export async function eventually(check: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await Bun.sleep(5))
    if (check()) return;
  throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
}

/** For the servers of tests: of ok.test, *.wild.test, lan.test and localhost; their key is no secret. */
export const certificate = readFileSync(join(import.meta.dir, "certificate.pem"), "utf8");
export const key = readFileSync(join(import.meta.dir, "key.pem"), "utf8");

/** Where names and addresses lead. */
export interface World {
  /** Answers to each question for a name in turn, the last one for ever. */
  names?: Record<string, string[][]>;
  /** `address port`, and the port of this machine that it is. */
  places?: Record<string, number>;
  /** Addresses that the gateway takes for its own. */
  own?: string[];
}

/** The gateway under the machine's Node, as a process of its own. */
export class TestGateway implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #folder: string;
  /** All that it has said. */
  output = "";
  errors = "";

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "pipe">, folder: string) {
    this.#child = child;
    this.#folder = folder;
    void (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) this.output += decoder.decode(chunk, { stream: true });
    })();
    void (async () => {
      for await (const chunk of child.stderr) this.errors += new TextDecoder().decode(chunk);
    })();
  }

  static async start(world: World = {}, env: Record<string, string> = {}): Promise<TestGateway> {
    const folder = await mkdtemp(join(tmpdir(), "hjk-gateway-"));
    const made = await Bun.build({
      entrypoints: [join(import.meta.dir, "server.ts")],
      target: "node",
      format: "cjs",
    });
    const file = join(folder, "server.cjs");
    await Bun.write(file, (await made.outputs[0]?.text()) ?? "");
    const full = { names: {}, places: {}, own: [], ...world };
    const child = Bun.spawn(["node", file, JSON.stringify(full)], {
      env: { PATH: process.env["PATH"], ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const gateway = new TestGateway(child, folder);
    await eventually(() => gateway.lines.some((line) => line["ports"] !== undefined), "the gateway listens");
    return gateway;
  }

  get lines(): Record<string, unknown>[] {
    return this.output
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get ports(): { proxy: number; api: number } {
    return this.lines.find((line) => line["ports"] !== undefined)?.["ports"] as {
      proxy: number;
      api: number;
    };
  }

  /** Lines of one kind. */
  events(event: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line["event"] === event);
  }

  /** Sends a line and gives back what is said to it. */
  async send(line: string): Promise<Record<string, unknown>> {
    const answers = (): Record<string, unknown>[] => [
      ...this.events("configured"),
      ...this.events("refused"),
    ];
    const before = this.lines.length;
    const count = answers().length;
    void this.#child.stdin.write(`${line}\n`);
    await this.#child.stdin.flush();
    await eventually(() => answers().length > count, "an answer to the line");
    return (
      this.lines
        .slice(before)
        .find((line) => line["event"] === "configured" || line["event"] === "refused") ?? {}
    );
  }

  async configure(change: Partial<GatewayConfiguration> = {}): Promise<void> {
    const answer = await this.send(JSON.stringify(configuration(change)));
    if (answer["event"] !== "configured") throw new Error(`refused: ${String(answer["reason"])}`);
  }

  /** Closes its standard input, as when the configuring client goes. */
  async endInput(): Promise<void> {
    await this.#child.stdin.end();
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks it to stop; its exit code. */
  async stop(): Promise<number> {
    this.#child.kill("SIGTERM");
    return await this.#child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    await rm(this.#folder, { recursive: true });
  }
}

/** A token as instances have. */
export const token = "instance-token-0123456789";

/** A configuration that lets nothing through, changed. */
export function configuration(change: Partial<GatewayConfiguration> = {}): GatewayConfiguration {
  return {
    id: "test",
    token,
    allow: [],
    apis: {},
    limits: { requestsPerMinute: 1000, bodyBytes: 1_000_000, connections: 100 },
    ...change,
  };
}

/** A connection whose bytes are gathered. */
export class Raw {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    this.socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on("error", () => {});
    this.socket.on("end", () => this.socket.end());
    this.socket.on("close", () => {
      this.isClosed = true;
    });
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    return this;
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  /** The status of the first answer; 0 if it was closed without one. */
  async status(): Promise<number> {
    await eventually(() => this.isClosed || this.text.includes("\r\n\r\n"), "an answer");
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1] ?? 0);
  }

  async closed(): Promise<void> {
    await eventually(() => this.isClosed, "the connection is closed");
  }
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function vector(bytes: Buffer): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([u16(type), vector(body)]);
}

/** A ClientHello; `extra` bytes of padding make it long, `greased` adds values that servers must skip. */
export function clientHello(
  name: string | undefined,
  options: { extra?: number; greased?: boolean; names?: string[] } = {},
): Buffer {
  const names = options.names ?? (name === undefined ? [] : [name]);
  const entries = names.map((one) => Buffer.concat([Buffer.from([0]), vector(Buffer.from(one, "latin1"))]));
  const extensions = Buffer.concat([
    ...(options.greased === true ? [extension(0x0a0a, Buffer.alloc(0))] : []),
    ...(names.length === 0 ? [] : [extension(0, vector(Buffer.concat(entries)))]),
    extension(21, Buffer.alloc(options.extra ?? 0)),
    ...(options.greased === true ? [extension(0xfafa, Buffer.from([0]))] : []),
  ]);
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    vector(Buffer.concat([...(options.greased === true ? [u16(0x1a1a)] : []), u16(0x1301)])),
    Buffer.from([1, 0]),
    vector(extensions),
  ]);
  const message = Buffer.concat([Buffer.from([1, 0]), vector(body)]);
  return records(message);
}

/** A handshake message in records of so many bytes. */
export function records(message: Buffer, size = 16_000): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(parts);
}
