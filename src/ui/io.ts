import { cleanScreen, cleanText } from "./clean.ts";
import { duration } from "./time.ts";

/** The user's terminal, or what stands in for it. */
export interface Streams {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const frameMs = 80;

/** Results go to stdout, everything else to stderr; both are cleaned of what could steer a terminal. */
export class Io {
  readonly #streams: Streams;
  readonly #color: boolean;
  #progress: { text: string; since: number; timer: NodeJS.Timeout; frame: number } | undefined;

  constructor(streams: Streams, env: Record<string, string | undefined>) {
    this.#streams = streams;
    this.#color = streams.stdout.isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  }

  get stdoutIsTerminal(): boolean {
    return this.#streams.stdout.isTTY;
  }

  get stderrIsTerminal(): boolean {
    return this.#streams.stderr.isTTY;
  }

  /** Whether there is a person at both ends: questions can be asked and sessions attached. */
  get isInteractive(): boolean {
    return this.#streams.stdin.isTTY && this.#streams.stdout.isTTY;
  }

  /** Whether standard input is a person's keyboard. */
  get stdinIsTerminal(): boolean {
    return this.#streams.stdin.isTTY;
  }

  get hasColor(): boolean {
    return this.#color;
  }

  /** Size of the terminal; undefined without one. */
  get size(): { cols: number; rows: number } | undefined {
    const { columns, rows, isTTY } = this.#streams.stdout;
    return isTTY && columns > 0 && rows > 0 ? { cols: columns, rows } : undefined;
  }

  /** A line of the result. */
  out(text: string): void {
    this.#clearProgress();
    this.#streams.stdout.write(`${cleanScreen(text)}\n`);
  }

  /** Bytes of the result as they are; the caller has cleaned them or checked that no terminal reads them. */
  outRaw(bytes: Uint8Array | string): void {
    this.#streams.stdout.write(bytes);
  }

  /** Text beside the result that the caller has cleaned. */
  noteRaw(text: string): void {
    this.#streams.stderr.write(text);
  }

  /** A line beside the result: a warning, a hint, what was done. */
  note(text: string): void {
    this.#clearProgress();
    this.#streams.stderr.write(`${cleanText(text, { newlines: true })}\n`);
  }

  /** Says what is being done now: one line that is rewritten, on a terminal only. */
  step(text: string): void {
    if (!this.#streams.stderr.isTTY) return;
    const since = this.#progress?.text === text ? this.#progress.since : Date.now();
    if (this.#progress !== undefined) clearInterval(this.#progress.timer);
    const timer = setInterval(() => this.#drawProgress(), frameMs);
    timer.unref();
    this.#progress = { text, since, timer, frame: 0 };
    this.#drawProgress();
  }

  /** Ends the line of `step`. */
  stepDone(): void {
    this.#clearProgress();
    if (this.#progress !== undefined) clearInterval(this.#progress.timer);
    this.#progress = undefined;
  }

  #drawProgress(): void {
    const progress = this.#progress;
    if (progress === undefined) return;
    progress.frame += 1;
    const elapsed = Date.now() - progress.since;
    const time = elapsed < 1000 ? "" : ` ${duration(elapsed)}`;
    const width = (this.#streams.stderr.columns || 80) - 3 - time.length;
    const text = cleanText(progress.text).slice(0, Math.max(10, width));
    this.#streams.stderr.write(`\r\u001b[K${frames[progress.frame % frames.length]} ${text}${time}`);
  }

  #clearProgress(): void {
    if (this.#progress !== undefined) this.#streams.stderr.write("\r\u001b[K");
  }

  /** Asks a question that Enter answers with no. */
  async confirm(question: string): Promise<boolean> {
    const answer = await this.ask(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  }

  /** Asks for a line; what is typed is not shown when it is secret. Empty at the end of input. */
  async ask(prompt: string, options: { secret?: boolean } = {}): Promise<string> {
    this.#streams.stderr.write(cleanText(prompt, { newlines: true }));
    return options.secret === true && this.#streams.stdin.isTTY
      ? await this.#readHidden()
      : await this.#readLine();
  }

  async #readLine(): Promise<string> {
    const { createInterface } = await import("node:readline");
    const reader = createInterface({ input: this.#streams.stdin });
    const { promise, resolve } = Promise.withResolvers<string>();
    reader.once("line", resolve);
    reader.once("close", () => resolve(""));
    const line = await promise;
    reader.close();
    this.#streams.stdin.pause();
    return line;
  }

  /** Reads keys without showing them; Ctrl+C leaves. */
  async #readHidden(): Promise<string> {
    const { stdin, stderr } = this.#streams;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let text = "";
    const onData = (chunk: Buffer): void => {
      for (const key of chunk.toString("utf8")) {
        if (key === "\r" || key === "\n" || key === "\u0004") resolve(text);
        else if (key === "\u0003") reject(new DOMException("interrupted", "AbortError"));
        else if (key === "\u007f" || key === "\b") text = text.slice(0, -1);
        else text += key;
      }
    };
    stdin.setRawMode(true);
    stdin.on("data", onData);
    stdin.resume();
    try {
      return await promise;
    } finally {
      stdin.off("data", onData);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
    }
  }

  /** All of standard input, for values that are piped in. */
  async readAll(): Promise<string> {
    let text = "";
    this.#streams.stdin.setEncoding("utf8");
    for await (const chunk of this.#streams.stdin) text += String(chunk);
    return text;
  }
}
