import { join } from "node:path";
import { commitSettings, Desk } from "../drivers/git/desk.ts";
import type { Repository } from "../drivers/git/repository.ts";
import type { Deps } from "./deps.ts";
import { hubFolder } from "./sync.ts";

/** Folder of a repository's desks; there only while somebody works at one, or was killed at it. */
export const deskRoom = (deps: Deps, repoId: string): string => join(hubFolder(deps, repoId), "desk");

/** Key of the lock of whoever works there. */
export const deskLock = (repoId: string): string => `desk:${repoId}`;

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
    deskLock(repository.id),
    async () => {
      const hub = hubFolder(deps, repository.id);
      const room = deskRoom(deps, repository.id);
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
