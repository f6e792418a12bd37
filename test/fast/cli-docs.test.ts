import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cliDocs } from "../../scripts/cli-docs.ts";

test("docs/cli.md says what the commands say (otherwise: npm run docs:cli)", async () => {
  const page = await readFile(join(import.meta.dir, "..", "..", "docs", "cli.md"), "utf8");
  expect(page).toBe(await cliDocs());
});

test("every exit code and every agent is on the page", async () => {
  const text = await cliDocs();
  for (const wanted of ["`0`", "`1`", "`2`", "`3`", "`4`", "`5`", "`130`", "HEADJACK_CLAUDE_BASE_URL"]) {
    expect(text).toContain(wanted);
  }
});
