import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEntry } from "../../src/core/net-log.ts";
import { hostsIn } from "../../src/core/registries.ts";
import { demultiplex } from "../../src/drivers/engine/docker-api.ts";
import { DockerEngine } from "../../src/drivers/engine/docker.ts";
import { HeadjackError } from "../../src/errors.ts";
import { corpus, fuzz, fuzzSlowly } from "./fuzz.ts";

/* What comes from the engine: its own answers, with words of images and containers in them, and what programs print. */

/** What came by each stream of the output of a program. */
const split = async (...pieces: Buffer[]): Promise<{ stdout: string; stderr: string }> => {
  const out = { stdout: "", stderr: "" };
  const stream = new ReadableStream<Uint8Array>({
    start: (end) => {
      for (const piece of pieces) end.enqueue(piece);
      end.close();
    },
  });
  await demultiplex(stream, (chunk, name) => (out[name] += Buffer.from(chunk).toString("latin1")));
  return out;
};

test("output of programs is taken apart in whatever pieces it comes, and nothing is added", async () => {
  await fuzzSlowly(corpus("output"), async (input, random) => {
    const whole = await split(input);
    expect(whole.stdout.length + whole.stderr.length).toBeLessThanOrEqual(input.length);
    const at = random.below(input.length + 1);
    expect(await split(input.subarray(0, at), input.subarray(at))).toEqual(whole);
  });
});

let folder: string;
let server: Bun.Server<undefined>;
let answer: () => Response = () => new Response();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hjk-fuzz-"));
  server = Bun.serve({ unix: join(folder, "engine"), fetch: () => answer() });
});
afterAll(async () => {
  await server.stop(true);
  await rm(folder, { recursive: true });
});

/** Puts a question to an engine that gives this answer; nothing where that is an error of ours. */
const ask = async <T>(question: () => Promise<T>, status: number, body: string): Promise<T | undefined> => {
  answer = () => new Response(body, { status });
  try {
    return await question();
  } catch (error) {
    if (!(error instanceof HeadjackError)) throw error;
    expect(error.message).not.toBe("");
    return undefined;
  }
};

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

test("answers that are cut or broken are errors that say so, and words in them only words", async () => {
  const host = { url: "http://engine", unix: join(folder, "engine"), display: "engine", source: "default" };
  const engine = new DockerEngine(host, {}, folder);
  await fuzzSlowly(corpus("engine"), async (input, random) => {
    const text = input.toString();
    // A shape that no engine has is not tried: the engine is trusted, what is in its answers is not.
    if (!isJson(text)) {
      await ask(() => engine.list("l"), 200, text);
      await ask(() => engine.inspect("c"), 200, text);
      await ask(() => engine.images("i"), 200, text);
    }
    await ask(() => engine.inspect("c"), random.of([404, 409, 500]) ?? 500, text);
    const words = text.slice(0, 200);
    const one = { Names: [`/${words}`], Labels: { [words]: words }, State: words, Created: 1 };
    const [listed] = (await ask(() => engine.list("l"), 200, JSON.stringify([one]))) ?? [];
    expect(listed).toEqual({
      name: words,
      labels: { [words]: words },
      running: words === "running",
      createdAt: 1000,
    });
    const labels = await ask(
      () => engine.imageLabels("i"),
      200,
      JSON.stringify({ Id: words, Config: { Labels: { [words]: words } } }),
    );
    expect(labels).toEqual({ [words]: words });
  });
});

test("a gateway's lines and what tools say of their registries are read or left out", () => {
  fuzz(
    corpus("decision"),
    (input) => {
      const text = input.toString();
      for (const line of text.split("\n")) {
        const entry = parseEntry(line);
        if (entry === undefined) continue;
        expect(Number.isNaN(entry.at.getTime())).toBe(false);
        expect([entry.target, entry.method, entry.path, entry.why]).toEqual([
          expect.any(String),
          expect.any(String),
          expect.any(String),
          expect.any(String),
        ]);
      }
      for (const host of hostsIn(text)) expect(host).toMatch(/^[a-z0-9.-]+(:\d+)?$/);
    },
    { words: ["null", "[]", "{}", "1e999", '"t":', "https://registry.example.org/", "https://[::1]/", "@"] },
  );
});
