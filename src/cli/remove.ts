import { removeInstance } from "../core/instance.ts";
import type { InstanceRecord } from "../store/store.ts";
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
