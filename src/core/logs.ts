import { readRecording, recordedSizes, RecordingReader } from "../drivers/recording.ts";
import type { SessionRecord } from "../store/store.ts";
import type { Deps } from "./deps.ts";
import { Follower } from "./screen/follow.ts";
import { renderRecording } from "./screen/render.ts";
import { refreshSessions, screenName } from "./session.ts";

/** Bytes at the end of a recording that are rendered unless all is asked for: 0.2 s of work. */
const tailBytes = 2 * 1024 * 1024;
const wholeBytes = 64 * 1024 * 1024;

/** Lines that can be scrolled back to while a session lives. */
const liveScrollback = 20_000;

/** A terminal keeps a little more than a screenful of what a follower has seen. */
const followTailBytes = 64 * 1024;
const followPollMs = 100;

/** What a session showed, as lines of plain text; hostile, so whoever prints it cleans it. */
export async function sessionLines(deps: Deps, session: SessionRecord, full: boolean): Promise<string[]> {
  if (session.state !== "ended") {
    const screen = await deps.tmux.capture(screenName(session.instanceId, session.name), liveScrollback);
    if (screen !== undefined) return trimEnd(screen.split("\n").map((line) => line.trimEnd()));
  }
  const { bytes, whole, resizes } = await readRecording(session.log, full ? wholeBytes : tailBytes);
  const first = resizes.findLast((size) => size.offset === 0) ?? session;
  return await renderRecording(
    bytes,
    { cols: first.cols, rows: first.rows },
    { tail: !whole, scrollback: 100_000, resizes: resizes.filter((size) => size.offset > 0) },
  );
}

/** The last lines of a session that has ended. */
export async function lastLines(deps: Deps, session: SessionRecord, count: number): Promise<string[]> {
  return (await sessionLines(deps, session, false)).slice(-count);
}

/** The recording itself, escape codes and all. */
export async function rawRecording(session: SessionRecord): Promise<Uint8Array> {
  return (await readRecording(session.log, wholeBytes)).bytes;
}

/** New lines of a living session as they settle, until it ends or `signal` says so. */
export async function* followSession(
  deps: Deps,
  session: SessionRecord,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  let size = (await recordedSizes(session.log)).at(-1) ?? session;
  const follower = await Follower.open({ cols: size.cols, rows: size.rows });
  const reader = await RecordingReader.open(session.log, followTailBytes);
  let quiet = 0;
  while (!signal.aborted) {
    const now = (await recordedSizes(session.log)).at(-1) ?? size;
    if (now.cols !== size.cols || now.rows !== size.rows) follower.resize(now);
    size = now;
    const bytes = await reader.next();
    if (bytes.length > 0) await follower.feed(bytes);
    const lines = follower.settled(Date.now());
    if (lines.length > 0) yield lines;
    quiet = bytes.length > 0 ? 0 : quiet + 1;
    // Asking the store and tmux costs more than asking the file; an end is seen within a second.
    if (quiet > 0 && quiet % 10 === 0) {
      await refreshSessions(deps);
      if (deps.store.session(session.id)?.state === "ended") {
        const rest = await reader.next();
        if (rest.length > 0) await follower.feed(rest);
        break;
      }
    }
    await Bun.sleep(followPollMs);
  }
  yield follower.finish();
}

function trimEnd(lines: string[]): string[] {
  const last = lines.findLastIndex((line) => line !== "");
  return lines.slice(0, last + 1);
}
