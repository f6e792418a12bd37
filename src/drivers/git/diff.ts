import type { Git } from "./git.ts";

/** Two commits that are compared in a bare repository of Headjack's own. */
export interface Range {
  folder: string;
  from: string;
  to: string;
}

/** A file that differs between the two. */
export interface FileChange {
  /** Where it is now; of a deleted one, where it was. */
  path: string;
  /** Where it was, if it was renamed. */
  oldPath?: string;
  status: "added" | "deleted" | "modified" | "renamed" | "type changed";
  oldMode: string;
  mode: string;
  oid: string;
  /** Lines; null for a binary file. */
  additions: number | null;
  deletions: number | null;
}

/**
 * In a bare repository git reads no .gitattributes, so a branch cannot hide its changes; what else could
 * change the output or run a program is off. With it the same commits always give the same text.
 */
export const isolated = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_ATTR_SOURCE: undefined,
  GIT_EXTERNAL_DIFF: undefined,
  GIT_DIFF_OPTS: undefined,
} as const;

/** Without attributes of the user's own, and with names readable in any script. */
const plain = ["-c", "core.attributesFile=/dev/null", "-c", "core.quotePath=false"];

function diffCommand(range: Range, options: readonly string[]): string[] {
  const safe = ["--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"];
  return [...plain, "diff", ...safe, ...options, range.from, range.to, "--"];
}

/** Passes on what `git diff` prints of the range, as it comes. */
export async function streamDiff(
  git: Git,
  range: Range,
  options: readonly string[],
  how: { onOutput: (chunk: Uint8Array) => void | Promise<void>; signal: AbortSignal },
): Promise<void> {
  await git.stream(diffCommand(range, options), { cwd: range.folder, env: isolated, ...how });
}

const statuses: Record<string, FileChange["status"]> = {
  A: "added",
  C: "added",
  D: "deleted",
  R: "renamed",
  T: "type changed",
};

/** Every file that differs, in git's order. */
export async function changedFiles(git: Git, range: Range): Promise<FileChange[]> {
  const text = await git.run(diffCommand(range, ["--raw", "--numstat", "--no-abbrev", "-z"]), {
    cwd: range.folder,
    env: isolated,
  });
  const fields = text.split("\0").values();
  const next = (): string => fields.next().value ?? "";
  const changes = new Map<string, FileChange>();
  for (let field = next(); field !== ""; field = next()) {
    if (field.startsWith(":")) {
      const [oldMode = "", mode = "", , oid = "", letter = ""] = field.slice(1).split(" ");
      const status = statuses[letter[0] ?? ""] ?? "modified";
      const first = next();
      const isPair = letter.startsWith("R") || letter.startsWith("C");
      const path = isPair ? next() : first;
      const oldPath = status === "renamed" ? { oldPath: first } : {};
      changes.set(path, { path, ...oldPath, status, oldMode, mode, oid, additions: 0, deletions: 0 });
    } else {
      // Lines added, lines deleted, path; of a renamed file both paths follow.
      const [added = "", deleted = "", ...rest] = field.split("\t");
      let path = rest.join("\t");
      if (path === "") {
        next();
        path = next();
      }
      const change = changes.get(path);
      if (change === undefined) continue;
      change.additions = lines(added);
      change.deletions = lines(deleted);
    }
  }
  return [...changes.values()];
}

const lines = (text: string): number | null => (text === "-" ? null : Number(text));

/** A commit of the range. */
export interface Commit {
  oid: string;
  author: string;
  /** When it was written, by its own word; Unix time in milliseconds. */
  at: number;
  subject: string;
}

/** Commits named at most. */
const maxCommits = 1000;

/** The commits of the range, the oldest first: the newest thousand of them, and how many there are. */
export async function commitsOf(git: Git, range: Range): Promise<{ commits: Commit[]; count: number }> {
  const how = { cwd: range.folder, env: isolated };
  const between = `${range.from}..${range.to}`;
  const count = Number(await git.run(["rev-list", "--count", between], how));
  const format = "--format=%H%x1f%an%x1f%at%x1f%s";
  const text = await git.run(
    ["log", "-z", `--max-count=${maxCommits}`, "--no-show-signature", format, between],
    how,
  );
  const commits = text
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      const [oid = "", author = "", at = "", ...subject] = line.split("\u001F");
      return { oid, author, at: Number(at) * 1000, subject: subject.join("\u001F") };
    });
  return { commits: commits.toReversed(), count };
}
