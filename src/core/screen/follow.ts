import type { IMarker, Terminal } from "@xterm/headless";
import {
  decoderOfPieces,
  logicalLines,
  type LogicalLine,
  openTerminal,
  play,
  preludeOf,
  resizeTerminal,
  safeStart,
  type ScreenSize,
} from "./terminal.ts";

/** How long a line must stand unchanged before it counts as printed, in ms. */
const settleMs = 700;
/** The same while a program redraws: it went back up lately. Also how long "lately" is. */
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

/** What was recorded up to now. */
export interface Recorded {
  bytes: Uint8Array;
  /** Whether it begins where the session did. */
  whole: boolean;
  resizes: (ScreenSize & { offset: number })[];
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
 * just runs down, 3 s while a program redraws some of its screen, so that spinners and progress bars are
 * not printed while they move. What stands right above the redrawn region (everything below the highest
 * row gone back to in the last 3 s, and the cursor's own row) has 20 s: a tool says there that it is
 * running, and later what came of it. An input box is printed with the first answer, and not again when it
 * turns up elsewhere. On the alternate screen a line needs 1.5 s, at whatever height.
 */
export class Follower {
  readonly #terminal: Terminal;
  readonly #decode = decoderOfPieces();
  /** Lines ready to be handed out. */
  #out: string[] = [];
  /** Empty lines are held back until something follows, and left out at the beginning. */
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
  /** The last lines printed, oldest first, without the empty ones. */
  #history: string[] = [];
  /** After a program cleared everything: what was printed then, which it may now draw again. */
  #repaint: Repaint | undefined;
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

  /**
   * Takes what was recorded before, with the sizes that it was drawn for. Lines that settled before the
   * place `since` are left out; the others are handed out as far as they cannot change any more.
   */
  async catchUp(recorded: Recorded, since: number): Promise<string[]> {
    const { bytes, whole, resizes } = recorded;
    let at = 0;
    if (!whole) {
      at = safeStart(bytes);
      await play(this.#terminal, preludeOf(this.#terminal, bytes));
      this.#skip();
    }
    const skip = { offset: since, reached: () => this.#skip() };
    const sizes = resizes
      .filter((size) => size.offset > 0)
      .map((size) => ({ offset: size.offset, reached: () => this.resize(size) }));
    for (const stop of [skip, ...sizes].toSorted((a, b) => a.offset - b.offset)) {
      if (stop.offset > at) await this.feed(bytes.subarray(at, stop.offset));
      at = Math.max(at, stop.offset);
      stop.reached();
    }
    await this.feed(bytes.subarray(at));
    return this.#take();
  }

  /** Takes everything there is for printed. */
  #skip(): void {
    this.#countDropped();
    this.#lookAt(Number.POSITIVE_INFINITY);
    this.#take();
    this.#blank = 0;
    this.#setAnchor();
  }

  /** Takes the next bytes of the recording, cut anywhere. */
  async feed(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += followPiece) {
      await play(this.#terminal, this.#decode(chunk.subarray(at, at + followPiece)));
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
    this.#expectRepaint();
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
      if (this.#count > 0) this.#blank++;
      return;
    }
    for (; this.#blank > 0; this.#blank--) this.#out.push("");
    this.#out.push(text);
    this.#count++;
    this.#last = text;
    this.#history.push(text);
    if (this.#history.length > 2 * repaintLines) this.#history.splice(0, repaintLines);
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
    if (this.#repaint?.repeats(text) === true) return;
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

  #expectRepaint(): void {
    this.#repaint = new Repaint(this.#history.slice(-repaintLines));
  }

  #cleared(scrollbackToo: boolean): void {
    this.#countDropped();
    this.#takeScrolled();
    const base = this.#terminal.buffer.normal.baseY;
    this.#frontier = this.#origin + base;
    this.#places.clear();
    this.#redraws = [];
    this.#wentUp = undefined;
    this.#expectRepaint();
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
    const isLive = (line: LogicalLine) => this.#origin + line.end > liveFrom;
    const redraws = this.#redraws.length > 0;
    const held = redraws ? blockAbove(lines, lines.findIndex(isLive)) : new Set();
    let waiting = false;
    for (const line of lines) {
      const number = this.#origin + line.row;
      const inLive = isLive(line);
      const place = this.#see(number, line.text, now, inLive);
      const inTail = place.live && line.row >= tailFrom;
      if (inTail) tail.add(place.text);
      if (place.printed === place.text) continue;
      const base = held.has(line) ? longestWaitMs : inLive || redraws ? liveMs : settleMs;
      const still = now - place.since >= wait(place, base);
      if (place.printed !== undefined && still) this.#printChanged(place);
      else if (place.printed === undefined && still && !waiting) this.#printNew(place, inTail);
      // In order: what comes after a new line that is not ready waits too.
      else if (place.printed === undefined) waiting = true;
    }
    if (waiting) return;
    this.#tail = tail;
    if (now - this.#fedAt >= settleMs) this.#repaint = undefined;
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

/** Tells the lines that a program draws again, in their old order, from those that it adds. */
class Repaint {
  readonly #old: string[];
  readonly #texts: Set<string>;
  /** What comes next if it goes on drawing again; at the end it has drawn everything. */
  #next = 0;
  #repeated = true;

  constructor(old: string[]) {
    this.#old = old;
    this.#texts = new Set(old);
  }

  repeats(text: string): boolean {
    if (this.#next >= this.#old.length) return false;
    // An empty line belongs to the one above it.
    if (text === "") return this.#repeated;
    const found = this.#old.indexOf(text, this.#next);
    if (found >= 0) this.#next = found + 1;
    this.#repeated = this.#texts.has(text);
    return this.#repeated;
  }
}

/** The last lines above one of them that no empty line parts. */
function blockAbove(lines: readonly LogicalLine[], index: number): Set<LogicalLine> {
  const block = new Set<LogicalLine>();
  for (const line of lines.slice(0, Math.max(index, 0)).toReversed()) {
    if (line.text !== "") block.add(line);
    else if (block.size > 0) break;
  }
  return block;
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
