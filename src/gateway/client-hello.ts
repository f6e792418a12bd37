/*
 * Which host a TLS client asks for, read from the first bytes that it sends (RFC 8446, RFC 6066). The name inside an encrypted
 * ClientHello (ECH) stays unseen, as does the Host header inside TLS: both lead at most to another tenant of the same
 * server, and only opening TLS would show them.
 */

/** `more`: not complete yet. `refused`: not a ClientHello that asks for exactly one host. */
export type ClientHello =
  | { kind: "more" }
  | { kind: "name"; name: string }
  | { kind: "refused"; why: "not-tls" | "no-sni" };

/** Real ones have up to 2 KB, with post-quantum keys; a server takes no message that is much longer. */
export const longestHello = 16 * 1024;

const more: ClientHello = { kind: "more" };
const notTls: ClientHello = { kind: "refused", why: "not-tls" };
const noName: ClientHello = { kind: "refused", why: "no-sni" };

/** Reads all bytes received so far. Those after the ClientHello do not matter. */
export function readClientHello(bytes: Uint8Array): ClientHello {
  const hello = handshake(bytes);
  if (!(hello instanceof Uint8Array)) return hello;
  const name = serverName(new Reader(hello));
  if (name === undefined) return notTls;
  return name === "" ? noName : { kind: "name", name };
}

/** The ClientHello without its headers. It may be spread over several records. */
function handshake(bytes: Uint8Array): Uint8Array | ClientHello {
  const message = new Uint8Array(Math.min(bytes.length, longestHello));
  let length = 0;
  let at = 0;
  while (at < bytes.length) {
    // Whatever is there is checked at once, so that nothing more is awaited of another protocol.
    const [type, major = 3] = bytes.subarray(at, at + 2);
    if (type !== 22 || major !== 3) return notTls;
    if (bytes.length < at + 5) break;
    const size = number(bytes, at + 3, 2);
    if (size === 0 || at + 5 + size > longestHello) return notTls;
    const part = bytes.subarray(at + 5, at + 5 + size);
    message.set(part, length);
    length += part.length;
    at += 5 + size;
    if (length > 0 && message[0] !== 1) return notTls;
    if (length < 4) continue;
    const end = 4 + number(message, 1, 3);
    if (end > longestHello) return notTls;
    if (length >= end) return message.subarray(4, end);
  }
  return more;
}

/** The one host that is asked for, in lower case; empty if none, undefined if the message is malformed. */
function serverName(hello: Reader): string | undefined {
  hello.skip(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  if (hello.isAtEnd) return hello.isBroken ? undefined : "";
  const extensions = hello.vector(2);
  if (!hello.isAtEnd) return undefined;
  let name = "";
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type !== 0 || extensions.isBroken) continue;
    const names = body.vector(2);
    const kind = names.number(1);
    const host = names.vector(2);
    // Two names, in one extension or in two: which of them counts would be up to the server.
    if (kind !== 0 || !names.isAtEnd || !body.isAtEnd || name !== "") return undefined;
    name = host.text().toLowerCase();
    if (name === "" || names.isBroken || body.isBroken) return undefined;
  }
  return extensions.isBroken || hello.isBroken ? undefined : name;
}

/** Reads numbers and vectors. Reading past the end yields nothing and is remembered. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  isBroken = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  skip(count: number): void {
    if (this.#at + count > this.#bytes.length) this.isBroken = true;
    this.#at = Math.min(this.#at + count, this.#bytes.length);
  }

  number(size: number): number {
    const start = this.#at;
    this.skip(size);
    return this.isBroken ? 0 : number(this.#bytes, start, size);
  }

  /** What follows a length of so many bytes. */
  vector(size: number): Reader {
    const length = this.number(size);
    const start = this.#at;
    this.skip(length);
    return new Reader(this.#bytes.subarray(start, this.#at));
  }

  /** All of it; no name that can be asked for has characters beyond ASCII. */
  text(): string {
    return this.#bytes.every((byte) => byte > 0x20 && byte < 0x7f) ? String.fromCharCode(...this.#bytes) : "";
  }
}

function number(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = at; index < at + size; index++) value = value * 256 + (bytes[index] ?? 0);
  return value;
}
