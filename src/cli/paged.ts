import { repositoryOf } from "../core/container.ts";
import { Pager } from "../drivers/pager.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";

/** Where long text goes, and what ends when nobody reads it any more. */
export interface PageOutput {
  write: (text: string) => Promise<void>;
  signal: AbortSignal;
}

/**
 * Shows long text about an instance: on a terminal in the user's pager, as git would, elsewhere as it
 * comes. The caller has cleaned it. The pager is the one of the instance's repository and is run there,
 * since where the user stands an agent may have written a configuration, for git or for the pager.
 */
export async function paged(
  context: Context,
  instance: InstanceRecord,
  produce: (output: PageOutput) => Promise<void>,
): Promise<void> {
  const { io, signal } = context;
  const gitDir = io.stdoutIsTerminal ? (await repositoryOf(context.deps(), instance)).gitDir : "";
  const command = io.stdoutIsTerminal ? await pagerCommand(context, gitDir) : "";
  io.stepDone();
  if (command === "" || command === "cat") {
    const write = (text: string): Promise<void> => Promise.resolve(io.outRaw(text));
    return await produce({ write, signal });
  }
  const pager = new Pager(command, { env: context.deps().env, cwd: gitDir });
  try {
    const either = AbortSignal.any([signal, pager.left]);
    await produce({ write: (text) => pager.write(text), signal: either });
  } catch (error) {
    if (!pager.left.aborted || signal.aborted) throw error;
  } finally {
    await pager.close();
  }
}

/** GIT_PAGER, pager.diff, core.pager or PAGER, as git has it for a diff. */
async function pagerCommand({ git, env }: Context, gitDir: string): Promise<string> {
  if (env["GIT_PAGER"] === undefined) {
    const own = await git.try(["config", "--get", "pager.diff"], { cwd: gitDir });
    const value = own.code === 0 ? own.stdout.trim() : "true";
    if (/^(false|no|off|0)$/i.test(value)) return "";
    if (!/^(true|yes|on|1|)$/i.test(value)) return value;
  }
  return (await git.try(["var", "GIT_PAGER"], { cwd: gitDir })).stdout.trim();
}
