import { startInstance, type EnsuredInstance } from "../core/instance.ts";
import { hooksOf } from "../core/image.ts";
import { needsSetUp, setUp, type Hooks } from "../core/set-up.ts";
import type { InstanceRecord } from "../store/records.ts";
import { cleanStream } from "../ui/clean.ts";
import type { Context } from "./context.ts";

/** Starts an instance that is stopped, and makes sure that it is set up. */
export async function startAndSetUp(
  context: Context,
  instance: InstanceRecord,
  options: { finish: boolean } = { finish: true },
): Promise<EnsuredInstance["outcome"]> {
  const outcome = await startInstance(context.deps(), instance, (step) => context.io.step(step));
  await setUpAndTell(context, instance, options);
  return outcome;
}

/** What has to be run in an instance: what its dev container asks for, then what the user has set. */
export async function hooksFor(context: Context, instance: InstanceRecord): Promise<Hooks> {
  const [own, { hooks }] = await Promise.all([hooksOf(context.deps(), instance.image), context.config()]);
  return { create: [...own.create, ...hooks.create], start: [...own.start, ...hooks.start] };
}

/** Runs what has to be run in an instance where they have yet to be run, and shows on a terminal what they print. */
export async function setUpAndTell(
  context: Context,
  instance: InstanceRecord,
  { finish }: { finish: boolean } = { finish: true },
): Promise<void> {
  const { io } = context;
  // The configuration is read only where it matters: start-up time counts.
  if (!(await needsSetUp(context.deps(), instance))) return;
  const streams = { stdout: indented(), stderr: indented() };
  const state = await setUp(context.deps(), instance, {
    hooks: await hooksFor(context, instance),
    finish,
    onCommand: (step, line) => {
      io.stepDone();
      io.note(`Setting up ${instance.branch} (hooks.${step}): ${line}`);
    },
    ...(io.stderrIsTerminal
      ? {
          onOutput: (chunk: Uint8Array, stream: keyof typeof streams) =>
            io.noteRaw(streams[stream].write(chunk)),
        }
      : {}),
    onWait: () => io.step(`waiting for another hjk that sets up ${instance.branch}`),
    signal: context.signal,
  }).finally(() => io.noteRaw(streams.stdout.end() + streams.stderr.end()));
  if (state === "done") return;
  io.stepDone();
  io.note(
    `warning: hooks.create has not succeeded on ${instance.branch} yet: hjk recreate ${instance.branch}`,
  );
}

/** Whole lines of a program's output, cleaned and set off from our own. */
function indented(): { write: (chunk: Uint8Array) => string; end: () => string } {
  const cleaner = cleanStream({ colour: false });
  let rest = "";
  const lines = (text: string): string => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    return parts.map((line) => `  | ${line}\n`).join("");
  };
  return {
    write: (chunk) => lines(cleaner.write(chunk)),
    end: () => lines(`${cleaner.end()}${rest === "" ? "" : "\n"}`),
  };
}
