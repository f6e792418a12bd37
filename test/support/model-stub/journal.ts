import type { ServerResponse } from "node:http";

/** One request for an answer, as GET /_journal shows it: the truth about when the model was at work. */
export interface JournalEntry {
  /** The CLI whose API it came by. */
  agent: string;
  /** A request of the CLI's own, for a title or a routing; no part of the conversation. */
  side: boolean;
  /** Start of the newest prompt of a person. */
  prompt: string;
  /** The prompts since the last answer, which a CLI may send together. */
  prompts: string[];
  /** Unix times in ms; no end yet while the answer is on its way. */
  at: number;
  endedAt: number | null;
  status: number | null;
  how: "running" | "answered" | "failed" | "died" | "hung up";
}

const entries: JournalEntry[] = [];
const limit = 20_000;

export function journal(): readonly JournalEntry[] {
  return entries;
}

/** Enters a request, and how it ended once it has. `dies`: the stand-in will break it off. */
export function enter(
  response: ServerResponse,
  what: Pick<JournalEntry, "agent" | "side" | "prompt" | "prompts">,
  dies: boolean,
): void {
  const entry: JournalEntry = { ...what, at: Date.now(), endedAt: null, status: null, how: "running" };
  entries.push(entry);
  if (entries.length > limit) entries.shift();
  response.on("close", () => {
    entry.endedAt = Date.now();
    entry.status = response.headersSent ? response.statusCode : null;
    if (dies) entry.how = "died";
    else if (!response.writableEnded) entry.how = "hung up";
    else entry.how = response.statusCode < 400 ? "answered" : "failed";
  });
}
