import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../support/harness.ts";

/* The table of docs/security.md says of each attack what came of it; this sees to it that somebody has tried. */

async function tests(): Promise<string[]> {
  const found = await Promise.all(
    ["src", "test"].map(async (folder) =>
      (await readdir(join(root, folder), { recursive: true }))
        .filter((name) => name.endsWith(".test.ts"))
        .map((name) => join(root, folder, name)),
    ),
  );
  return found.flat().filter((file) => file !== import.meta.path);
}

test("every attack has a row, and what is said to be held is tried where the row says", async () => {
  const page = await readFile(join(root, "docs", "security.md"), "utf8");
  const rows = [...page.matchAll(/^\| (\d+)\. [^|]+ \| ([^|]+?) +\| ([^|]+?) +\|$/gm)];
  expect(rows.map(([, number]) => Number(number))).toEqual(
    Array.from({ length: 45 }, (_, index) => index + 1),
  );
  const files = await tests();
  for (const [, number, where = "", result = ""] of rows) {
    if (where === "-") {
      expect([number, result]).toEqual([
        number,
        expect.stringMatching(/^(\*\*not held\*\*|not applicable): /),
      ]);
      continue;
    }
    for (const name of where.split(", ")) {
      const named = new RegExp(`"(?:attack \\d+, )*attack ${number}\\b`);
      const paths = files.filter((path) => path.endsWith(`/${name}.ts`));
      const texts = await Promise.all(paths.map((path) => readFile(path, "utf8")));
      expect([number, name, texts.some((text) => named.test(text))]).toEqual([number, name, true]);
    }
  }
});
