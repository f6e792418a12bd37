import { blobSizes } from "../drivers/git/blobs.ts";
import { changedFiles, commitsOf, type Commit, type FileChange } from "../drivers/git/diff.ts";
import { escapes, readLinks } from "../drivers/git/hub.ts";
import { autorunReason } from "./autorun.ts";
import type { Held } from "./changes.ts";
import type { Deps } from "./deps.ts";

/** What a person should look at before taking a branch in, beside its text. */
export interface Review {
  commits: Commit[];
  /** Of all commits, also of those that are not in the list. */
  commitCount: number;
  files: FileChange[];
  /** Files that would run by themselves on the user's machine. */
  autorun: { path: string; reason: string }[];
  links: { path: string; target: string; escapes: boolean }[];
  submodules: string[];
  /** Files that can be run now and could not before. */
  executables: string[];
  large: { path: string; bytes: number }[];
  binary: string[];
}

/** Files from this size on are named. */
const largeBytes = 1024 * 1024;

const modes = { executable: "100755", link: "120000", submodule: "160000" } as const;

const isMode = (mode: string) => (file: FileChange) => file.mode === mode;

/** Looks at what an instance holds. Runs nothing of it and believes nothing: all of it is the agent's. */
export async function reviewOf(deps: Deps, { range, tip }: Pick<Held, "range" | "tip">): Promise<Review> {
  const { git } = deps;
  const { commits, count } = await commitsOf(git, { ...range, to: tip });
  const files = await changedFiles(git, range);
  const present = files.filter((file) => file.status !== "deleted");
  const links = present.filter(isMode(modes.link));
  const blobs = present.filter((file) => file.mode !== modes.submodule && file.mode !== modes.link);
  const targets = await readLinks(
    git,
    range.folder,
    links.map((file) => file.oid),
  );
  const sizes = await blobSizes(
    git,
    range.folder,
    blobs.map((file) => file.oid),
  );
  return {
    commits,
    commitCount: count,
    files,
    autorun: present.flatMap(({ path }) => {
      const reason = autorunReason(path);
      return reason === undefined ? [] : [{ path, reason }];
    }),
    links: links.map(({ path, oid }) => {
      const target = targets.get(oid);
      return { path, target: target ?? "", escapes: target === undefined || escapes(path, target) };
    }),
    submodules: present.filter(isMode(modes.submodule)).map((file) => file.path),
    executables: present
      .filter((file) => file.mode === modes.executable && file.oldMode !== modes.executable)
      .map((file) => file.path),
    large: blobs
      .map((file) => ({ path: file.path, bytes: sizes.get(file.oid) ?? 0 }))
      .filter((file) => file.bytes >= largeBytes),
    binary: blobs.filter((file) => file.additions === null).map((file) => file.path),
  };
}
