import { appendFile, open, readFile, rm, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Size of a session's screen, from a place in its recording on. */
export interface RecordedSize {
  /** Bytes from the beginning. */
  offset: number;
  cols: number;
  rows: number;
}

export interface Recording {
  bytes: Uint8Array;
  /** Place in `bytes` from which on everything came since the moment asked for. */
  since: number;
  /** Size of the newest file when it was read: where a reader goes on. */
  end: number;
  /** Whether `bytes` begins where the session did. */
  whole: boolean;
  /** Sizes that the screen took on after its first, by their place in `bytes`. */
  resizes: RecordedSize[];
}

/**
 * A session's recording: what its program sent to its terminal, written by the host. It lies in two
 * files, `<log>.1` with the older part and `<log>`, each limited in size; `<log>.sizes` says what size
 * the screen had, since lines are drawn for that, and `.times` beside each file when it had grown how far.
 *
 * At most `maxBytes` from its end are read, or before the moment `since` (Unix time in ms) if one is given.
 */
export async function readRecording(
  log: string,
  maxBytes: number,
  since = Number.POSITIVE_INFINITY,
): Promise<Recording> {
  const older = await sizeOf(`${log}.1`);
  const newer = await sizeOf(log);
  const sinceAt =
    since === Number.POSITIVE_INFINITY ? older + newer : await placeOf(log, since, older, newer);
  const wanted = maxBytes + older + newer - sinceAt;
  const fromNewer = Math.min(newer, wanted);
  const fromOlder = Math.min(older, wanted - fromNewer);
  const parts = [
    await readPart(`${log}.1`, older - fromOlder, fromOlder),
    await readPart(log, newer - fromNewer, fromNewer),
  ];
  const skipped = newer + older - fromNewer - fromOlder;
  const sizes = await recordedSizes(log);
  return {
    bytes: Buffer.concat(parts),
    since: sinceAt - skipped,
    end: newer,
    whole: skipped === 0,
    // Once the recording has begun anew the places are no longer those of its bytes: the last size counts.
    resizes: (older > 0 ? sizes.slice(-1).map((size) => ({ ...size, offset: 0 })) : sizes).map((size) => ({
      ...size,
      offset: Math.max(0, size.offset - skipped),
    })),
  };
}

/** Notes the size that a session's screen has from here on. */
export async function recordSize(log: string, size: { cols: number; rows: number }): Promise<void> {
  const offset = (await sizeOf(`${log}.1`)) + (await sizeOf(log));
  await appendFile(sizesFile(log), `${offset} ${size.cols} ${size.rows}\n`, { mode: 0o600 });
}

/** The sizes noted for a session, oldest first. */
export async function recordedSizes(log: string): Promise<RecordedSize[]> {
  const text = await readFile(sizesFile(log), "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [offset = 0, cols = 80, rows = 24] = line.split(" ").map(Number);
      return { offset, cols, rows };
    });
}

const sizesFile = (log: string): string => `${log}.sizes`;

/** A line of the file of times: when the recording was how long. `recorder` in tmux.ts writes them too. */
const timeLine = (ms: number, offset: number): string => `${Math.floor(ms / 1000)} ${offset}\n`;

const timesFile = (file: string): string => `${file}.times`;

/** Notes that what is recorded so far came before now. */
export async function recordTime(log: string): Promise<void> {
  // The size first: what comes between the two has a mark before it that is too early, not too late.
  const offset = await sizeOf(log);
  // Nothing to mark: not begun, or removed meanwhile, which must leave no file behind.
  if (offset === 0) return;
  await appendFile(timesFile(log), timeLine(Date.now(), offset), { mode: 0o600 });
}

/**
 * The place in both files after which everything came since a moment; what came shortly before may be
 * behind it too, but nothing since is before it.
 */
async function placeOf(log: string, since: number, older: number, newer: number): Promise<number> {
  const marks = [
    ...(await marksOf(`${log}.1`, older)),
    ...(await marksOf(log, newer)).map((mark) => ({ ...mark, offset: mark.offset + older })),
  ];
  // Clocks may be set back: from the first mark that is too late, and not from the last that is not.
  const late = marks.findIndex((mark) => (mark.seconds + 1) * 1000 > since);
  return (late < 0 ? marks.at(-1) : marks[late - 1])?.offset ?? 0;
}

/**
 * The marks of one file. One that lies behind a later one, or behind the end, was made for the file
 * before, while that was put aside: nothing of this one is older.
 */
async function marksOf(file: string, size: number): Promise<{ seconds: number; offset: number }[]> {
  const text = await readFile(timesFile(file), "utf8").catch(() => "");
  const marks = text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [seconds = 0, offset = 0] = line.split(" ").map(Number);
      return { seconds, offset };
    });
  let limit = size;
  for (const mark of marks.toReversed()) {
    if (mark.offset <= limit) limit = mark.offset;
    else mark.offset = 0;
  }
  return marks;
}

/** Removes a recording, and its instance's folder with the last one. */
export async function removeRecording(log: string): Promise<void> {
  const files = [log, `${log}.1`];
  await Promise.all(
    [...files, ...files.map(timesFile), sizesFile(log)].map((file) => rm(file, { force: true })),
  );
  await rmdir(dirname(log)).catch(() => undefined);
}

/** Reads on in a recording that is still being written. */
export class RecordingReader {
  readonly #log: string;
  #offset: number;

  private constructor(log: string, offset: number) {
    this.#log = log;
    this.#offset = offset;
  }

  /** Goes on where a recording ended when it was read. */
  static after(log: string, recording: Recording): RecordingReader {
    return new RecordingReader(log, recording.end);
  }

  /** What was written since the last call; empty when there is nothing new. */
  async next(): Promise<Uint8Array> {
    const size = await sizeOf(this.#log);
    // Smaller than before: the file was full and a new one was begun.
    if (size < this.#offset) {
      const rest = await readPart(
        `${this.#log}.1`,
        this.#offset,
        (await sizeOf(`${this.#log}.1`)) - this.#offset,
      );
      this.#offset = 0;
      return rest;
    }
    const bytes = await readPart(this.#log, this.#offset, size - this.#offset);
    this.#offset += bytes.length;
    return bytes;
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}

async function readPart(file: string, start: number, length: number): Promise<Uint8Array> {
  if (length <= 0) return new Uint8Array(0);
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
