import type { ConversationEntry, ErrorKind, Json, TokenUsage } from "./conversation.ts";

/* Fields of an agent's records, which may hold anything: what is not of the expected kind counts as absent. */

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function words(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A name of a model or a tool; undefined when there is none. */
export function name(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** More tokens than any answer has: a count beyond is made up, and would drown all others in a sum. */
const highestCount = 1e9;

export function count(value: unknown): number {
  return typeof value === "number" && value > 0 && value <= highestCount ? Math.floor(value) : 0;
}

/** Unix time in milliseconds of a moment written as text. */
export function moment(value: unknown): number | null {
  const at = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isFinite(at) ? at : null;
}

/** The words of a message: text, or a list of parts of which some have text. */
export function wordsOf(content: unknown): string {
  if (typeof content === "string") return content;
  return list(content)
    .map((part) => words(object(part)["text"]))
    .filter((text) => text !== "")
    .join("\n");
}

/** Input or output of a tool as text: words as they are, anything else as JSON. */
export function asText(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    // Nested deeper than the stack reaches.
    return "";
  }
}

/** What an error means for the user, by its HTTP status where there is one, or else by its words. */
export function errorKind(message: string, status?: unknown): ErrorKind {
  if (status === 401 || status === 403) return "login";
  if (status === 429 || status === 529) return "rate-limit";
  // First: what is said of a limit often names the page with the keys.
  if (/\b(?:429|529)\b|rate.?limit|overload|usage.?limit|quota|too many requests/i.test(message))
    return "rate-limit";
  if (/\b(?:401|403)\b|log ?in|logged ?(?:in|out)|unauth|authenticat|api[ _-]?key/i.test(message))
    return "login";
  return "other";
}

/** Adds the usage of an answer to the entry that stands for it, or for several that left nothing else to show. */
export function addUsage(entry: ConversationEntry, usage: TokenUsage): void {
  const before = entry.usage ?? { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  entry.usage = {
    input: before.input + usage.input,
    output: before.output + usage.output,
    cacheRead: before.cacheRead + usage.cacheRead,
    cacheWrite: before.cacheWrite + usage.cacheWrite,
  };
}

/** Ends a turn of which no end was recorded, with the last thing that happened in it. */
export function endTurn(entries: ConversationEntry[]): void {
  const last = entries.at(-1);
  if (last === undefined || last.kind === "prompt" || isOver(last)) return;
  entries.push({ kind: "turn-end", at: last.at, text: "" });
}

/** Whether no turn goes on after an entry. */
export function isOver(last: ConversationEntry | undefined): boolean {
  if (last === undefined || last.kind === "turn-end" || last.kind === "interrupt") return true;
  return last.kind === "error" && last.retrying !== true;
}
