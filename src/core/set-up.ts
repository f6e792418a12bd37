import { instanceFiles, pendingSetUp, setUpDone, type SetUpStep } from "../drivers/instance-files.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import { runCheck } from "./check.ts";
import { instanceFolder, type Deps } from "./deps.ts";
import { endProcesses } from "./session.ts";

/** Lines of shell that run in a container: once it has been made, and each time it has been started. */
export type Hooks = Record<SetUpStep, readonly string[]>;

export interface SetUpOptions {
  hooks: Hooks;
  /** False for whoever wants to look at an instance as it is: nothing is run where `hooks.create` has yet to succeed. */
  finish: boolean;
  onCommand: (step: SetUpStep, line: string) => void;
  /** Shows what a command prints; without it the error has the last lines. */
  onOutput?: (chunk: Uint8Array, stream: "stdout" | "stderr") => void;
  onWait: () => void;
  signal: AbortSignal;
}

/** Marks the processes of a set-up, so that a later one can end what a killed command has left. */
const mark = "setup";

/** Bytes of a command's output that are kept for the error, and lines of it that are told. */
const keptBytes = 64 * 1024;
const toldLines = 40;

/** Whether something may have to be run before an instance's next session. */
export async function needsSetUp(deps: Deps, instance: InstanceRecord): Promise<boolean> {
  return (await pendingSetUp(instanceFiles(instanceFolder(deps, instance)))) !== undefined;
}

/**
 * Runs what has to be run in a running container before its first session. What has failed or was
 * interrupted is pending still: the next command that starts a session runs it again. `unfinished` when
 * that is left to another command.
 */
export async function setUp(
  deps: Deps,
  instance: InstanceRecord,
  options: SetUpOptions,
): Promise<"done" | "unfinished"> {
  const { hooks } = options;
  const files = instanceFiles(instanceFolder(deps, instance));
  const none = hooks.create.length + hooks.start.length === 0;
  if (none) await setUpDone(files);
  const first = await pendingSetUp(files);
  if (first === undefined) return "done";
  if (first === "create" && !options.finish) return "unfinished";
  await deps.store.withLock(
    `setup:${instance.id}`,
    async () => {
      const pending = await pendingSetUp(files);
      if (pending === undefined) return;
      await endProcesses(deps, instance, mark);
      const steps: SetUpStep[] = pending === "create" ? ["create", "start"] : ["start"];
      for (const step of steps)
        for (const line of hooks[step]) await runHook(deps, instance, step, line, options);
      await setUpDone(files);
    },
    { signal: options.signal, onWait: options.onWait },
  );
  return "done";
}

async function runHook(
  deps: Deps,
  instance: InstanceRecord,
  step: SetUpStep,
  line: string,
  { onCommand, onOutput, signal }: SetUpOptions,
): Promise<void> {
  onCommand(step, line);
  let output = Buffer.alloc(0);
  const keep = (chunk: Uint8Array): void => {
    output = Buffer.concat([output, chunk]).subarray(-keptBytes);
  };
  const code = await runCheck(deps, instance, line, { onOutput: onOutput ?? keep, signal }, mark);
  if (code === 0) return;
  if (deps.store.instanceById(instance.id)?.state !== "ready") {
    throw new HeadjackError(`The instance of ${instance.branch} was removed meanwhile, by another command.`);
  }
  const last = output.toString("utf8").trimEnd().split("\n").slice(-toldLines).join("\n");
  throw new HeadjackError(
    `hooks.${step} failed on ${instance.branch} with exit code ${code}: ${line}${last === "" ? "" : `\n${last}`}`,
    {
      hints: [
        `Its instance is there, and no session was started. Look around: hjk exec ${instance.branch}`,
        `Try again in a new container, files kept: hjk recreate ${instance.branch}`,
      ],
    },
  );
}
