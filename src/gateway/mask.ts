import { Transform } from "node:stream";

/*
 * Keeps an injected credential from coming back, from a server that repeats a request's headers in its answer. What is masked is
 * the exact value, in headers and in the body, also across chunks. A server that encodes it (base64, reversed, one
 * character a line) gives it away all the same: only send credentials to servers that may know them.
 */

/** Names of headers that hold a credential. */
export const credentialHeader =
  /authori[sz]ation|(?:^|-)(?:auth|token|secret|credentials?|cookie2?|api-?key)(?:-|$)|^x-goog-(?:iam|user-project)/;

/**
 * Values in injected headers that must not come back: the whole value, and what follows `Bearer `. What is shorter
 * than any real key may be a word that a model says.
 */
export function secretsOf(headers: Record<string, string>): string[] {
  return Object.entries(headers)
    .filter(([name]) => credentialHeader.test(name))
    .flatMap(([, value]) => [value, value.replace(/^\S+ +/, "")])
    .filter((secret, index, all) => secret.length >= 12 && all.indexOf(secret) === index);
}

/** Replaces secrets by asterisks, byte for byte. Holds nothing back unless a chunk ends like a secret begins. */
export function mask(secrets: string[]): Transform {
  const needles = secrets.map((secret) => Buffer.from(secret, "latin1"));
  let held = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const bytes = Buffer.concat([held, chunk]);
      for (const needle of needles)
        for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at + needle.length))
          bytes.fill("*", at, at + needle.length);
      const keep = Math.max(0, ...needles.map((needle) => begun(bytes, needle)));
      held = bytes.subarray(bytes.length - keep);
      done(null, bytes.subarray(0, bytes.length - keep));
    },
    flush(done) {
      done(null, held);
    },
  });
}

/** How many bytes at the end are the beginning of the needle. */
function begun(bytes: Buffer, needle: Buffer): number {
  for (let length = Math.min(needle.length - 1, bytes.length); length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(needle.subarray(0, length))) return length;
  return 0;
}
