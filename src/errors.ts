/** What kind of failure it is; decides the exit code. */
export type ErrorKind = "failed" | "usage" | "not-found" | "auth" | "engine" | "timeout" | "interrupted";

/** Exit codes of `hjk`; `exec` and attached sessions pass the child's code instead. */
export const exitCodes: Record<ErrorKind, number> = {
  failed: 1,
  usage: 2,
  "not-found": 3,
  auth: 4,
  engine: 5,
  timeout: 124,
  interrupted: 130,
};

export interface ErrorOptions {
  kind?: ErrorKind;
  /** What the user can do about it, one sentence each. */
  hints?: string[];
  cause?: unknown;
}

/**
 * An error meant for the user: the message says what happened and why, the hints what to do.
 * Only `cli/report-error.ts` renders it and turns it into an exit code.
 */
export class HeadjackError extends Error {
  readonly kind: ErrorKind;
  readonly hints: string[];

  constructor(message: string, options: ErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = "HeadjackError";
    this.kind = options.kind ?? "failed";
    this.hints = options.hints ?? [];
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
