import type { IBuffer, Terminal } from "@xterm/headless";

/*
 * A recording is what a program sent to its terminal, cursor movements and all. To read it, it is
 * played to a terminal without a screen, and the lines are read from there.
 *
 * Lines come back as plain text: no colours and no control characters, but bidi controls and other
 * invisible characters of the program's are still in them. Whoever prints them cleans them.
 */

/** Size of a terminal, in character cells. */
export interface ScreenSize {
  cols: number;
  rows: number;
}

export function isAlternate(param: number | number[]): boolean {
  return param === 1049 || param === 1047 || param === 47;
}

export interface LogicalLine {
  /** Index in the buffer of its first row, and of the one after its last. */
  row: number;
  end: number;
  text: string;
}

/** Rows a wrapped line may have; one without an end is cut there, so that a reader gets on. */
const longestWrap = 1000;

/** The lines of a buffer that begin in some rows (all after the first by default), wrapped rows joined. */
export function logicalLines(buffer: IBuffer, from: number, until = buffer.length): LogicalLine[] {
  const lines: LogicalLine[] = [];
  let row = from;
  while (row < until) {
    const first = row;
    let text = "";
    for (; ; row++) {
      const here = buffer.getLine(row);
      // Past the end the buffer hands out rows of earlier times.
      const hasNext = row + 1 < buffer.length && row - first < longestWrap;
      const next = hasNext ? buffer.getLine(row + 1) : undefined;
      if (next?.isWrapped !== true) {
        text += here?.translateToString(true) ?? "";
        break;
      }
      // The last cell stays empty when a wide character had to go to the next row.
      const last = here?.getCell(here.length - 1);
      const pushed = last?.getChars() === "" && last.getWidth() === 1 && next.getCell(0)?.getWidth() === 2;
      text += here?.translateToString(false, 0, pushed ? here.length - 1 : undefined) ?? "";
    }
    row++;
    lines.push({ row: first, end: row, text: text.trimEnd() });
  }
  return lines;
}

export async function openTerminal(
  size: ScreenSize,
  scrollback: number,
  keepCleared: boolean,
): Promise<Terminal> {
  // Loaded here: 180 KB of parser that no other command should pay for.
  const { Terminal } = await import("@xterm/headless");
  const terminal = new Terminal({
    ...bounded(size),
    scrollback,
    scrollOnEraseInDisplay: keepCleared,
    allowProposedApi: true,
    logLevel: "off",
  });
  // Its own table is of 2009 and takes an emoji for one cell; tmux, for whom the program drew, for two.
  terminal.unicode.register({ version: "hjk", wcwidth, charProperties });
  terminal.unicode.activeVersion = "hjk";
  // The emulator does these one by one, up to 2^31 times: 13 bytes would keep it busy for minutes,
  // or make it allocate gigabytes. More than a screenful means nothing; it is left out.
  for (const final of ["I", "L", "M", "S", "T", "Z", "b"]) {
    terminal.parser.registerCsiHandler({ final }, ([count]) => {
      return typeof count === "number" && count > Math.max(terminal.cols, terminal.rows);
    });
  }
  // A reset throws the whole buffer away; nobody needs a thousand, and a log full of them takes minutes.
  let resets = 0;
  terminal.parser.registerEscHandler({ final: "c" }, () => ++resets > 1000);
  return terminal;
}

export function resizeTerminal(terminal: Terminal, size: ScreenSize): void {
  const { cols, rows } = bounded(size);
  terminal.resize(cols, rows);
}

/** A size as recorded may be anything; the emulator throws below 2 x 1 and pays for what is large. */
function bounded(size: ScreenSize): ScreenSize {
  const whole = { cols: Math.trunc(size.cols) || 0, rows: Math.trunc(size.rows) || 0 };
  return { cols: Math.min(1000, Math.max(2, whole.cols)), rows: Math.min(1000, Math.max(1, whole.rows)) };
}

/**
 * Makes text of bytes that are cut anywhere. Not left to the emulator, which loses some characters that
 * are cut in two, `…` among them.
 */
export function decoderOfPieces(): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return (bytes) => decoder.decode(bytes, { stream: true });
}

export function play(terminal: Terminal, data: string): Promise<void> {
  return new Promise((resolve) => {
    terminal.write(data, resolve);
  });
}

/** Where a recording cut at the front can be read from: after a newline, or at an escape sequence. */
export function safeStart(raw: Uint8Array): number {
  const newline = raw.indexOf(0x0a);
  // Some programs never send a newline; giving up 64 KB of a log for one is enough.
  if (newline >= 0 && newline < 65_536) return newline + 1;
  return Math.max(raw.indexOf(0x1b), 0);
}

/** What brings the terminal to where a cut recording may go on from. */
export function preludeOf(terminal: Terminal, raw: Uint8Array): string {
  // From the bottom, so that a program that goes up to erase its frame finds room there.
  const down = "\n".repeat(terminal.rows);
  return startsInAlternate(raw) ? `${down}\u001B[?1049h` : down;
}

/** Whether the first switch of screens in a cut recording is one back from the alternate screen. */
function startsInAlternate(raw: Uint8Array): boolean {
  const view = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const leave = view.indexOf("\u001B[?1049l");
  if (leave < 0) return false;
  const enter = view.indexOf("\u001B[?1049h");
  return enter < 0 || leave < enter;
}

/** Widths of the first planes, worked out on first sight; 255 is not yet known. */
const widths = new Uint8Array(0x20000).fill(255);

function wcwidth(point: number): 0 | 1 | 2 {
  const known = point < widths.length ? (widths[point] ?? 255) : 255;
  const width = known === 255 ? Math.min(2, Bun.stringWidth(String.fromCodePoint(point))) : known;
  if (known === 255 && point < widths.length) widths[point] = width;
  return width === 0 ? 0 : width === 1 ? 1 : 2;
}

/** As the emulator's own: bit 0 says "joins the cell before", bits 1 and 2 are the width. */
function charProperties(point: number, preceding: number): number {
  const width = wcwidth(point);
  const before = (preceding >> 1) & 3;
  const joins = width === 0 && before > 0;
  return ((joins ? before : width) << 1) | (joins ? 1 : 0);
}
