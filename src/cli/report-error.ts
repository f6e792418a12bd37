import type { CommanderError } from "commander";
import { ProcessError } from "../drivers/process.ts";
import { exitCodes, HeadjackError, messageOf } from "../errors.ts";
import { cleanText } from "../ui/clean.ts";

/** An exit code that a command passes on from its child. */
export class ChildExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`the program exited with code ${code}`);
    this.code = code;
  }
}

/** Prints an error in a few lines and returns the exit code: the only place that does either. */
export function reportError(error: unknown, write: (text: string) => void, debug: boolean): number {
  if (error instanceof ChildExit) return error.code;
  if (isParserError(error)) {
    // Commander has printed its message, with the help it belongs to.
    return error.exitCode === 0 ? 0 : exitCodes.usage;
  }
  if (isInterruption(error)) {
    write("Interrupted.\n");
    return exitCodes.interrupted;
  }
  if (isOutputFault(error)) {
    write(`error: The output could not be written (${error.code}): is the disk full, or the device gone?\n`);
    return exitCodes.failed;
  }
  const known = error instanceof HeadjackError;
  const internal = known || error instanceof ProcessError ? "" : "internal ";
  write(`${internal}error: ${cleanText(messageOf(error), { newlines: true })}\n`);
  for (const hint of known ? error.hints : []) write(`hint: ${cleanText(hint, { newlines: true })}\n`);
  if (internal !== "")
    write("hint: This is a fault of Headjack; `hjk --debug ...` shows where it came from.\n");
  if (debug && error instanceof Error) write(`${cleanText(error.stack ?? "", { newlines: true })}\n`);
  return known ? exitCodes[error.kind] : 1;
}

/** What standard output or error is connected to takes no more. */
function isOutputFault(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "syscall" in error && error.syscall === "write" && "code" in error;
}

/** By its name: the class would load the parser, which `hjk ps` does without. */
function isParserError(error: unknown): error is CommanderError {
  return error instanceof Error && "code" in error && String(error.code).startsWith("commander.");
}

function isInterruption(error: unknown): boolean {
  if (error instanceof ProcessError) return error.reason === "aborted";
  return error instanceof DOMException && error.name === "AbortError";
}
