import { open } from "node:fs/promises";
import { HeadjackError } from "../../errors.ts";
import { streamDiff, type Range } from "./diff.ts";
import type { Git } from "./git.ts";

/** Writes the exact difference between two commits or trees into a file. */
export async function writePatch(git: Git, range: Range, file: string, signal: AbortSignal): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await streamDiff(git, range, ["--binary", "--full-index"], {
      onOutput: async (chunk) => void (await handle.write(chunk)),
      signal,
    });
  } finally {
    await handle.close();
  }
}

/**
 * Puts a patch into the files of a worktree of the user's, all of it or nothing; the index stays as it is.
 * Returns git's reason when it does not fit, and nothing was done then; empty when it did.
 */
export async function applyPatch(git: Git, folder: string, file: string): Promise<string> {
  const command = ["apply", "--whitespace=nowarn"];
  const checked = await git.try([...command, "--check", file], { cwd: folder });
  if (checked.code !== 0) return checked.stderr.trim();
  const applied = await git.try([...command, file], { cwd: folder });
  if (applied.code === 0) return "";
  throw new HeadjackError(`git stopped in the middle of it: ${applied.stderr.trim()}`, {
    hints: [`Some of the changes may be in ${folder} already. See: git status`],
  });
}
