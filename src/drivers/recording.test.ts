import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRecording, recordSize, RecordingReader, removeRecording } from "./recording.ts";

let folder = "";
let log = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hjk-recording-"));
  log = join(folder, "instance.log");
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("readRecording", () => {
  test("tells where the size changed, in the bytes that were read", async () => {
    await writeFile(log, "0123456789");
    await recordSize(log, { cols: 70, rows: 19 });
    await appendFile(log, "abcdefghij");
    await recordSize(log, { cols: 50, rows: 14 });
    const whole = await readRecording(log, 100);
    expect(whole).toMatchObject({
      whole: true,
      resizes: [
        { offset: 10, cols: 70 },
        { offset: 20, cols: 50 },
      ],
    });
    const tail = await readRecording(log, 5);
    expect(text(tail.bytes)).toBe("fghij");
    expect(tail).toMatchObject({
      whole: false,
      resizes: [
        { offset: 0, cols: 70 },
        { offset: 5, cols: 50 },
      ],
    });
  });

  test("joins both files, and takes the last size once the recording has begun anew", async () => {
    await writeFile(log, "older ");
    await recordSize(log, { cols: 70, rows: 19 });
    await recordSize(log, { cols: 50, rows: 14 });
    await rename(log, `${log}.1`);
    await writeFile(log, "newer");
    const { bytes, resizes } = await readRecording(log, 100);
    expect(text(bytes)).toBe("older newer");
    expect(resizes).toEqual([{ offset: 0, cols: 50, rows: 14 }]);
  });

  test("of nothing is nothing", async () => {
    expect(await readRecording(log, 100)).toMatchObject({ whole: true, resizes: [] });
  });
});

describe("RecordingReader", () => {
  test("loses nothing when the recording begins anew", async () => {
    await writeFile(log, "one ");
    const reader = await RecordingReader.open(log, 100);
    expect(text(await reader.next())).toBe("one ");
    await appendFile(log, "two ");
    await rename(log, `${log}.1`);
    await writeFile(log, "x");
    expect(text(await reader.next()) + text(await reader.next())).toBe("two x");
    expect((await reader.next()).length).toBe(0);
  });
});

test("removing a recording leaves no file of it", async () => {
  await writeFile(log, "text");
  await recordSize(log, { cols: 70, rows: 19 });
  await removeRecording(log);
  expect((await readRecording(log, 100)).bytes.length).toBe(0);
});
