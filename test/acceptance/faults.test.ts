import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWithFaults } from "../support/faults/build.ts";
import { commands } from "../support/faults/commands.ts";
import { onePerStep, tryAll, type Tried } from "../support/faults/suite.ts";
import { binary, runProgram } from "../support/harness.ts";

/* Nothing is lost, whatever dies and whenever, and the next command heals. */

const minute = 60_000;

let folder: string;
let faulty: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hjk-faults-"));
  faulty = join(folder, "hjk");
  await buildWithFaults(faulty);
}, minute);
afterAll(async () => await rm(folder, { recursive: true }));

test("the hjk that is killed is the one that users get, and dies where it is told", async () => {
  for (const args of [["--version"], ["--help"], ["nonsense"], ["config", "--list"]]) {
    const env = { ...process.env, HEADJACK_HOME: join(folder, "home") };
    expect(await runProgram([faulty, ...args], { env })).toEqual(
      await runProgram([binary, ...args], { env }),
    );
  }
  const env = { ...process.env, HEADJACK_HOME: join(folder, "other"), HJK_FAULT_AT: "1" };
  expect((await runProgram([faulty, "ps"], { env })).code).toBe(137);
});

// All points are tried by `npm run bench:faults`.
describe("kill -9 at a step", () => {
  let tried: Map<string, Promise<Tried>>;
  beforeAll(() => {
    const answers = tryAll(faulty, commands, onePerStep);
    for (const answer of answers) answer.catch(() => undefined);
    tried = new Map(
      commands.map(({ name }, index) => [name, answers[index] ?? Promise.reject(new Error(name))]),
    );
  });

  test.each(commands.map(({ name }) => name))(
    "%s",
    async (name) => {
      const { points, lost } = (await tried.get(name)) ?? { points: 0, lost: [] };
      expect(lost).toEqual([]);
      expect(points).toBeGreaterThan(0);
    },
    20 * minute,
  );
});
