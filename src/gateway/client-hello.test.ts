import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readClientHello } from "./client-hello.ts";

const folder = join(import.meta.dir, "../../test/fuzz/corpus/client-hello");

function sample(name: string): Buffer {
  return Buffer.from(readFileSync(join(folder, name), "utf8").replaceAll(/\s/g, ""), "hex");
}

/** What real clients sent; the file's name begins with the client's. */
const names: Record<string, string> = {
  "bun.hex": "registry.example.org",
  "curl.hex": "registry.example.org",
  "node.hex": "registry.example.org",
  "node-tls12.hex": "api.example.org",
  "python.hex": "pypi.example.org",
};

test("the name in a real ClientHello is found, and not before all of it is there", () => {
  for (const [file, name] of Object.entries(names)) {
    const bytes = sample(file);
    expect([file, readClientHello(bytes)]).toEqual([file, { kind: "name", name }]);
    expect(readClientHello(Buffer.concat([bytes, Buffer.from("anything")]))).toEqual({ kind: "name", name });
    for (let length = 0; length < bytes.length; length++)
      expect(readClientHello(bytes.subarray(0, length)).kind).toBe("more");
  }
  expect(readClientHello(sample("no-name.hex"))).toEqual({ kind: "refused", why: "no-sni" });
  expect(readdirSync(folder)).toEqual(expect.arrayContaining([...Object.keys(names), "no-name.hex"]));
});

test("a length that does not fit is no ClientHello", () => {
  const bytes = sample("node.hex");
  const at = bytes.indexOf("registry.example.org");
  // Of the name, of the list of names, of the extension, of all extensions.
  for (const place of [at - 1, at - 4, at - 6]) {
    for (const change of [-1, 1]) {
      const changed = Buffer.from(bytes);
      changed[place] = (changed[place] ?? 0) + change;
      expect([place - at, change, readClientHello(changed).kind]).toEqual([place - at, change, "refused"]);
    }
  }
});
