import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";

/**
 * Rings the bell of a terminal. Its path was noted long ago: by now it may be somebody else's, or
 * nothing, so only a terminal of this user is written to, and never waited for. Whether it was rung.
 */
export function ringBell(terminal: string, uid: number): boolean {
  if (!/^\/dev\/(pts\/\d+|tty\w+)$/.test(terminal)) return false;
  let descriptor: number | undefined;
  try {
    const flags = constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
    descriptor = openSync(terminal, flags);
    const found = fstatSync(descriptor);
    return found.isCharacterDevice() && found.uid === uid && writeSync(descriptor, "\u0007") === 1;
  } catch {
    // Closed, not ours, or held with Ctrl+S.
    return false;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
