import { repositoryOf } from "../core/container.ts";
import { removeInstance } from "../core/removal.ts";
import { deleteMerged } from "../drivers/git/base.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";

/** Removes an instance and says what is kept of it; `force` goes on where its files cannot be kept. */
export async function removeAndTell(
  context: Context,
  instance: InstanceRecord,
  force: boolean,
): Promise<void> {
  const { io } = context;
  io.step(`removing ${instance.branch}`);
  const { aside, snapshot } = await removeInstance(
    context.deps(),
    instance,
    force
      ? (reason) => io.note(`warning: ${instance.branch}: ${reason} Removed all the same, as --force says.`)
      : undefined,
  );
  io.stepDone();
  io.out(`Removed instance ${instance.id} for branch ${instance.branch}`);
  if (snapshot !== undefined)
    io.note("What was in no commit is kept. Bring the instance back with it: hjk undo");
  if (aside !== undefined)
    io.note(`Its commits that are not on ${instance.branch} stay in your repository as ${aside}`);
}

/** Deletes the branch of an instance that has been removed, where nothing can be lost by that; says what came of it. */
export async function deleteBranchAndTell(context: Context, instance: InstanceRecord): Promise<void> {
  const { io, git } = context;
  const outcome = await deleteMerged(git, await repositoryOf(context.deps(), instance), instance.branch);
  if (outcome === undefined) return;
  if ("kept" in outcome) return io.note(`warning: The branch ${instance.branch} stays: ${outcome.kept}.`);
  io.out(`Deleted branch ${instance.branch} (was ${outcome.deleted.slice(0, 10)})`);
}
