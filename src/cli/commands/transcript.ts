import { type Command, Option } from "@commander-js/extra-typings";
import { InvalidArgumentError } from "commander";
import { findAgent } from "../../agents/index.ts";
import { transcriptOf, type TranscriptEntry } from "../../core/transcript.ts";
import { cleanText } from "../../ui/clean.ts";
import { formatJson, formatJsonLine } from "../../ui/json.ts";
import { clock, iso } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { briefSyncMs, findInstance, findSession, syncAndTell } from "../find.ts";

/** Lines of a tool's output, and characters of one line of it or of a call, that a person is shown. */
const shownLines = 8;
const shownWidth = 160;

export function addTranscript(program: Command, context: Context): void {
  program
    .command("transcript")
    .summary("show what was said in an agent's session")
    .description(
      "Shows the conversation with an agent as the agent has recorded it, in one form for every agent; also of a " +
        "session that has ended or whose instance is stopped.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[session]", "name of the session; may be left out where there is only one, or one agent's")
    .option("-n, --last <number>", "the last entries only", toCount)
    .addOption(new Option("--json", "as JSON").conflicts("jsonl"))
    .addOption(new Option("--jsonl", "as JSON, one entry a line"))
    .addHelpText(
      "after",
      `
Outputs of tools are shortened, except in JSON. Every entry there has: role (user, assistant, tool, or agent for errors
and the like), at, text, tool (name and input of a call), model, tokens (input, output, cacheRead, cacheWrite), costUsd,
error (login, rate-limit, other), retrying, queued, interrupted.

Examples:
  $ hjk transcript feat/login                     the only session, or the only agent's
  $ hjk transcript feat/login happy-panda -n 5    what was last said?
  $ hjk transcript feat/login --jsonl | jq -r 'select(.role == "user").text'`,
    )
    .action(async (branch, name, options) => {
      const instance = await findInstance(context, branch);
      const session = findSession(context, instance, name);
      const deps = context.deps();
      const { entries, whole } = transcriptOf(deps, instance, session);
      deps.store.updateSession(session.id, { accessedAt: deps.now() });
      const shown =
        options.last === undefined ? entries : entries.slice(Math.max(0, entries.length - options.last));
      const { io } = context;
      if (options.jsonl === true) for (const entry of shown) io.out(formatJsonLine(entryJson(entry)));
      else if (options.json === true) {
        const about = { version: 1, branch: instance.branch, session: session.name, agent: session.type };
        io.out(formatJson({ ...about, entries: shown.map(entryJson) }));
      } else {
        const title = findAgent(session.type)?.title ?? session.type;
        for (const line of transcriptLines(shown, title)) io.out(line);
      }
      if (!whole) io.note("warning: The conversation is longer than is read; its beginning is left out.");
      await syncAndTell(context, instance, briefSyncMs);
    });
}

/** Lines for a person: who and when once, until another speaks. */
function transcriptLines(entries: TranscriptEntry[], agent: string): string[] {
  const lines: string[] = [];
  let speaker = "";
  for (const entry of entries) {
    const next = entry.role === "user" ? "You" : agent;
    if (next !== speaker || entry.role === "user") {
      const parts = [next, ...(entry.at === null ? [] : [clock(new Date(entry.at))]), entry.model ?? ""];
      const title = parts.filter((part) => part !== "").join("  ");
      lines.push(...(lines.length === 0 ? [] : [""]), cleanText(title));
      speaker = next;
    }
    // One by one: a call with more arguments than the stack holds would throw.
    for (const line of entryLines(entry)) lines.push(line);
  }
  return lines;
}

function entryLines(entry: TranscriptEntry): string[] {
  if (entry.tool !== undefined) {
    const { name, input } = entry.tool;
    return [`  > ${short(`${name} ${typeof input === "string" ? input : JSON.stringify(input)}`)}`];
  }
  const lines = cleanText(entry.text, { newlines: true }).trimEnd().split("\n");
  if (entry.role === "tool") {
    const more = lines.length - shownLines;
    const shown = lines.slice(0, more === 1 ? lines.length : shownLines).map(short);
    return [...shown, ...(more > 1 ? [`... ${more} more lines`] : [])].map((line) => `    ${line}`.trimEnd());
  }
  const marks = [
    ...(entry.queued === true ? ["(waits for the agent)"] : []),
    ...(entry.retrying === true ? ["(it tries again)"] : []),
  ];
  const sign = entry.role === "agent" ? "! " : "";
  return [...lines, ...marks].map((line, index) => `  ${index === 0 ? sign : ""}${line}`.trimEnd());
}

/** The beginning of a text, in one line. */
function short(text: string): string {
  const line = cleanText(text.slice(0, shownWidth * 2)).trimEnd();
  return line.length > shownWidth || text.length > shownWidth * 2
    ? `${line.slice(0, shownWidth - 3)}...`
    : line;
}

/** Every field in every entry, as programs like it. */
function entryJson(entry: TranscriptEntry): object {
  return {
    role: entry.role,
    at: entry.at === null ? null : iso(new Date(entry.at)),
    text: entry.text,
    tool: entry.tool ?? null,
    model: entry.model ?? null,
    tokens: entry.tokens ?? null,
    costUsd: entry.cost ?? null,
    error: entry.error ?? null,
    retrying: entry.retrying === true,
    queued: entry.queued === true,
    interrupted: entry.interrupted === true,
  };
}

function toCount(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new InvalidArgumentError("It takes a number of entries.");
}
