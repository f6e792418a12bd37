import { cleanText } from "./clean.ts";

/** As git does it by default. */
const colours = { header: "1", hunk: "36", added: "32", deleted: "31" } as const;

/**
 * The text of a diff for a terminal. What stands in the files is cleaned of every escape sequence, also
 * of colours: with them a line could hide, or look like another. The colours are ours alone.
 */
export class DiffText {
  readonly #colour: boolean;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #inHunk = false;

  constructor(options: { colour: boolean }) {
    this.#colour = options.colour;
  }

  write(chunk: Uint8Array): string {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => `${this.#line(line)}\n`).join("");
  }

  end(): string {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return rest === "" ? "" : `${this.#line(rest)}\n`;
  }

  #line(line: string): string {
    if (line.startsWith("diff ")) this.#inHunk = false;
    const isHunkHead = line.startsWith("@@");
    if (isHunkHead) this.#inHunk = true;
    const text = cleanLine(line);
    if (!this.#colour || text === "") return text;
    const kind = isHunkHead ? "hunk" : this.#inHunk ? ofContent[line.charAt(0)] : "header";
    return kind === undefined ? text : `\u001B[${colours[kind]}m${text}\u001B[m`;
  }
}

const ofContent: Record<string, keyof typeof colours> = { "+": "added", "-": "deleted" };

/** One line stays one: a return inside it would begin a line that looks like git's own. */
function cleanLine(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  return cleanText(text, { newlines: true }).replaceAll("\n", "\uFFFD");
}
