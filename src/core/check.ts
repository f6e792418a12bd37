import { runStreaming } from "../drivers/process.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { newSessionId } from "./names.ts";
import { endProcesses, sessionVariable } from "./session.ts";

/**
 * Runs a line of shell in the container of a running instance and passes on what it prints; returns its
 * exit code. What it leaves running when it fails or is interrupted is ended; its processes are marked by `id`.
 */
export async function runCheck(
  deps: Deps,
  instance: InstanceRecord,
  line: string,
  how: { onOutput: (chunk: Uint8Array, stream: "stdout" | "stderr") => void; signal: AbortSignal },
  id = newSessionId(),
): Promise<number> {
  const engine = await deps.engine();
  const command = engine.execCommand(instance.container, ["sh", "-c", line], {
    tty: false,
    environment: { [sessionVariable]: id },
  });
  let code = 1;
  try {
    code = await runStreaming(command, { env: { ...deps.env, ...engine.environment }, ...how });
    return code;
  } finally {
    if (code !== 0) await endProcesses(deps, instance, id);
  }
}
