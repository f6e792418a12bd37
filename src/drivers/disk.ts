import { exists } from "./instance-files.ts";
import { runUnchecked, type Environment } from "./process.ts";

/** What something takes on disk. */
export interface Size {
  bytes: number;
  /** False where some of it could not be read, so that it is at least this. */
  complete: boolean;
}

/**
 * What folders take on disk: by `du`, which follows no link and does not leave the file system, also where an agent
 * moves things about meanwhile. Undefined when there was not time enough.
 */
export async function diskUsage(
  folders: readonly string[],
  options: { env: Environment; signal: AbortSignal },
): Promise<Size | undefined> {
  const size = { bytes: 0, complete: true };
  for (const folder of folders.filter((path) => exists(path))) {
    if (options.signal.aborted) return undefined;
    const result = await runUnchecked(["du", "-skx", "--", folder], options).catch(() => undefined);
    const [, kilobytes] = /^(\d+)\t/.exec(result?.stdout ?? "") ?? [];
    if (result === undefined || kilobytes === undefined) return undefined;
    size.bytes += Number(kilobytes) * 1024;
    size.complete &&= result.code === 0;
  }
  return size;
}
