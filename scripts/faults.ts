// npm run bench:faults: is anything lost when a command is killed at any of its steps, and is it healed?
//   -- NAME ...   only these commands, as "rm" or "merge --squash"
//   -- --write    also writes the table to docs/reliability.md
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../src/errors.ts";
import { buildWithFaults } from "../test/support/faults/build.ts";
import { commands } from "../test/support/faults/commands.ts";
import { tryAll, type Tried } from "../test/support/faults/suite.ts";
import { root } from "../test/support/harness.ts";

const say = (text: string): void => void process.stderr.write(`==> ${text}\n`);

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const names = words.filter((word) => word !== "--write");
  const chosen = commands.filter(({ name }) => names.length === 0 || names.includes(name));
  const folder = await mkdtemp(join(tmpdir(), "hjk-faults-"));
  try {
    await buildWithFaults(join(folder, "hjk"));
    const answers = tryAll(join(folder, "hjk"), chosen, (points) => points);
    const results: Tried[] = [];
    for (const [index, answer] of answers.entries()) {
      const tried = await answer.catch((error: unknown): Tried => ({
        name: chosen[index]?.name ?? "",
        steps: 0,
        points: 0,
        lost: [messageOf(error)],
      }));
      say(`${tried.name}: ${tried.steps} steps, ${tried.points} points, ${tried.lost.length} lost`);
      for (const lost of tried.lost) process.stdout.write(`    ${lost}\n`);
      results.push(tried);
    }
    if (results.some(({ lost }) => lost.length > 0)) process.exitCode = 1;
    if (words.includes("--write")) await write(results);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const row = (name: string, steps: number, points: number, lost: number): string =>
  `| ${name} | ${steps} | ${points} | ${lost} |`;

async function write(results: Tried[]): Promise<void> {
  const sum = (of: (tried: Tried) => number): number => results.reduce((all, tried) => all + of(tried), 0);
  const table = [
    "| Command | Steps | Points tried | Lost |",
    "| --- | ---: | ---: | ---: |",
    ...results.map(({ name, steps, points, lost }) => row(name, steps, points, lost.length)),
    row(
      "all",
      sum(({ steps }) => steps),
      sum(({ points }) => points),
      sum(({ lost }) => lost.length),
    ),
  ].join("\n");
  const file = join(root, "docs", "reliability.md");
  const text = await readFile(file, "utf8");
  await writeFile(
    file,
    text.replace(/^\| Command [\s\S]*?\n\n/m, () => `${table}\n\n`),
  );
  say("Wrote docs/reliability.md; npm run format makes the table even");
}

await main();
