import { open, rm, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * A session's recording: what its program sent to its terminal, written by the host. It lies in two
 * files, `<log>.1` with the older part and `<log>`, each limited in size.
 */
export async function readRecording(
  log: string,
  maxBytes: number,
): Promise<{ bytes: Uint8Array; whole: boolean }> {
  const older = await sizeOf(`${log}.1`);
  const newer = await sizeOf(log);
  const fromNewer = Math.min(newer, maxBytes);
  const fromOlder = Math.min(older, maxBytes - fromNewer);
  const parts = [
    await readPart(`${log}.1`, older - fromOlder, fromOlder),
    await readPart(log, newer - fromNewer, fromNewer),
  ];
  return { bytes: Buffer.concat(parts), whole: fromNewer + fromOlder === newer + older };
}

/** Removes a recording, and its instance's folder with the last one. */
export async function removeRecording(log: string): Promise<void> {
  await Promise.all([rm(log, { force: true }), rm(`${log}.1`, { force: true })]);
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
