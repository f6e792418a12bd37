import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { runProgram, Sandbox } from "../support/harness.ts";
import { gitIn, Instance } from "../support/workbench.ts";

/* A large repository costs little more than a small one: what is done in it, against the same in the sample project. */

const minute = 60_000;
const megabyte = 1024 * 1024;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

/** A repository with the commits of main that `git fast-import` is told to make; their ids, oldest first. */
async function imported(
  name: string,
  commits: Iterable<Uint8Array | string>,
): Promise<{ repo: string; oids: string[] }> {
  const repo = join(sandbox.folder, name);
  await gitIn(sandbox, "/", "init", "--quiet", repo);
  const marks = join(sandbox.folder, `${name}.marks`);
  const git = ["git", "-c", "core.compression=0", "fast-import", "--quiet", `--export-marks=${marks}`];
  const child = Bun.spawn(git, { cwd: repo, env: sandbox.env, stdin: "pipe" });
  let waiting = 0;
  for (const part of commits) {
    waiting += part.length;
    void child.stdin.write(part);
    if (waiting < megabyte) continue;
    await child.stdin.flush();
    waiting = 0;
  }
  await child.stdin.end();
  if ((await child.exited) !== 0) throw new Error("git fast-import failed");
  await gitIn(sandbox, repo, "reset", "--quiet", "--hard", "main");
  const lines = (await readFile(marks, "utf8")).trim().split("\n");
  const numbered = lines.map((line): [number, string] => {
    const [mark = "", oid = ""] = line.split(" ");
    return [Number(mark.slice(1)), oid];
  });
  return { repo, oids: numbered.toSorted(([a], [b]) => a - b).map(([, oid]) => oid) };
}

/** What makes a commit on main that changes one file. */
function* commitOf(number: number, file: string, content: Uint8Array): Generator<Uint8Array | string> {
  const from = number === 1 ? "" : `from :${number - 1}\n`;
  yield `commit refs/heads/main\nmark :${number}\ncommitter A <a@example.com> ${1_700_000_000 + number} +0000\n`;
  yield `data 1\nx\n${from}M 100644 inline ${file}\ndata ${content.length}\n`;
  yield content;
  yield "\n";
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

const sum = (numbers: number[]): number => numbers.reduce((all, one) => all + one, 0);
const median = (numbers: number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

test(
  "50,000 refs: an instance is made, its commits come home, it is removed and brought back",
  async () => {
    const text = new TextEncoder();
    const count = 50_000;
    const { repo, oids } = await imported(
      "many-refs",
      (function* () {
        for (let i = 1; i <= count; i += 1) yield* commitOf(i, `f${i % 50}`, text.encode(`${i}`));
      })(),
    );
    // Each at a commit of its own; as many branches before ours as git is told of at once, and more.
    const refs = oids.map((oid, i) => {
      const name = i < 5000 ? `heads/a/${i}` : i % 2 === 0 ? `remotes/origin/t/${i}` : `tags/v${i}`;
      return `${oid} refs/${name}\n`;
    });
    await writeFile(join(repo, ".git", "packed-refs"), refs.join(""));
    const before = await gitIn(sandbox, repo, "for-each-ref", "refs/heads/a", "refs/tags", "refs/remotes");
    expect(before.split("\n").length).toBe(count);

    const life = async (where: string): Promise<number[]> => {
      const times: number[] = [];
      const step = async (work: () => Promise<unknown>): Promise<void> => {
        times.push(await timeOf(work));
      };
      let instance: Instance | undefined;
      await step(async () => {
        instance = await Instance.make(sandbox, "feat/x", { repo: where });
      });
      if (instance === undefined) throw new Error("no instance");
      const made = instance;
      const tip = await made.commit("small.txt");
      await step(() => sandbox.ok(["ps"], { cwd: where }));
      expect(await made.at()).toBe(tip);
      expect((await made.hjk("rm")).stderr).not.toContain("lose");
      await made.inside("echo untracked > untracked.txt");
      await step(async () => {
        const asked = await made.hjk("rm");
        expect(asked.stderr).toContain("This stays as snapshot 1");
        expect(asked.stderr).not.toContain("lose");
      });
      await step(() => made.remove());
      await step(() => sandbox.ok(["undo"], { cwd: where }));
      expect(await made.inside("cat untracked.txt")).toBe("untracked");
      await made.remove();
      return times;
    };
    const small = await life(sandbox.repo);
    const large = await life(repo);
    expect(await gitIn(sandbox, repo, "for-each-ref", "refs/heads/a", "refs/tags", "refs/remotes")).toBe(
      before,
    );
    expect(sum(large) / sum(small)).toBeLessThan(12);
  },
  5 * minute,
);

test(
  "300 MB: a small commit comes home as it does in a small repository",
  async () => {
    const { repo } = await imported(
      "many-bytes",
      (function* () {
        for (let i = 1; i <= 30; i += 1) yield* commitOf(i, "big.bin", randomBytes(10 * megabyte));
      })(),
    );
    const size = await runProgram(["du", "-sm", join(repo, ".git")]);
    expect(Number.parseInt(size.stdout, 10)).toBeGreaterThan(290);
    const small = await Instance.make(sandbox, "feat/small");
    const large = await Instance.make(sandbox, "feat/large", { repo });
    const times = new Map<Instance, number[]>();
    for (let round = 0; round < 5; round += 1) {
      for (const one of [small, large]) {
        const tip = await one.commit(`file-${round}.txt`);
        const time = await timeOf(() => sandbox.ok(["ps"], { cwd: one.repo }));
        expect(await one.at()).toBe(tip);
        times.set(one, [...(times.get(one) ?? []), time]);
      }
    }
    expect(median(times.get(large) ?? []) / median(times.get(small) ?? [])).toBeLessThan(3);
    // It has none of what was there before, but for the one file that is checked out, at most.
    const own = await large.inside("du -sm /hjk/git | cut -f1");
    expect(Number(own)).toBeLessThan(30);
    await small.remove();
    await large.remove();
  },
  3 * minute,
);
