import type { IBuffer, IMarker, Terminal } from "@xterm/headless";

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

function isAlternate(param: number | number[]): boolean {
  return param === 1049 || param === 1047 || param === 47;
}

interface LogicalLine {
  /** Index in the buffer of its first row, and of the one after its last. */
  row: number;
  end: number;
  text: string;
}

/** Rows a wrapped line may have; one without an end is cut there, so that a reader gets on. */
const longestWrap = 1000;

/** The lines of a buffer that begin in some rows (all after the first by default), wrapped rows joined. */
function logicalLines(buffer: IBuffer, from: number, until = buffer.length): LogicalLine[] {
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

async function openTerminal(size: ScreenSize, scrollback: number, keepCleared: boolean): Promise<Terminal> {
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

function resizeTerminal(terminal: Terminal, size: ScreenSize): void {
  const { cols, rows } = bounded(size);
  terminal.resize(cols, rows);
}

/** A size as recorded may be anything; the emulator throws below 2 x 1 and pays for what is large. */
function bounded(size: ScreenSize): ScreenSize {
  const whole = { cols: Math.trunc(size.cols) || 0, rows: Math.trunc(size.rows) || 0 };
  return { cols: Math.min(1000, Math.max(2, whole.cols)), rows: Math.min(1000, Math.max(1, whole.rows)) };
}

function play(terminal: Terminal, data: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => {
    terminal.write(data, resolve);
  });
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

/** How long a line must stand unchanged before it counts as printed, in ms. */
const settleMs = 700;
/** The same where a program redraws: below what it went back up to lately. Also how long "lately" is. */
const liveMs = 3000;
/** The same on the alternate screen; longer than counters that go up each second stand. */
const frameMs = 1500;
/** A place that was printed and changes again has to stand twice as long each time, up to this. */
const longestWaitMs = 20_000;
/** Printed lines that a line changed in place is compared with. */
const recentLines = 200;
/** Printed lines that a program's repainting of everything is compared with. */
const repaintLines = 2000;
/** Lines at the bottom of the last frame (input box, footer) that are not printed when they move. */
const tailLines = 15;
/** Bytes played at once: at most so many lines, all of which must fit into the scrollback. */
const followPiece = 8192;

/** First parameter of a sequence; 0 when it is left out. */
function first(params: (number | number[])[]): number {
  return typeof params[0] === "number" ? params[0] : 0;
}

interface Place {
  text: string;
  /** When the text was first seen, in the caller's ms. */
  since: number;
  /** What was printed of this place, if anything, and how often. */
  printed?: string;
  times: number;
  /** It was in a redrawn region at some time. */
  live: boolean;
}

/**
 * Turns the bytes of a running session into lines that can be printed one after another (`logs -f`).
 *
 * A line is printed when it leaves the top of the screen or when it stands still: 0.7 s where output
 * just runs down, 3 s in the region that a program redraws (everything below the highest row it went
 * back to in the last 3 s, and the cursor's own row). So spinners and progress bars are not printed
 * while they move. An input box is printed with the first answer, and not again when it turns up
 * elsewhere. On the alternate screen a line needs 1.5 s, at whatever height.
 */
export class Follower {
  readonly #terminal: Terminal;
  /** Lines ready to be handed out. */
  #out: string[] = [];
  /** Empty lines are held back until something follows. */
  #blank = 0;
  /** Lines counted from the start of the session: the number of the first row of the buffer... */
  #origin = 0;
  /** ...and of the first line not yet out of the screen and dealt with. */
  #frontier = 0;
  /** Stands on a scrollback row with a known number, which tells how many were dropped above. */
  #anchor: { marker: IMarker; number: number } | undefined;
  #places = new Map<number, Place>();
  /** On the alternate screen: the lines dealt with, and since when each text stands there. */
  #frame: string[] = [];
  #frameSince = new Map<string, number>();
  /** Highest row gone back to since the last look, and at each look of the last seconds. */
  #wentUp: number | undefined;
  #redraws: { at: number; row: number }[] = [];
  /** Each text printed lately with its number, oldest first. */
  #printed = new Map<string, number>();
  #count = 0;
  #last: string | undefined;
  /** Lines that may still be a repetition of what was printed, after a program cleared everything. */
  #repaint = 0;
  #lastFed = true;
  #fedAt = 0;
  #tail = new Set<string>();

  private constructor(terminal: Terminal) {
    this.#terminal = terminal;
    const parser = terminal.parser;
    const up = (row: number) => {
      const buffer = terminal.buffer.active;
      if (buffer.type === "normal" && row < buffer.cursorY) {
        const number = this.#origin + buffer.baseY + Math.max(row, 0);
        this.#wentUp = Math.min(this.#wentUp ?? number, number);
      }
      return false;
    };
    for (const final of ["A", "F"]) {
      parser.registerCsiHandler({ final }, (params) =>
        up(terminal.buffer.active.cursorY - Math.max(first(params), 1)),
      );
    }
    for (const final of ["H", "f", "d"]) {
      parser.registerCsiHandler({ final }, (params) => up(Math.max(first(params), 1) - 1));
    }
    parser.registerEscHandler({ final: "M" }, () => up(terminal.buffer.active.cursorY - 1));
    // Clearing everything takes rows out of the buffer: what is done with them is done before.
    parser.registerCsiHandler({ final: "J" }, (params) => {
      if (terminal.buffer.active.type === "normal" && first(params) >= 2) this.#cleared(first(params) === 3);
      return false;
    });
    parser.registerEscHandler({ final: "c" }, () => {
      this.#cleared(true);
      return false;
    });
  }

  static async open(size: ScreenSize): Promise<Follower> {
    return new Follower(await openTerminal(size, followPiece + 1000, false));
  }

  /** Takes the next bytes of the recording, cut anywhere. */
  async feed(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += followPiece) {
      await play(this.#terminal, chunk.subarray(at, at + followPiece));
      this.#lastFed = true;
      this.#countDropped();
      this.#takeScrolled();
      this.#setAnchor();
    }
  }

  /** The session's terminal has a new size. Call between chunks. */
  resize(size: ScreenSize): void {
    this.#anchor?.marker.dispose();
    this.#anchor = undefined;
    const buffer = this.#terminal.buffer.active;
    const cursor = this.#origin + buffer.baseY + buffer.cursorY;
    const marker =
      buffer.type === "normal" ? this.#terminal.registerMarker(this.#frontier - cursor) : undefined;
    resizeTerminal(this.#terminal, size);
    // Lines wrap differently now and rows have moved: only the texts still tell what was printed.
    const row = marker !== undefined && marker.line >= 0 ? marker.line : this.#terminal.buffer.normal.baseY;
    marker?.dispose();
    this.#origin = this.#frontier - row;
    this.#places.clear();
    this.#redraws = [];
    this.#repaint = repaintLines;
    this.#lastFed = true;
    this.#setAnchor();
  }

  /** The lines that have settled since the last call. `now` in ms, from any clock that only goes on. */
  settled(now: number): string[] {
    if (this.#lastFed) this.#fedAt = now;
    this.#lastFed = false;
    if (this.#wentUp !== undefined) this.#redraws.push({ at: now, row: this.#wentUp });
    this.#wentUp = undefined;
    this.#redraws = this.#redraws.filter((redraw) => now - redraw.at < liveMs);
    this.#lookAt(now);
    return this.#take();
  }

  /** Whatever was not handed out yet, at the end of the session. */
  finish(): string[] {
    this.#lookAt(Number.POSITIVE_INFINITY);
    this.#terminal.dispose();
    return this.#take();
  }

  #take(): string[] {
    const lines = this.#out;
    this.#out = [];
    return lines;
  }

  #print(text: string): void {
    if (text === "") {
      this.#blank++;
      return;
    }
    for (; this.#blank > 0; this.#blank--) this.#out.push("");
    this.#out.push(text);
    this.#count++;
    this.#last = text;
    this.#printed.delete(text);
    this.#printed.set(text, this.#count);
    if (this.#printed.size > repaintLines) {
      const oldest = this.#printed.keys().next();
      if (oldest.done !== true) this.#printed.delete(oldest.value);
    }
  }

  #isRecent(text: string, among: number): boolean {
    const number = this.#printed.get(text);
    return number !== undefined && this.#count - number < among;
  }

  /** Deals with a line of a place not printed before. `inTail`: it may be an input box or a footer. */
  #printNew(place: Place, inTail: boolean): void {
    const { text } = place;
    place.printed = text;
    if (this.#repaint > 0) {
      this.#repaint--;
      if (text === "" || this.#isRecent(text, repaintLines)) return;
    }
    if (inTail && this.#tail.has(text)) return;
    this.#print(text);
    place.times++;
  }

  /** Deals with a line of a place of which another text was printed. */
  #printChanged(place: Place): void {
    place.printed = place.text;
    if (place.text === "" || this.#isRecent(place.text, recentLines)) return;
    this.#print(place.text);
    place.times++;
  }

  #cleared(scrollbackToo: boolean): void {
    this.#countDropped();
    this.#takeScrolled();
    const base = this.#terminal.buffer.normal.baseY;
    this.#frontier = this.#origin + base;
    this.#places.clear();
    this.#redraws = [];
    this.#wentUp = undefined;
    this.#repaint = Math.min(repaintLines, this.#count + this.#terminal.rows);
    if (!scrollbackToo) return;
    this.#anchor?.marker.dispose();
    this.#anchor = undefined;
    this.#origin += base;
  }

  /** When the scrollback is full the oldest rows fall out, and all others move up. */
  #countDropped(): void {
    if (this.#anchor === undefined) return;
    const { marker, number } = this.#anchor;
    this.#origin = marker.line >= 0 ? number - marker.line : this.#frontier;
  }

  #setAnchor(): void {
    const buffer = this.#terminal.buffer.active;
    if (buffer.type !== "normal" || buffer.baseY === 0) return;
    this.#anchor?.marker.dispose();
    // The last row above the screen: on the screen itself rows are inserted and deleted.
    const marker = this.#terminal.registerMarker(-buffer.cursorY - 1);
    this.#anchor = marker && { marker, number: this.#origin + buffer.baseY - 1 };
  }

  /** Deals with the lines that have left the screen and cannot change any more. */
  #takeScrolled(): void {
    const buffer = this.#terminal.buffer.normal;
    if (this.#frontier - this.#origin >= buffer.baseY) return;
    for (const line of logicalLines(buffer, Math.max(0, this.#frontier - this.#origin), buffer.baseY)) {
      const wholeLine = line.end <= buffer.baseY;
      if (!wholeLine) break;
      const number = this.#origin + line.row;
      const place = this.#places.get(number) ?? { text: "", since: 0, times: 0, live: false };
      this.#places.delete(number);
      place.text = line.text;
      if (place.printed === undefined) this.#printNew(place, false);
      else if (place.printed !== place.text) this.#printChanged(place);
      this.#frontier = this.#origin + line.end;
    }
  }

  #lookAt(now: number): void {
    this.#lookAtScreen(now);
    if (this.#terminal.buffer.active.type === "alternate") this.#lookAtFrame(now);
    else {
      this.#frame = [];
      this.#frameSince.clear();
    }
  }

  #lookAtScreen(now: number): void {
    const buffer = this.#terminal.buffer.normal;
    const cursor = this.#origin + buffer.baseY + buffer.cursorY;
    const liveFrom = Math.min(cursor, ...this.#redraws.map((redraw) => redraw.row));
    const lines = logicalLines(buffer, Math.max(0, this.#frontier - this.#origin));
    while (lines.at(-1)?.text === "") lines.pop();
    const tailFrom = lines.at(-tailLines)?.row ?? 0;
    const tail = new Set<string>();
    let waiting = false;
    for (const line of lines) {
      const number = this.#origin + line.row;
      const inLive = this.#origin + line.end > liveFrom;
      const place = this.#see(number, line.text, now, inLive);
      const inTail = place.live && line.row >= tailFrom;
      if (inTail) tail.add(place.text);
      if (place.printed === place.text) continue;
      const still = now - place.since >= wait(place, inLive ? liveMs : settleMs);
      if (place.printed !== undefined && still) this.#printChanged(place);
      else if (place.printed === undefined && still && !waiting) this.#printNew(place, inTail);
      // In order: what comes after a new line that is not ready waits too.
      else if (place.printed === undefined) waiting = true;
    }
    if (waiting) return;
    this.#tail = tail;
    if (now - this.#fedAt >= settleMs) this.#repaint = 0;
  }

  /**
   * On the alternate screen a row means nothing: programs scroll by drawing everything anew. So what
   * counts is how long a text has been on the screen, and whether it is new beside its neighbours.
   */
  #lookAtFrame(now: number): void {
    const rows = logicalLines(this.#terminal.buffer.alternate, 0).map((line) => line.text);
    const since = new Map(rows.map((text) => [text, this.#frameSince.get(text) ?? now]));
    this.#frameSince = since;
    const standing = rows
      .map((text, row) => ({ text, row }))
      .filter(({ text }) => text !== "" && !(now - (since.get(text) ?? now) < frameMs));
    const texts = standing.map(({ text }) => text);
    if (texts.length === this.#frame.length && texts.every((text, row) => text === this.#frame[row])) return;
    const kept = inBoth(this.#frame, texts);
    this.#frame = texts;
    let above: string | undefined;
    for (const [index, { text, row }] of standing.entries()) {
      // A text printed lately is a repetition (someone scrolled back), unless it goes on right below
      // the last line printed: then it is said again.
      if (kept[index] !== true && this.#isRecent(text, recentLines) && above !== this.#last) {
        above = undefined;
        continue;
      }
      if (kept[index] !== true) {
        if (rows[row - 1] === "" && this.#count > 0) this.#print("");
        this.#print(text);
      }
      above = text;
    }
  }

  #see(key: number, text: string, now: number, live: boolean): Place {
    const since = Number.isFinite(now) ? now : 0;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = { text, since, times: 0, live };
      this.#places.set(key, place);
    } else if (place.text !== text) {
      place.text = text;
      place.since = since;
    }
    place.live ||= live;
    return place;
  }
}

function wait(place: Place, base: number): number {
  return Math.min(base * 2 ** place.times, Math.max(base, longestWaitMs));
}

/** Which of `after` are in a longest common subsequence of both: the lines that were there before. */
function inBoth(before: string[], after: string[]): boolean[] {
  const width = after.length + 1;
  const lengths = new Uint16Array((before.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const same = before[i] === after[j];
      lengths[i * width + j] = same ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const kept = after.map(() => false);
  for (let i = 0, j = 0; i < before.length && j < after.length;) {
    if (before[i] === after[j]) {
      kept[j] = true;
      i++;
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return kept;
}
