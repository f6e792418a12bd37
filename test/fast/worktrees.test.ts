import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Git } from "../../src/drivers/git/git.ts";
import { openRepository } from "../../src/drivers/git/repository.ts";
import { addWorktree, checkoutsOf, forgetWorktree } from "../../src/drivers/git/worktree.ts";
import { gitEnv } from "../support/git-env.ts";

/* git looks at all worktrees of a repository whatever it does with one, and fails when another goes away meanwhile. */

const crowd = 20;
const rounds = 15;

test("many worktrees are made, listed and forgotten at the same moment, and none stays behind", async () => {
  const parent = await mkdtemp(join(tmpdir(), "hjk-worktrees-"));
  try {
    const git = new Git(gitEnv);
    const main = join(parent, "main");
    await git.run(["init", "--quiet", "--initial-branch=main", main], { cwd: "/" });
    await git.run(["commit", "--quiet", "--allow-empty", "-m", "start"], { cwd: main });
    const repository = await openRepository(git, main);
    const life = async (name: string): Promise<void> => {
      const folder = join(parent, "trees", name);
      await addWorktree(git, repository, { folder, commit: "HEAD", reason: "test" });
      expect(await checkoutsOf(git, repository, "main")).toEqual([main]);
      await rm(folder, { recursive: true });
      await forgetWorktree(git, repository, folder);
    };
    for (let round = 0; round < rounds; round += 1) {
      const lives = Array.from({ length: crowd }, (_, index) => life(`${round}-${index}`));
      const ends = await Promise.allSettled(lives);
      expect(ends.filter((end) => end.status === "rejected")).toEqual([]);
    }
    expect(await readdir(join(repository.gitDir, "worktrees")).catch(() => [])).toEqual([]);
  } finally {
    await rm(parent, { recursive: true });
  }
}, 60_000);
