/*
 * What the gateway says, a JSON object a line. An agent causes nearly all of it and chooses many of the words, so each
 * line is short and plain ASCII, equal ones are counted in place of repeated, and there are only so many in a minute.
 */

/** One decision. */
export interface Entry {
  event: "allow" | "deny" | "api" | "api-deny";
  host?: string;
  port?: number;
  method?: string;
  path?: string;
  why?: string;
  status?: number;
  /** Of the answer's body. */
  bytes?: number;
}

/** How long equal entries are gathered after the first. */
const gatherMs = 10_000;
/** Lines of one kind of event in a minute. What is more is only counted. */
const linesPerMinute = 60;
/** Different entries that are gathered at a time. */
const mostGathered = 200;

/** Printable ASCII, and not much of it. */
export function plain(text: string, length = 200): string {
  const cut = text.slice(0, length + 1).replace(/[^\x20-\x7e]/g, "?");
  return cut.length > length ? `${cut.slice(0, length)}...` : cut;
}

interface Gathered {
  entry: Entry;
  times: number;
  bytes: number;
}

/** The log. `write` gets whole lines, with their newline. */
export class Log {
  readonly #write: (line: string) => void;
  readonly #gathered = new Map<string, Gathered>();
  readonly #left = new Map<Entry["event"], number>();
  readonly #dropped = new Map<Entry["event"], number>();
  readonly #timers: NodeJS.Timeout[];

  constructor(write: (line: string) => void) {
    this.#write = write;
    this.#timers = [setInterval(() => this.#settle(), gatherMs), setInterval(() => this.#minute(), 60_000)];
    for (const timer of this.#timers) timer.unref();
  }

  /** What the one who configures the gateway waits for: always written. */
  say(message: { event: "configured" | "refused"; id?: string; reason?: string }): void {
    const { reason, ...rest } = message;
    this.#put(reason === undefined ? rest : { ...rest, reason: plain(reason) });
  }

  /** Notes a decision. */
  note(entry: Entry): void {
    const { bytes = 0, ...rest } = clean(entry);
    const key = JSON.stringify(rest);
    const known = this.#gathered.get(key);
    if (known !== undefined) {
      known.times++;
      known.bytes += bytes;
      return;
    }
    const left = this.#left.get(entry.event) ?? linesPerMinute;
    if (left <= 0) {
      this.#dropped.set(entry.event, (this.#dropped.get(entry.event) ?? 0) + 1);
      return;
    }
    this.#left.set(entry.event, left - 1);
    if (this.#gathered.size < mostGathered) this.#gathered.set(key, { entry: rest, times: 0, bytes: 0 });
    this.#line(entry.bytes === undefined ? rest : { ...rest, bytes });
  }

  /** Writes what is still gathered, and ends. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#settle();
    this.#minute();
  }

  /** The lines that equal entries have been gathered for. */
  #settle(): void {
    for (const { entry, times, bytes } of this.#gathered.values())
      if (times > 0) this.#line({ ...entry, ...(bytes > 0 ? { bytes } : {}), times });
    this.#gathered.clear();
  }

  #minute(): void {
    for (const [event, times] of this.#dropped) this.#line({ event, why: "too-many-entries", times });
    this.#dropped.clear();
    this.#left.clear();
  }

  #line(entry: Entry & { times?: number }): void {
    this.#put({ t: new Date().toISOString(), ...entry });
  }

  #put(line: object): void {
    this.#write(`${JSON.stringify(line)}\n`);
  }
}

function clean(entry: Entry): Entry {
  const copy = { ...entry };
  for (const key of ["host", "method", "path", "why"] as const) {
    const text = copy[key];
    if (text !== undefined) copy[key] = plain(text, key === "method" ? 20 : undefined);
  }
  return copy;
}
