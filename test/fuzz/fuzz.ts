import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/*
 * A small fuzzer: inputs of the corpus, changed at random but the same in every run. What it finds becomes a file of the
 * corpus, and so is tried first ever after.
 *
 * HEADJACK_FUZZ_SECONDS=60 tries for longer, HEADJACK_FUZZ_SEED=7 other changes.
 */

const seconds = Number(process.env["HEADJACK_FUZZ_SECONDS"] ?? 1);
const seed = Number(process.env["HEADJACK_FUZZ_SEED"] ?? 1);

/** Most tries without a wish for more: on a fast machine they are the same in each run. */
const mostTries = process.env["HEADJACK_FUZZ_SECONDS"] === undefined ? 5000 : Infinity;

/** The files of a folder of the corpus; `.hex` ones are bytes as hexadecimal digits. */
export function corpus(name: string): Buffer[] {
  const folder = join(import.meta.dir, "corpus", name);
  return readdirSync(folder)
    .toSorted()
    .map((file) => {
      const bytes = readFileSync(join(folder, file));
      return file.endsWith(".hex")
        ? Buffer.from(bytes.toString("latin1").replaceAll(/\s/g, ""), "hex")
        : bytes.subarray(0, bytes.at(-1) === 10 ? -1 : undefined);
    });
}

/** Calls `check` with each input and many changed ones, until it throws; the error then shows the input. Gives their number. */
export function fuzz(
  inputs: Buffer[],
  check: (input: Buffer, random: Random) => void,
  options: { words?: string[] } = {},
): number {
  let count = 0;
  for (const { input, random } of tries(inputs, options.words)) {
    try {
      check(input, random);
    } catch (error) {
      throw found(count, input, error);
    }
    count++;
  }
  return count;
}

/** The same for what takes its time. */
export async function fuzzSlowly(
  inputs: Buffer[],
  check: (input: Buffer, random: Random) => Promise<void>,
  options: { words?: string[] } = {},
): Promise<number> {
  let count = 0;
  for (const { input, random } of tries(inputs, options.words)) {
    await check(input, random).catch((error: unknown) => {
      throw found(count, input, error);
    });
    count++;
  }
  return count;
}

function* tries(inputs: Buffer[], texts: string[] = []): Generator<{ input: Buffer; random: Random }> {
  const random = new Random(seed);
  const words = texts.map((word) => Buffer.from(word));
  const end = performance.now() + seconds * 1000;
  for (let count = 0; count < inputs.length || (count < mostTries && performance.now() < end); count++)
    yield { input: inputs[count] ?? changed(inputs, words, random), random };
}

function found(count: number, input: Buffer, error: unknown): Error {
  const shown = /^[\x20-\x7e]*$/.test(input.toString("latin1"))
    ? JSON.stringify(input.toString())
    : `hex ${input.toString("hex")}`;
  return new Error(`try ${count} with seed ${seed}, input ${shown}: ${String(error)}`, { cause: error });
}

/** Numbers that follow from the seed alone (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0, below `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  of<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length)];
  }
}

/** Bytes that mean something to most parsers, or lie at an edge. */
const telling = Buffer.from('\0\t\n\r\u001B "#%&*+,-./0:;<=?@A[\\]_`a{|}~\u007F\u0080\u009B\u00FF', "latin1");

function changed(inputs: Buffer[], words: Buffer[], random: Random): Buffer {
  let bytes = Buffer.from(random.of(inputs) ?? []);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(bytes.length + 1);
    const until = Math.min(bytes.length, at + 1 + random.below(16));
    const put = (middle: Uint8Array, from = at): void => {
      bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(from)]);
    };
    const other = random.of(inputs) ?? bytes;
    switch (random.below(8)) {
      case 0:
        put(Buffer.from([(bytes[at] ?? 0) ^ (1 << random.below(8))]), at + 1);
        break;
      case 1:
        put(Buffer.from([(bytes[at] ?? 0) + (random.below(2) === 0 ? 1 : -1)]), at + 1);
        break;
      case 2:
        put(Buffer.from([telling[random.below(telling.length)] ?? 0]), at + random.below(2));
        break;
      case 3:
        put(Buffer.alloc(0), until);
        break;
      case 4:
        put(Buffer.concat([bytes.subarray(at, until), bytes.subarray(at, until)]), until);
        break;
      case 5:
        put(other.subarray(random.below(other.length)), bytes.length);
        break;
      case 6:
        put(random.of(words) ?? Buffer.from([random.below(256)]), random.below(2) === 0 ? at : until);
        break;
      default:
        bytes = bytes.subarray(0, at);
    }
  }
  return bytes.subarray(0, 100_000);
}
