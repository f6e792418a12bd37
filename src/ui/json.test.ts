import { expect, test } from "bun:test";
import { cleanScreen } from "./clean.ts";
import { formatJson, formatJsonLine } from "./json.ts";

test.each([
  "plain",
  "größe 機能 🐼 \u{1f468}\u200d\u{1f4bb}",
  "\u001b[31mred\u001b[0m",
  "\u009b31mred\u009d0;title\u009c",
  "\u202eright\u2066to\u2069left",
  "a\nb\tc\r\u0000\u007f\u0085",
  "\u2028\u2029\ufeff\u200b\u{e0041}",
  "\ud800 alone",
])("%j is the same value, and the same text on a terminal", (text) => {
  const json = formatJson({ [text]: [text] });
  expect(JSON.parse(json)).toEqual({ [text]: [text] });
  expect(cleanScreen(json)).toBe(json);
});

test("is laid out for people too", () => {
  expect(formatJson({ a: [1] })).toBe('{\n  "a": [\n    1\n  ]\n}');
});

test("one line stays one, whatever is in it", () => {
  const value = { text: "a\nb\u001b[2J\u2028\u202e" };
  expect(formatJsonLine(value)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(formatJsonLine(value))).toEqual(value);
});
