import { expect, test } from "bun:test";
import { size } from "./size.ts";

test("a number of bytes is short, and never less than nothing", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [1, "1 kB"],
    [4096, "5 kB"],
    [999_400, "1.0 MB"],
    [1_234_567, "1.2 MB"],
    [9_960_000, "10 MB"],
    [999_600_000, "1.0 GB"],
    [123_000_000_000, "123 GB"],
    [5e15, "5000 TB"],
  ];
  for (const [bytes, text] of cases) expect(size(bytes)).toBe(text);
});
