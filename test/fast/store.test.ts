import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { instance } from "../../src/core/testing.ts";
import { Store } from "../../src/store/store.ts";
import { root } from "../support/harness.ts";

/* Many commands at one store at the same moment, each a process of its own. */

const crowd = 20;

let parent: string;
let folder: string;
let database: string;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "hjk-store-"));
});
afterAll(async () => await rm(parent, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(parent, "case-"));
  database = join(folder, "data", "headjack.db");
});

function worker(task: string, name = ""): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const script = join(root, "test", "support", "store-worker.ts");
  return Bun.spawn(
    [process.execPath, "--config=/dev/null", "--no-env-file", script, task, database, folder, name],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
}

/** Runs one task in many processes; what each printed. */
async function all(task: string): Promise<string[]> {
  const children = Array.from({ length: crowd }, (_, index) => worker(task, `w${index}`));
  await Bun.write(join(folder, "go"), "");
  return await Promise.all(
    children.map(async (child) => {
      const [stdout, stderr, code] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    }),
  );
}

test("twenty that find no database make one, together", async () => {
  const ids = await all("open");
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(new Store(database).integrity()).toBe("ok");
}, 30_000);

test("twenty that read, change and write under the lock lose nothing; without it they do", async () => {
  const count = join(folder, "count");
  await Bun.write(count, "0");
  await all("locked");
  expect(await Bun.file(count).text()).toBe(String(crowd * 10));
  await Bun.write(count, "0");
  await all("unlocked");
  expect(Number(await Bun.file(count).text())).toBeLessThan(crowd * 10);
}, 30_000);

test("twenty that write at once all succeed, and every row is there", async () => {
  await all("write");
  const store = new Store(database);
  expect(store.repos()).toHaveLength(crowd * 50 + 1);
  expect(store.integrity()).toBe("ok");
}, 30_000);

test("the lock of a process that was killed is free, that of a living one is not", async () => {
  const holder = worker("hold");
  const { value } = await holder.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("held");
  const store = new Store(database);
  expect(store.isLocked("x")).toBe(true);
  const given = new AbortController();
  let waited = false;
  const refused = store.withLock("x", () => Promise.resolve("entered"), {
    signal: given.signal,
    onWait: () => {
      waited = true;
      given.abort();
    },
  });
  expect(await refused.catch(String)).toContain("AbortError");
  expect(waited).toBe(true);

  holder.kill("SIGKILL");
  await holder.exited;
  expect(store.isLocked("x")).toBe(false);
  expect(await store.withLock("x", () => Promise.resolve("entered"))).toBe("entered");
  expect(store.isLocked("x")).toBe(false);
});

test("a lock is free again when the work in it failed, and inside one process it excludes too", async () => {
  const store = new Store(database);
  expect(await store.withLock("x", () => Promise.reject(new Error("broken"))).catch(String)).toContain(
    "broken",
  );
  const order: string[] = [];
  await Promise.all(
    ["a", "b", "c"].map((name) =>
      store.withLock("x", async () => {
        order.push(`${name} in`);
        await Bun.sleep(5);
        order.push(`${name} out`);
      }),
    ),
  );
  for (let index = 0; index < order.length; index += 2) {
    expect(order[index + 1]).toBe(order[index]?.replace("in", "out") ?? "");
  }
});

test("a process number that another program has now does not keep a lock", async () => {
  const store = new Store(database);
  const raw = new (await import("bun:sqlite")).Database(database);
  // This process lives, but did not start at clock tick 1.
  raw.run("INSERT INTO locks (name, pid, started) VALUES ('x', ?, '1')", [process.ppid]);
  expect(store.isLocked("x")).toBe(false);
  expect(await store.withLock("x", () => Promise.resolve("entered"))).toBe("entered");
});

test("a store of a newer version is refused and not touched", async () => {
  new Store(database).close();
  const { Database } = await import("bun:sqlite");
  const raw = new Database(database);
  raw.run("PRAGMA user_version = 99");
  raw.close();
  expect(() => new Store(database)).toThrow(/newer version of Headjack \(schema 99\)/);
  const after = new Database(database);
  expect(after.query("PRAGMA user_version").get()).toEqual({ user_version: 99 });
});

test("forecasts go with the last instance of their repository, and none come after it", () => {
  const store = new Store(database);
  const { repoId } = instance;
  const forecast = { repoId, ours: "a", theirs: "b", oursOnly: 1, theirsOnly: 1, conflicts: 0, files: [] };
  store.saveRepo({ id: repoId, gitDir: "/repo/.git", name: "repo" });
  for (const id of ["aaaaaa", "bbbbbb"]) store.addInstance({ ...instance, id, branch: id });
  store.saveForecasts(repoId, [forecast], ["a", "b"]);
  store.removeInstance("aaaaaa");
  expect(store.forecasts(repoId)).toEqual([forecast]);
  store.removeInstance("bbbbbb");
  expect(store.forecasts(repoId)).toEqual([]);
  store.saveForecasts(repoId, [forecast], ["a", "b"]);
  expect(store.forecasts(repoId)).toEqual([]);
});
