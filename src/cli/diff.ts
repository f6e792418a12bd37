import { streamDiff, type FileChange, type Range } from "../drivers/git/diff.ts";
import { DiffText } from "../ui/diff.ts";
import type { Context } from "./context.ts";
import type { PageOutput } from "./paged.ts";

/** Writes what `git diff` says of the range, cleaned, and coloured on a terminal. */
export async function writeDiff(
  context: Context,
  range: Range,
  options: readonly string[],
  output: PageOutput,
): Promise<void> {
  const text = new DiffText({ colour: context.io.hasColor });
  await streamDiff(context.git, range, options, {
    onOutput: (chunk) => output.write(text.write(chunk)),
    signal: output.signal,
  });
  await output.write(text.end());
}

export function fileJson(file: FileChange): object {
  const { path, oldPath, status, additions, deletions, oldMode, mode } = file;
  const binary = additions === null;
  return { path, oldPath: oldPath ?? null, status, binary, additions, deletions, oldMode, mode };
}
