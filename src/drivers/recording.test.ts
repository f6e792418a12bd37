import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRecording, recordSize, recordTime, RecordingReader, removeRecording } from "./recording.ts";

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

/** What came since a second, with nothing before it. */
const since = async (seconds: number) => text((await readRecording(log, 0, seconds * 1000)).bytes);

describe("a moment", () => {
  test("finds everything since, and at most one piece more", async () => {
    await writeFile(log, "aabbcc");
    await writeFile(`${log}.times`, "100 2\n200 4\n300 6\n");
    expect(await since(99)).toBe("aabbcc");
    // What came within the second that was noted may be before or after its mark.
    expect(await since(100.9)).toBe("aabbcc");
    expect(await since(101)).toBe("bbcc");
    expect(await since(250)).toBe("cc");
    expect(await since(301)).toBe("");
    expect(await readRecording(log, 1, 250_000)).toMatchObject({ since: 1, end: 6, whole: false });
  });

  test("is found where the recording has begun anew", async () => {
    await writeFile(`${log}.1`, "aabb");
    await writeFile(`${log}.1.times`, "100 2\n200 4\n");
    await writeFile(log, "ccdd");
    await writeFile(`${log}.times`, "300 2\n400 4\n");
    expect(await since(150)).toBe("bbccdd");
    expect(await since(250)).toBe("ccdd");
    expect(await since(350)).toBe("dd");
  });

  test("shows more rather than less when marks are missing, odd or of the file before", async () => {
    await writeFile(log, "aabbcc");
    expect(await since(250)).toBe("aabbcc");
    await writeFile(`${log}.times`, "100 900\n200 4\n300 6\n");
    expect(await since(150)).toBe("aabbcc");
    // A clock that was set back.
    await writeFile(`${log}.times`, "100 2\n900 4\n300 6\n");
    expect(await since(500)).toBe("bbcc");
    await writeFile(`${log}.times`, "what\n-1 x\n100 2");
    expect(await since(500)).toBe("aabbcc");
  });

  test("is noted with what came by then", async () => {
    await writeFile(log, "before");
    await recordTime(log);
    await appendFile(log, "after");
    expect(await since(Date.now() / 1000 + 2)).toBe("after");
    expect(await since(0)).toBe("beforeafter");
  });
});

describe("RecordingReader", () => {
  test("loses nothing when the recording begins anew", async () => {
    await writeFile(log, "one ");
    const reader = RecordingReader.after(log, await readRecording(log, 100));
    expect((await reader.next()).length).toBe(0);
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
  await recordTime(log);
  for (const file of [log, `${log}.times`]) await writeFile(file.replace(log, `${log}.1`), "");
  await writeFile(join(folder, "other.log"), "");
  await removeRecording(log);
  await recordTime(log);
  expect(await readdir(folder)).toEqual(["other.log"]);
});
