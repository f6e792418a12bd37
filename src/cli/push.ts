import { repositoryOf } from "../core/container.ts";
import { pushCommand, syncForPush } from "../core/push.ts";
import { runInteractive } from "../drivers/process.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { standsIn } from "./find.ts";

/**
 * Pushes the branch of an instance as the user themselves would: with their configuration, credentials
 * and hooks, on their terminal. Returns git's exit code.
 */
export async function push(
  context: Context,
  instance: InstanceRecord,
  remote: string | undefined,
): Promise<number> {
  const { io, signal } = context;
  const deps = context.deps();
  const repository = await repositoryOf(deps, instance);
  io.step(`bringing ${instance.branch} home`);
  await syncForPush(deps, repository, instance);
  const command = await pushCommand(deps, repository, instance, remote);
  io.stepDone();
  const cwd = await folderFor(context, instance, repository.gitDir);
  return await runInteractive(["git", ...command], { cwd, env: deps.env, signal });
}

/** Where the user's own tools are run: where they stand, if that is in the repository. */
export async function folderFor(context: Context, instance: InstanceRecord, gitDir: string): Promise<string> {
  return (await standsIn(context, instance)) ? context.cwd : gitDir;
}
