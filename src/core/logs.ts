import {
  readRecording,
  recordedSizes,
  RecordingReader,
  recordTime,
  type Recording,
} from "../drivers/recording.ts";
import type { SessionRecord } from "../store/records.ts";
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
  return await rendered(session, await readRecording(session.log, full ? wholeBytes : tailBytes));
}

/**
 * What a session has shown since a moment (Unix time in ms): from the first line that is new or has
 * changed. Where it is not known exactly when a line came, it is shown.
 */
export async function linesSince(session: SessionRecord, since: number): Promise<string[]> {
  const recording = await readRecording(session.log, tailBytes, since);
  return await rendered(session, recording, recording.since);
}

async function rendered(session: SessionRecord, recording: Recording, since?: number): Promise<string[]> {
  const { bytes, whole, resizes } = recording;
  const { cols, rows } = firstSize(session, recording);
  return await renderRecording(
    bytes,
    { cols, rows },
    {
      tail: !whole,
      scrollback: 100_000,
      resizes: resizes.filter((size) => size.offset > 0),
      ...(since === undefined ? {} : { since }),
    },
  );
}

function firstSize(session: SessionRecord, recording: Recording): { cols: number; rows: number } {
  return recording.resizes.findLast((size) => size.offset === 0) ?? session;
}

/** Notes in the recordings of a screen at rest that what they hold has come by now. */
export async function noteRest(deps: Deps, screen: string): Promise<void> {
  const resting = deps.store
    .sessions(screen.slice(0, screen.indexOf("/")))
    .filter(
      (session) => session.state !== "ended" && screenName(session.instanceId, session.name) === screen,
    );
  await Promise.all(resting.map((session) => recordTime(session.log)));
}

/** The last lines of a session that has ended. */
export async function lastLines(deps: Deps, session: SessionRecord, count: number): Promise<string[]> {
  return (await sessionLines(deps, session, false)).slice(-count);
}

/** The recording itself, escape codes and all; or what came since a moment. */
export async function rawRecording(session: SessionRecord, since?: number): Promise<Uint8Array> {
  return (await readRecording(session.log, since === undefined ? wholeBytes : 0, since)).bytes;
}

/** New lines of a living session as they settle, until it ends or `signal` says so; first those since a moment. */
export async function* followSession(
  deps: Deps,
  session: SessionRecord,
  signal: AbortSignal,
  since?: number,
): AsyncGenerator<string[]> {
  const recording = await readRecording(
    session.log,
    since === undefined ? followTailBytes : tailBytes,
    since,
  );
  const reader = RecordingReader.after(session.log, recording);
  const { cols, rows } = firstSize(session, recording);
  const follower = await Follower.open({ cols, rows });
  yield await follower.catchUp(recording, since === undefined ? 0 : recording.since);
  let size = recording.resizes.at(-1) ?? session;
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
        // The recorder may be a little behind with what the program said last.
        for (let rest = 1; rest > 0;) {
          await Bun.sleep(followPollMs);
          const last = await reader.next();
          await follower.feed(last);
          rest = last.length;
        }
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
