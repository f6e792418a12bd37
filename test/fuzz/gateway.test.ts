import { expect, test } from "bun:test";
import { isIP } from "node:net";
import { addressKind } from "../../src/gateway/addresses.ts";
import { readClientHello } from "../../src/gateway/client-hello.ts";
import { ConfigurationError, parseConfiguration } from "../../src/gateway/config.ts";
import { plain } from "../../src/gateway/log.ts";
import { carriesCredential, parseAbsolute, parseApiTarget, parseAuthority } from "../../src/gateway/rules.ts";
import { corpus, fuzz } from "./fuzz.ts";

/* What an agent can send to the gateway. Beside not failing, each parser must agree with another reading of the same text. */

test("a ClientHello means the same in whatever pieces it comes", () => {
  const count = fuzz(corpus("client-hello"), (input, random) => {
    const whole = readClientHello(input);
    if (whole.kind === "name") expect(whole.name).toMatch(/^[\x21-\x40\x5b-\x7e]+$/);
    const part = readClientHello(input.subarray(0, random.below(input.length + 1)));
    // What is known of a part does not change with the rest, and a name is never taken back.
    if (part.kind !== "more") expect(whole).toEqual(part);
  });
  expect(count).toBeGreaterThan(100);
});

const words = [
  "%2e",
  "%2f",
  "..",
  "//",
  "@",
  ":443",
  "http://",
  "[::1]",
  "127.0.0.1",
  "\\",
  "?key=",
  "\u212A",
  "xn--",
];

test("a target that is taken leads where a URL of the same text leads", () => {
  fuzz(
    corpus("target"),
    (input) => {
      const target = input.toString("latin1");
      const authority = parseAuthority(target);
      if (authority !== undefined && isUrl(`https://${target}/`, authority.host)) {
        const url = new URL(`https://${target}/`);
        expect([url.hostname, Number(url.port || 443)]).toEqual([authority.host, authority.port]);
        expect(isIP(url.hostname)).toBe(0);
      }
      const absolute = parseAbsolute(target);
      if (absolute !== undefined && isUrl(target, absolute.host)) {
        const url = new URL(target);
        expect([url.hostname, Number(url.port || 80)]).toEqual([absolute.host, absolute.port]);
        expect(isIP(url.hostname)).toBe(0);
        expect(absolute.path).toMatch(/^\/[\x21-\x7e]*$/);
      }
      const api = parseApiTarget(target);
      if (api !== undefined) {
        const url = new URL(`http://x${target}`);
        expect(url.pathname).toBe(
          `/${api.name}${api.path.replaceAll('"', "%22").replaceAll(/[<>`{}^|]/g, (char) => encoded(url, char))}`,
        );
        if (url.searchParams.has("key")) expect(carriesCredential(api.query)).toBe(true);
      }
      expect(plain(target)).toMatch(/^[\x20-\x7e]{0,203}$/);
      expect(["public", "private", "never"]).toContain(addressKind(target));
    },
    { words },
  );
});

/** A URL also refuses international names that are spelled wrong; they lead nowhere. */
function isUrl(text: string, host: string): boolean {
  if (URL.canParse(text)) return true;
  expect(host).toContain("xn--");
  return false;
}

/** What a URL makes of a character in a path, which differs between its versions for a few. */
function encoded(url: URL, char: string): string {
  const escaped = `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return url.pathname.includes(escaped) ? escaped : char;
}

test("a configuration is taken whole or refused with a reason that quotes no value", () => {
  fuzz(
    corpus("configuration"),
    (input) => {
      let taken;
      try {
        taken = parseConfiguration(input.toString());
      } catch (error) {
        if (!(error instanceof ConfigurationError)) throw error;
        expect(error.message).not.toMatch(/SECRET|^cannot be read/);
        return;
      }
      expect(parseConfiguration(JSON.stringify(taken))).toEqual(taken);
    },
    { words: ["null", "[]", "{}", "__proto__", "constructor", "*", "all", "-1", "1e9", '"', "\\u0000"] },
  );
});
