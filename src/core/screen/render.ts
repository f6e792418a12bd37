import type { IMarker, Terminal } from "@xterm/headless";
import {
  decoderOfPieces,
  isAlternate,
  logicalLines,
  openTerminal,
  resizeTerminal,
  play,
  preludeOf,
  safeStart,
  type LogicalLine,
  type ScreenSize,
} from "./terminal.ts";

/** The size a recording goes on with from `offset`, in bytes from the start of `raw`. */
export interface Resize extends ScreenSize {
  offset: number;
}

export interface RenderOptions {
  /** Lines kept above the screen; one costs about 12 bytes a column while rendering. */
  scrollback?: number;
  resizes?: Resize[];
  /** `raw` is the end of a longer recording and may begin in the middle of anything. */
  tail?: boolean;
  /** Lines are wanted from the first that what comes after this place in `raw` made or changed. */
  since?: number;
}

/** Bytes given to the emulator at once, so that its queue stays small. */
const renderPiece = 256 * 1024;

/**
 * Renders a recording as the person in front of it would read it, scrolling up included: rows that
 * were one line are one again, white space at line ends and empty lines at the end are gone.
 *
 * Full-screen programs draw on a second ("alternate") screen, which vanishes when they leave. Its
 * last frame is put where the program was started if the recording ends in it, or if less than a
 * screenful was printed afterwards: then it is what the session was about, and not a pager in between.
 */
export async function renderRecording(
  raw: Uint8Array,
  size: ScreenSize,
  options: RenderOptions = {},
): Promise<string[]> {
  if (options.since !== undefined && options.since >= raw.length) return [];
  // As in tmux, where a cleared screen can be scrolled back to.
  const terminal = await openTerminal(size, options.scrollback ?? 20_000, true);
  try {
    const frame = new LastFrame(terminal);
    let at = 0;
    if (options.tail === true) {
      at = safeStart(raw);
      await play(terminal, preludeOf(terminal, raw));
    }
    const decode = decoderOfPieces();
    const playUntil = async (end: number) => {
      while (at < end) {
        const next = Math.min(at + renderPiece, end);
        await play(terminal, decode(raw.subarray(at, next)));
        at = next;
      }
    };
    const since = options.since ?? 0;
    const before = new Before(terminal);
    const stops = [
      ...(since > 0 ? [{ offset: since, reached: () => before.take() }] : []),
      ...(options.resizes ?? []).map((resize) => ({
        offset: resize.offset,
        reached: () => resizeTerminal(terminal, resize),
      })),
    ].toSorted((a, b) => a.offset - b.offset);
    for (const stop of stops) {
      await playUntil(Math.min(stop.offset, raw.length));
      stop.reached();
    }
    await playUntil(raw.length);
    const normal = logicalLines(terminal.buffer.normal, 0);
    const lines = frame.insertInto(normal, before.newFrom(normal));
    while (lines.at(-1) === "") lines.pop();
    const leading = options.tail === true || since > 0;
    const first = leading ? lines.findIndex((line) => line !== "") : 0;
    return lines.slice(Math.max(first, 0));
  } finally {
    terminal.dispose();
  }
}

/** The lines as they were at some moment, to tell what has come since. */
class Before {
  readonly #terminal: Terminal;
  #marker: IMarker | undefined;
  #texts: string[] = [];
  /** Number of the first line that can still change. */
  #top = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  take(): void {
    const { normal, active } = this.#terminal.buffer;
    const lines = logicalLines(normal, 0);
    this.#texts = lines.map((line) => line.text);
    // What is above the screen stays as it is. Beside the alternate screen all of it does.
    if (active.type === "alternate") return;
    this.#top = lines.findIndex((line) => line.end > normal.baseY);
    const row = lines[this.#top]?.row ?? 0;
    this.#marker = this.#terminal.registerMarker(row - normal.baseY - normal.cursorY);
  }

  /** Index of the first of all lines that was not there, or not the same. */
  newFrom(lines: LogicalLine[]): number {
    const row = this.#marker?.line ?? 0;
    if (row < 0) return this.#isFull() ? 0 : this.#repeated(lines);
    const from = lines.findIndex((line) => line.end > row);
    const old = this.#texts.slice(this.#top);
    const same = lines.slice(from).findIndex((line, index) => line.text !== (old[index] ?? ""));
    return same < 0 ? lines.length : from + same;
  }

  /** Whether lines have fallen out at the top, and may be more of the same as those there now. */
  #isFull(): boolean {
    const { buffer, rows, options } = this.#terminal;
    return buffer.normal.length >= rows + (options.scrollback ?? 0);
  }

  /** Where everything was cleared: how many lines have been drawn again just as they were. */
  #repeated(lines: LogicalLine[]): number {
    const old = this.#texts.filter((text) => text !== "");
    let next = 0;
    for (const [index, { text }] of lines.entries()) {
      if (text !== "" && text !== old[next++]) return index;
    }
    return lines.length;
  }
}

/** Remembers the last frame of the alternate screen and where in the normal one it belongs. */
class LastFrame {
  readonly #terminal: Terminal;
  #frame: string[] | undefined;
  /** The frame before the program cleared its screen, which many do on the way out. */
  #beforeClear: string[] | undefined;
  #entered: IMarker | undefined;
  #midLine = false;
  /** Clearing in a loop must not cost a look at the screen each time. */
  #looks = 10_000;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    // Before the switch in both directions: afterwards the cursor, or the frame, is gone.
    terminal.parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) => {
      if (params.some(isAlternate) && !this.#inAlternate()) {
        this.#entered?.dispose();
        this.#entered = terminal.registerMarker(0);
        this.#midLine = terminal.buffer.normal.cursorX > 0;
        this.#frame = undefined;
        this.#beforeClear = undefined;
      }
      return false;
    });
    terminal.parser.registerCsiHandler({ prefix: "?", final: "l" }, (params) => {
      if (params.some(isAlternate) && this.#inAlternate()) this.#frame = this.#shown() ?? this.#beforeClear;
      return false;
    });
    terminal.parser.registerCsiHandler({ final: "J" }, () => {
      if (this.#inAlternate() && this.#looks-- > 0) this.#beforeClear = this.#shown() ?? this.#beforeClear;
      return false;
    });
  }

  /** The texts of the lines from an index on, with the frame among them. */
  insertInto(lines: LogicalLine[], first: number): string[] {
    const texts = lines.map((line) => line.text);
    const buffer = this.#terminal.buffer.normal;
    const entered = this.#entered?.line ?? -1;
    const frame = this.#inAlternate() ? (this.#shown() ?? this.#beforeClear) : this.#frame;
    if (frame === undefined) return texts.slice(first);
    const printedSince = buffer.baseY + buffer.cursorY - entered;
    if (!this.#inAlternate() && (entered < 0 || printedSince >= this.#terminal.rows)) {
      return texts.slice(first);
    }
    const from = entered + (this.#midLine ? 1 : 0);
    const at = lines.findIndex((line) => line.row >= from);
    const place = at < 0 ? texts.length : at;
    texts.splice(place, 0, ...frame);
    return texts.slice(Math.min(first, place));
  }

  #inAlternate(): boolean {
    return this.#terminal.buffer.active.type === "alternate";
  }

  /** What stands on the alternate screen, or nothing if it is empty. */
  #shown(): string[] | undefined {
    const lines = logicalLines(this.#terminal.buffer.alternate, 0).map((line) => line.text);
    while (lines.at(-1) === "") lines.pop();
    return lines.length > 0 ? lines : undefined;
  }
}
