import type { IMarker, Terminal } from "@xterm/headless";
import {
  isAlternate,
  logicalLines,
  openTerminal,
  resizeTerminal,
  play,
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
  // As in tmux, where a cleared screen can be scrolled back to.
  const terminal = await openTerminal(size, options.scrollback ?? 20_000, true);
  try {
    const frame = new LastFrame(terminal);
    let at = 0;
    if (options.tail === true) {
      at = safeStart(raw);
      // From the bottom, so that a program that goes up to erase its frame finds room there.
      await play(terminal, "\n".repeat(terminal.rows));
      if (startsInAlternate(raw)) await play(terminal, "\u001B[?1049h");
    }
    const playUntil = async (end: number) => {
      while (at < end) {
        const next = Math.min(at + renderPiece, end);
        await play(terminal, raw.subarray(at, next));
        at = next;
      }
    };
    for (const resize of (options.resizes ?? []).toSorted((a, b) => a.offset - b.offset)) {
      await playUntil(Math.min(resize.offset, raw.length));
      resizeTerminal(terminal, resize);
    }
    await playUntil(raw.length);
    const lines = frame.insertInto(logicalLines(terminal.buffer.normal, 0));
    while (lines.at(-1) === "") lines.pop();
    const first = options.tail === true ? lines.findIndex((line) => line !== "") : 0;
    return lines.slice(Math.max(first, 0));
  } finally {
    terminal.dispose();
  }
}

/** Where a recording cut at the front can be read from: after a newline, or at an escape sequence. */
function safeStart(raw: Uint8Array): number {
  const newline = raw.indexOf(0x0a);
  // Some programs never send a newline; giving up 64 KB of a log for one is enough.
  if (newline >= 0 && newline < 65_536) return newline + 1;
  return Math.max(raw.indexOf(0x1b), 0);
}

/** Whether the first switch of screens in a cut recording is one back from the alternate screen. */
function startsInAlternate(raw: Uint8Array): boolean {
  const view = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const leave = view.indexOf("\u001B[?1049l");
  if (leave < 0) return false;
  const enter = view.indexOf("\u001B[?1049h");
  return enter < 0 || leave < enter;
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

  insertInto(lines: LogicalLine[]): string[] {
    const texts = lines.map((line) => line.text);
    const buffer = this.#terminal.buffer.normal;
    const entered = this.#entered?.line ?? -1;
    const frame = this.#inAlternate() ? (this.#shown() ?? this.#beforeClear) : this.#frame;
    if (frame === undefined) return texts;
    const printedSince = buffer.baseY + buffer.cursorY - entered;
    if (!this.#inAlternate() && (entered < 0 || printedSince >= this.#terminal.rows)) return texts;
    const from = entered + (this.#midLine ? 1 : 0);
    const at = lines.findIndex((line) => line.row >= from);
    texts.splice(at < 0 ? texts.length : at, 0, ...frame);
    return texts;
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
