import { join } from "node:path";
import { copyInto, lookAtSource, readPatterns, type Source } from "../drivers/copy-files.ts";
import { mainWorktree, untrackedFiles } from "../drivers/git/untracked.ts";
import type { Repository } from "../drivers/git/repository.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import type { Deps } from "./deps.ts";

/** The user's own list, in the main worktree; written as .gitignore is. */
export const includeFile = ".worktreeinclude";

/** Most that is copied: settings and keys, not what a package manager has put there. */
const maxFiles = 1000;
const maxBytes = 100 * 1024 * 1024;

/** Files that git does not carry and the user wants in every workspace. */
export interface Carried {
  root: string;
  sources: Source[];
  left: LeftOut[];
  /** What asks for them. */
  by: string[];
}

export interface LeftOut {
  path: string;
  why: string;
}

/** What the user wants copied into a workspace, and who tells them what was. */
export interface CarryRequest {
  /** `workspace.copy` */
  wanted: readonly string[];
  onCarried: (report: CarriedReport) => void;
}

/** What was put into a workspace. */
export interface CarriedReport {
  files: string[];
  left: LeftOut[];
  by: string[];
}

/**
 * Finds the files of the main worktree that `workspace.copy` and .worktreeinclude name; only those that
 * git does not track. Undefined when nothing is asked for. Refuses when it is more than a workspace needs.
 */
export async function findCarried(
  deps: Deps,
  repository: Repository,
  wanted: readonly string[],
): Promise<Carried | undefined> {
  const root = await mainWorktree(deps.git, repository);
  if (root === undefined) return undefined;
  const included = await readIncludes(join(root, includeFile));
  const by = [
    ...(included.length > 0 ? [includeFile] : []),
    ...(wanted.length > 0 ? ["workspace.copy"] : []),
  ];
  if (by.length === 0) return undefined;
  // Those of the configuration last, so that they can leave out what the repository's list takes in.
  const paths = await untrackedFiles(deps.git, root, [...included, ...wanted]);
  const carried: Carried = { root, sources: [], left: [], by };
  let bytes = 0;
  for (const path of paths) {
    const found = lookAtSource(root, path);
    if (typeof found === "string") carried.left.push({ path, why: found });
    else if (found !== undefined) {
      carried.sources.push(found);
      bytes += found.bytes;
    }
  }
  if (carried.sources.length > maxFiles || bytes > maxBytes) {
    const size = `${carried.sources.length} files, ${Math.ceil(bytes / 1024 / 1024)} MB`;
    const first = carried.sources[0]?.path ?? "";
    throw new HeadjackError(
      `${by.join(" and ")} would copy too much into the workspace: ${size}, such as ${first}.`,
      {
        kind: "usage",
        hints: [
          `At most ${maxFiles} files of ${maxBytes / 1024 / 1024} MB together are copied.`,
          "Leave a folder out: hjk config workspace.copy '!node_modules/'",
        ],
      },
    );
  }
  return carried;
}

async function readIncludes(file: string): Promise<string[]> {
  try {
    return (await readPatterns(file)) ?? [];
  } catch (error) {
    throw new HeadjackError(`${file} could not be read: ${messageOf(error)}`, {
      kind: "usage",
      cause: error,
    });
  }
}

/**
 * Copies them into a workspace whose container does not run. What is there already stays as it is, unless
 * it is what a killed command has left (`replace`).
 */
export async function carryInto(
  workspace: string,
  carried: Carried,
  replace = false,
): Promise<CarriedReport> {
  const { root, by } = carried;
  const report: CarriedReport = { files: [], left: [...carried.left], by };
  for (const source of carried.sources) {
    if (await copyInto(root, workspace, source, replace)) report.files.push(source.path);
    else report.left.push({ path: source.path, why: "is something else on this branch" });
  }
  return report;
}
