import type { CarriedReport, CarryRequest } from "../core/carry.ts";
import type { Context } from "./context.ts";

/** Names that are said; the rest is counted. */
const maxNames = 20;

/** The user's wish for files that git does not carry. What is copied is said each time: a list may have changed. */
export async function carryRequest(context: Context): Promise<CarryRequest> {
  return {
    wanted: (await context.config()).workspace.copy,
    onCarried: (report) => {
      for (const line of linesOf(report)) context.io.note(line);
    },
  };
}

function linesOf({ files, left, by }: CarriedReport): string[] {
  const count = `${files.length} file${files.length === 1 ? "" : "s"} that git does not carry`;
  return [
    ...(files.length > 0
      ? [`Copied ${count} into the workspace (${by.join(", ")}): ${shortList(files)}`]
      : []),
    ...left.slice(0, maxNames).map(({ path, why }) => `warning: ${path} was not copied: it ${why}.`),
    ...(left.length > maxNames ? [`warning: ${left.length - maxNames} more were not copied.`] : []),
  ];
}

function shortList(names: string[]): string {
  const more = names.length - maxNames;
  return `${names.slice(0, maxNames).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
