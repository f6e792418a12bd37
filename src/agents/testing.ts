import type { ConversationEntry, ConversationSource, Json, TokenUsage } from "./conversation.ts";

/** A moment as records have it. */
export const at = (second: number): string => new Date(second * 1000).toISOString();

/** What a reader makes of records, each entry in a line: kind, tool, words, and what else there is. */
export function summarize(source: ConversationSource, records: Json[]): string[] {
  return source.read(records).map((entry) => {
    const marks = [entry.error, entry.retrying === true && "retrying", entry.queued === true && "queued"];
    return [entry.kind, entry.tool, entry.text, ...marks].filter(Boolean).join(" ");
  });
}

export const usages = (entries: ConversationEntry[]): TokenUsage[] =>
  entries.flatMap((entry) => (entry.usage === undefined ? [] : [entry.usage]));
