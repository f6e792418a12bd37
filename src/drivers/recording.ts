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
  /** Whether `bytes` begins where the session did. */
  whole: boolean;
  /** Sizes that the screen took on after its first, by their place in `bytes`. */
  resizes: RecordedSize[];
}

/**
 * A session's recording: what its program sent to its terminal, written by the host. It lies in two
 * files, `<log>.1` with the older part and `<log>`, each limited in size; `<log>.sizes` says what size
 * the screen had, since lines are drawn for that.
 */
export async function readRecording(log: string, maxBytes: number): Promise<Recording> {
  const older = await sizeOf(`${log}.1`);
  const newer = await sizeOf(log);
  const fromNewer = Math.min(newer, maxBytes);
  const fromOlder = Math.min(older, maxBytes - fromNewer);
  const parts = [
    await readPart(`${log}.1`, older - fromOlder, fromOlder),
    await readPart(log, newer - fromNewer, fromNewer),
  ];
  const skipped = newer + older - fromNewer - fromOlder;
  const sizes = await recordedSizes(log);
  return {
    bytes: Buffer.concat(parts),
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

/** Removes a recording, and its instance's folder with the last one. */
export async function removeRecording(log: string): Promise<void> {
  await Promise.all([log, `${log}.1`, sizesFile(log)].map((file) => rm(file, { force: true })));
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

  /** Begins at the end of what is there, less `lastBytes`. */
  static async open(log: string, lastBytes: number): Promise<RecordingReader> {
    return new RecordingReader(log, Math.max(0, (await sizeOf(log)) - lastBytes));
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
