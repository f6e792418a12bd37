import { fstatSync, readlinkSync, writeSync } from "node:fs";
import { cleanScreen, cleanText } from "./clean.ts";
import type { TableOptions } from "./table.ts";
import { duration } from "./time.ts";

const fds = { stdin: 0, stdout: 1, stderr: 2 } as const;

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const frameMs = 80;

/** Results go to stdout, everything else to stderr; both are cleaned of what could steer a terminal. */
export class Io {
  readonly #process: NodeJS.Process;
  readonly #isTerminal: Record<keyof typeof fds, boolean>;
  #progress: { text: string; since: number; timer: NodeJS.Timeout; frame: number } | undefined;

  constructor(process: NodeJS.Process) {
    this.#process = process;
    this.#isTerminal = {
      stdin: isTerminal(fds.stdin),
      stdout: isTerminal(fds.stdout),
      stderr: isTerminal(fds.stderr),
    };
  }

  get stdoutIsTerminal(): boolean {
    return this.#isTerminal.stdout;
  }

  get stderrIsTerminal(): boolean {
    return this.#isTerminal.stderr;
  }

  /** Whether standard input is a person's keyboard. */
  get stdinIsTerminal(): boolean {
    return this.#isTerminal.stdin;
  }

  /** Whether there is a person at both ends: sessions can be attached. */
  get isInteractive(): boolean {
    return this.#isTerminal.stdin && this.#isTerminal.stdout;
  }

  get hasColor(): boolean {
    const { env } = this.#process;
    return this.#isTerminal.stdout && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  }

  /** Size of the terminal; undefined without one. */
  get size(): { cols: number; rows: number } | undefined {
    if (!this.#isTerminal.stdout) return undefined;
    // Asked each time: the properties change only for who listens to resizes.
    const [columns, rows] = this.#process.stdout.getWindowSize();
    return columns > 0 && rows > 0 ? { cols: columns, rows } : undefined;
  }

  /** How a table is written to where the result goes. */
  get table(): TableOptions {
    const cols = this.size?.cols;
    return { tty: this.#isTerminal.stdout, ...(cols === undefined ? {} : { width: cols }) };
  }

  /** Path of the terminal that the keyboard belongs to; undefined without one, and where the system does not tell. */
  get terminal(): string | undefined {
    if (!this.#isTerminal.stdin) return undefined;
    try {
      return readlinkSync(`/proc/self/fd/${fds.stdin}`);
    } catch {
      return undefined;
    }
  }

  /** A line of the result. */
  out(text: string): void {
    this.#clearProgress();
    write(fds.stdout, `${cleanScreen(text)}\n`);
  }

  /** Bytes of the result as they are; the caller has cleaned them or checked that no terminal reads them. */
  outRaw(bytes: Uint8Array | string): void {
    write(fds.stdout, bytes);
  }

  /** Text beside the result that the caller has cleaned. */
  noteRaw(text: string): void {
    write(fds.stderr, text);
  }

  /** A line beside the result: a warning, a hint, what was done. */
  note(text: string): void {
    this.#clearProgress();
    write(fds.stderr, `${cleanText(text, { newlines: true })}\n`);
  }

  /** Says what is being done now: one line that is rewritten, on a terminal only. */
  step(text: string): void {
    if (!this.#isTerminal.stderr) return;
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
    const width = (this.#process.stderr.columns || 80) - 3 - time.length;
    const text = cleanText(progress.text).slice(0, Math.max(10, width));
    write(fds.stderr, `\r\u001b[K${frames[progress.frame % frames.length]} ${text}${time}`);
  }

  #clearProgress(): void {
    if (this.#progress !== undefined) write(fds.stderr, "\r\u001b[K");
  }

  /** Asks a question that Enter answers with no. */
  async confirm(question: string): Promise<boolean> {
    const answer = await this.ask(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  }

  /** Asks for a line; what is typed is not shown when it is secret. Empty at the end of input. */
  async ask(prompt: string, options: { secret?: boolean } = {}): Promise<string> {
    write(fds.stderr, cleanText(prompt, { newlines: true }));
    return options.secret === true && this.#isTerminal.stdin
      ? await this.#readHidden()
      : await this.#readLine();
  }

  async #readLine(): Promise<string> {
    const { createInterface } = await import("node:readline");
    const reader = createInterface({ input: this.#process.stdin });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const interrupt = (): void => reject(new DOMException("interrupted", "AbortError"));
    reader.once("line", resolve);
    reader.once("close", () => resolve(""));
    this.#process.once("SIGINT", interrupt);
    try {
      return await promise;
    } finally {
      this.#process.off("SIGINT", interrupt);
      reader.close();
      this.#process.stdin.pause();
    }
  }

  /** Reads keys without showing them; Ctrl+C leaves. */
  async #readHidden(): Promise<string> {
    const { stdin } = this.#process;
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
      write(fds.stderr, "\n");
    }
  }

  /** All of standard input, for values that are piped in. */
  async readAll(limit = Infinity): Promise<string> {
    let text = "";
    this.#process.stdin.setEncoding("utf8");
    for await (const chunk of this.#process.stdin) {
      text += String(chunk);
      if (text.length > limit) break;
    }
    return text;
  }
}

/**
 * Writes all of it before it returns. Not by process.stdout: that loads Node's streams, which takes as
 * long as all of `hjk --version`, and loses output of a process that ends early.
 */
export function write(fd: number, data: string | Uint8Array): void {
  let bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      // A reader that has seen enough (`hjk logs | head`) is no failure.
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      // A pipe that another process has set to non-blocking is full.
      Bun.sleepSync(1);
    }
  }
}

/** Whether a file descriptor is a terminal; the cheap half of the question first. */
function isTerminal(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice() && process.getBuiltinModule("node:tty").isatty(fd);
  } catch {
    return false;
  }
}
