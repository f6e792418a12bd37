import { configureGateway } from "../core/gateway.ts";
import { isMadeImage } from "../core/image.ts";
import { seedFiles } from "../core/launch.ts";
import { revive } from "../core/restore.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { Repository } from "../drivers/git/repository.ts";
import type { EventRecord } from "../store/records.ts";
import { carryRequest } from "./carry.ts";
import type { Context } from "./context.ts";
import { ensureOwnBase } from "./image.ts";
import { resumeAgents } from "./resume.ts";
import { setUpAndTell } from "./set-up.ts";

/** Makes a removed instance again, with the user's settings, and says so. */
export async function reviveAndTell(
  context: Context,
  repository: Repository,
  event: EventRecord,
  snapshot: Snapshot | undefined,
): Promise<void> {
  const deps = context.deps();
  const config = await context.config();
  const instance = await revive(deps, repository, event, snapshot, {
    folder: context.cwd,
    worktrees: config.storage.worktrees,
    seed: seedFiles(await context.agents(), event.branch),
    carry: await carryRequest(context),
    image: async (wanted) =>
      isMadeImage(wanted) && !(await (await deps.engine()).imageExists(wanted))
        ? await ensureOwnBase(context)
        : wanted,
    onStep: (step) => context.io.step(step),
    signal: context.signal,
  });
  context.io.stepDone();
  const files = snapshot === undefined ? "" : `, with the files of snapshot ${snapshot.number}`;
  context.io.out(`Brought back instance ${instance.id} for branch ${instance.branch}${files}`);
  await setUpAndTell(context, instance);
  if (deps.store.sessions(instance.id).length === 0) {
    context.io.note(`Its sessions are gone. Start an agent: hjk agent ${instance.branch}`);
    return;
  }
  // When it was started nobody knew yet which agents work in it.
  await configureGateway(deps, instance);
  await resumeAgents(context, instance);
}
