import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Store } from "../../src/store/store.ts";

/*
 * One of many processes at one store, started by test/fast/store.test.ts:
 * worker.ts <task> <database> <folder> <name>
 */
const [task = "", database = "", folder = "", name = ""] = process.argv.slice(2);

/** All wait here, so that they are at the store at the same moment. */
async function together(): Promise<void> {
  while (!existsSync(`${folder}/go`)) await Bun.sleep(1);
}

/** Adds one to a number in a file, by reading and writing it: loses counts unless nobody else does it meanwhile. */
async function increment(file: string): Promise<void> {
  const before = Number(readFileSync(file, "utf8"));
  await Bun.sleep(1);
  writeFileSync(file, String(before + 1));
}

const tasks: Record<string, () => Promise<void>> = {
  /** Opens a database that is not there yet. */
  open: async () => {
    await together();
    process.stdout.write(new Store(database).id());
  },
  locked: async () => {
    const store = new Store(database);
    await together();
    for (let round = 0; round < 10; round += 1) await store.withLock("x", () => increment(`${folder}/count`));
  },
  unlocked: async () => {
    await together();
    for (let round = 0; round < 10; round += 1) await increment(`${folder}/count`);
  },
  write: async () => {
    const store = new Store(database);
    await together();
    for (let round = 0; round < 50; round += 1) {
      store.saveRepo({ id: `${name}-${round}`, gitDir: `/${name}/${round}`, name });
      store.saveRepo({ id: "shared", gitDir: "/shared", name });
    }
  },
  /** Holds the lock until it is killed. */
  hold: async () => {
    await new Store(database).withLock("x", async () => {
      process.stdout.write("held");
      await Bun.sleep(60_000);
    });
  },
};

await tasks[task]?.();
