import { expect, test } from "bun:test";
import { DiffText } from "./diff.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function shown(text: string, colour = false): string {
  const diff = new DiffText({ colour });
  // Byte by byte, as a pipe may cut it anywhere.
  return [...bytes(text)].map((byte) => diff.write(Uint8Array.of(byte))).join("") + diff.end();
}

const header = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n";

test("text stays as it is, tabs and other scripts too", () => {
  const text = `${header}-\told\n+\tneu: größer, 日本\n`;
  expect(shown(text)).toBe(text);
});

test("colours of the content go, and ours come by git's own lines only", () => {
  const text = `${header}--- a/good\n+\u001B[8mhidden\u001B[0m\n same\n`;
  expect(shown(text, true).split("\n").slice(4)).toEqual([
    "\u001B[31m--- a/good\u001B[m",
    "\u001B[32m+hidden\u001B[m",
    " same",
    "",
  ]);
});

test("a line stays one line, whatever is in it", () => {
  expect(shown(`${header}+a\rdiff --git a/b b/b\u2028+c\u0085d\n`).split("\n").slice(4)).toEqual([
    "+a\uFFFDdiff --git a/b b/b\uFFFD+c\uFFFDd",
    "",
  ]);
  expect(shown(`${header}+dos\r\n`).split("\n").slice(4)).toEqual(["+dos", ""]);
});
