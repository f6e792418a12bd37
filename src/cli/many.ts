import { ChildExit, reportError } from "./report-error.ts";
import type { Context } from "./context.ts";
import type { InstanceRecord } from "../store/records.ts";
import { findInstance } from "./find.ts";

/**
 * Does something to several instances, in the order given; a failure is told and the rest goes on.
 * The exit code is that of the first failure.
 */
export async function forEachInstance(
  context: Context,
  names: readonly string[],
  work: (instance: InstanceRecord) => Promise<void>,
): Promise<void> {
  let firstFailure: number | undefined;
  for (const name of names) {
    context.signal.throwIfAborted();
    try {
      await work(await findInstance(context, name, { offerNew: false }));
    } catch (error) {
      if (names.length === 1) throw error;
      context.io.stepDone();
      const code = reportError(error, (text) => context.io.note(text.trimEnd()), false);
      firstFailure ??= code;
    }
  }
  if (firstFailure !== undefined) throw new ChildExit(firstFailure);
}
