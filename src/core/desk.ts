import { join } from "node:path";
import { commitSettings, Desk } from "../drivers/git/desk.ts";
import type { Repository } from "../drivers/git/repository.ts";
import type { Deps } from "./deps.ts";
import { hubFolder } from "./sync.ts";

/** Works at a desk on which a commit lies; one at a time for each repository. */
export async function atDesk<T>(
  deps: Deps,
  repository: Repository,
  work: { commit: string; signal: AbortSignal },
  use: (desk: Desk) => Promise<T>,
): Promise<T> {
  const { git } = deps;
  const settings = await commitSettings(git, repository);
  return await deps.store.withLock(
    `desk:${repository.id}`,
    async () => {
      const hub = hubFolder(deps, repository.id);
      const room = join(hub, "desk");
      const desk = await Desk.open(git, { hub, room, settings, ...work });
      try {
        return await use(desk);
      } finally {
        await desk.close();
      }
    },
    { signal: work.signal },
  );
}
