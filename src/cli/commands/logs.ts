import type { Command } from "@commander-js/extra-typings";
import { InvalidArgumentError } from "commander";
import { followSession, linesSince, rawRecording, sessionLines } from "../../core/logs.ts";
import { HeadjackError } from "../../errors.ts";
import { cleanText } from "../../ui/clean.ts";
import { parseMoment } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { briefSyncMs, findInstance, findSession, syncAndTell } from "../find.ts";

/** Lines shown unless told otherwise: a few screens. */
const defaultLines = 100;

export function addLogs(program: Command, context: Context): void {
  program
    .command("logs")
    .summary("show what a session printed")
    .description(
      "Shows what a session printed, as text; also of one that has ended or whose instance is stopped.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[session]", "name of the session; may be left out where there is only one, or one agent's")
    .option("-f, --follow", "go on and print new lines as they settle")
    .option("-n, --lines <number>", `show the last lines only (default: ${defaultLines})`, toCount)
    .option("--since <time>", "show what came since: a length of time ago (10m, 1h30m) or a date", toMoment)
    .option("--full", "show everything that was recorded")
    .option("--raw", "the recording itself, escape codes and all; into a file or pipe only")
    .addHelpText(
      "after",
      `
Examples:
  $ hjk logs feat/login                        the only session, or the only agent's
  $ hjk logs feat/login happy-panda -n 20      has it a question?
  $ hjk logs feat/login happy-panda -f         Ctrl+C ends
  $ hjk logs feat/login --since 2h             what came in the last two hours
  $ hjk logs feat/login --since 2026-11-25T08:00 -f
  $ hjk logs feat/login --raw > session.raw    for a terminal player`,
    )
    .action(async (branch, name, options) => {
      const instance = await findInstance(context, branch);
      const session = findSession(context, instance, name);
      const deps = context.deps();
      deps.store.updateSession(session.id, { accessedAt: deps.now() });
      if (options.raw === true) {
        if (context.io.stdoutIsTerminal) {
          throw new HeadjackError("--raw could change your terminal, so it goes into a file or pipe only.", {
            kind: "usage",
            hints: [`hjk logs ${instance.branch} ${session.name} --raw > session.raw`],
          });
        }
        context.io.outRaw(await rawRecording(session, options.since));
        return;
      }
      const { since } = options;
      const all = options.full === true || since !== undefined;
      const count = options.lines ?? (all ? Infinity : defaultLines);
      if (options.follow === true && session.state !== "ended") {
        for await (const lines of followSession(deps, session, context.signal, since)) print(context, lines);
        return;
      }
      const lines =
        since === undefined
          ? await sessionLines(deps, session, options.full === true)
          : await linesSince(session, since);
      print(context, count === Infinity ? lines : lines.slice(Math.max(0, lines.length - count)));
      await syncAndTell(context, instance, briefSyncMs);
    });
}

function print(context: Context, lines: string[]): void {
  for (const line of lines) context.io.out(cleanText(line));
}

function toCount(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new InvalidArgumentError("It takes a number of lines.");
}

function toMoment(text: string): number {
  const now = Date.now();
  const moment = parseMoment(text, now);
  if (moment === undefined) {
    throw new InvalidArgumentError(
      "It takes a length of time, as 90s, 10m, 2h, 1d or 1h30m, or a date, as 2026-11-25 or 2026-11-25T08:00.",
    );
  }
  if (moment > now) throw new InvalidArgumentError("That time has yet to come.");
  return moment;
}
