import { workspaceTarget } from "../instance-files.ts";
import { gitTarget } from "./private-dir.ts";

/** Where the instance's own git directory keeps its newest snapshot until it is home. */
export const snapshotRef = (number: number): string => `refs/hjk/snapshots/${number}`;
/** The same for what was staged, where that is neither what HEAD has nor what the files are. */
export const stagedRef = (number: number): string => `refs/hjk/staged/${number}`;

/** All of ours in an instance's git directory. */
export const ownRefs = "refs/hjk/";

export type LeftOutWhy = "large" | "repository" | "unreadable";

/** A file or folder that a snapshot lacks. */
export interface LeftOut {
  /** Path in the workspace; hostile. */
  path: string;
  why: LeftOutWhy;
}

/** What the script says: a container's word, to be checked wherever it matters. */
export interface ScriptAnswer {
  /** What HEAD is at; empty before a first commit. */
  head: string;
  /** The files; empty when all are as HEAD has them, and nothing was left out. */
  tree: string;
  /** What was staged, if it is something else than HEAD's tree; empty otherwise. */
  staged: string;
  /** Whether commits were made of it: not when all is as the last snapshot has it. */
  made: boolean;
  /** Whether what was staged got a commit of its own. */
  madeStaged: boolean;
  leftOut: LeftOut[];
}

/** Paths told of one snapshot at most, and characters of one. */
const maxLeftOut = 1000;
const maxPath = 4096;

export interface SnapshotRequest {
  number: number;
  /** Bytes of the largest file that is taken. */
  maxFileBytes: number;
  /** Bytes of all files that are taken together; the largest are left out first. */
  maxBytes: number;
  message: string;
  /** HEAD, files and what was staged of the last snapshot, which is not made again. */
  last: { head: string; tree: string; staged: string } | undefined;
  /** Whether one is made when nothing is uncommitted; a commit: unless HEAD is there. */
  always: boolean | { unlessAt: string };
}

/** By its path, since the first of the name may be one of the agent's that hangs. */
const shell = "/bin/sh";

/** The command that takes a snapshot, inside the container. */
export function snapshotCommand(request: SnapshotRequest): string[] {
  const { last } = request;
  return [
    shell,
    "-c",
    `total=$6${prepare}${collect}${commit}`,
    "sh",
    String(request.number),
    String(request.maxFileBytes),
    request.message,
    last === undefined ? "" : `${last.head} ${last.tree} ${last.staged}`,
    typeof request.always === "object" ? request.always.unlessAt : request.always ? "always" : "",
    String(request.maxBytes),
  ];
}

/**
 * The command that puts the files back as a snapshot has them. Commits are not touched: HEAD stays, or
 * goes to `head`, away from its branch. What no snapshot takes stays where it is, too.
 */
export function restoreCommand(request: {
  maxFileBytes: number;
  commit: string;
  /** Tree to stage; empty for that of HEAD. */
  staged: string;
  head: string;
  /** Stashes to have again, the newest first. */
  stashes: readonly string[];
}): string[] {
  const { maxFileBytes, commit, staged, head, stashes } = request;
  const script = `total=${prepare}${collect}${restore}`;
  const args = ["", String(maxFileBytes), commit, staged, head, ...stashes.toReversed()];
  return [shell, "-c", script, "sh", ...args];
}

/** Reads what the script printed; undefined when it is not what the script prints. */
export function parseAnswer(text: string): ScriptAnswer | undefined {
  const [first = "", ...rest] = text.split("\0");
  const oid = "((?:[0-9a-f]{40}|[0-9a-f]{64})?)";
  const found = new RegExp(`^hjk ${oid} ${oid} ${oid} (0|1) (0|1)\n$`).exec(first);
  if (found === null) return undefined;
  const [, head = "", tree = "", staged = "", made, madeStaged] = found;
  const leftOut = rest
    .filter((entry) => /^[LNU] ./s.test(entry))
    .slice(0, maxLeftOut)
    .map((entry) => ({ path: entry.slice(2, 2 + maxPath), why: whys[entry[0] as keyof typeof whys] }));
  return { head, tree, staged, made: made === "1", madeStaged: madeStaged === "1", leftOut };
}

const whys = { L: "large", N: "repository", U: "unreadable" } as const;

/**
 * An index of our own, so that the agent's is never touched. A copy keeps what git knows of each file,
 * and `-p` its time, by which git tells which entries it must not trust. `tr` swaps newline and NUL, so
 * that tools that work by lines can read lists of names with any character in them.
 */
const prepare = `
export GIT_DIR=${gitTarget} GIT_WORK_TREE=${workspaceTarget} GIT_OPTIONAL_LOCKS=0 LC_ALL=C
PATH=/usr/local/bin:/usr/bin:/bin:$PATH
unset GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
cd "$GIT_WORK_TREE" || exit 1
fail() { echo "$1" >&2; exit 1; }
g() {
  git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.splitIndex=false \\
    -c core.logAllRefUpdates=false -c advice.addEmbeddedRepo=false "$@"
}
swap() { tr '\\0\\n' '\\n\\0'; }
rm -rf "$GIT_DIR"/hjk-snapshot.*
tmp=$GIT_DIR/hjk-snapshot.$$
mkdir "$tmp" || fail "no temporary folder could be made"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
head=$(g rev-parse -q --verify 'HEAD^{commit}') || head=
if [ -n "$head" ]; then headtree=$(g rev-parse -q --verify "$head^{tree}"); else headtree=$(g mktree </dev/null); fi
[ -n "$headtree" ] || fail "HEAD cannot be read"
export GIT_INDEX_FILE="$tmp/index"
if [ -f "$GIT_DIR/index" ]; then cp -p "$GIT_DIR/index" "$tmp/index"; fi
g ls-files -s >/dev/null 2>&1 || { rm -f "$tmp/index"; [ -z "$head" ] || g read-tree "$head"; }
`;

/**
 * Puts every file into that index. An agent may be writing: a file that vanishes meanwhile, or cannot
 * be read, makes git fail, and it is tried again. What is left out is excluded by name: large files,
 * repositories inside (git would make a submodule of each), and what cannot be read.
 */
const collect = `
limit=$2
# Submodules stay as HEAD has them: one that an agent has added is a repository inside.
paths() { grep -a '^160000 ' | sed 's/^[^\\t]*\\t//'; }
g ls-files -s -z | swap | paths | swap | g update-index -z --force-remove --stdin
: >"$tmp/links"
if [ -n "$head" ]; then
  g ls-tree -r -z "$head" | swap | grep -a '^160000 ' | swap | g update-index -z --index-info
  g ls-tree -r -z "$head" | swap | paths >"$tmp/links"
fi
# Files and trees are written only where they differ: git would write those again that it may only read.
g update-index -q --refresh >/dev/null 2>&1
asHead() { [ -n "$head" ] && g diff-index --cached --quiet "$head" --; }
if asHead; then
  staged=$headtree
  g read-tree -m "$head" || fail "the index cannot be read"
else
  staged=$(g write-tree 2>/dev/null) || staged=
fi
# Bytes of the largest file that is taken, so that all those are no more than may be.
atMost() {
  [ -n "$total" ] || { echo "$limit"; return; }
  cat "$tmp/others" "$tmp/changed" |
    xargs -0 sh -c "$each"'[ $# = 0 ] || exec find "$@" -maxdepth 0 -type f -exec stat -c %s {} + 2>/dev/null' sh | sort -n | {
    sum=0
    while read -r size && [ "$size" -le "$limit" ]; do
      sum=$((sum + size))
      [ "$sum" -le "$total" ] || { echo $((size - 1)); exit; }
    done
    echo "$limit"
  }
}
each='for f; do set -- "$@" "./$f"; shift; done; '
look() {
  g ls-files -z --others --exclude-standard >"$tmp/others" 2>"$tmp/said" || return 1
  g diff-files -z --name-only --ignore-submodules=all >"$tmp/changed" || return 1
  swap <"$tmp/others" | grep -a '/$' | sed 's:/$::' | swap >"$tmp/nested"
  most=$(atMost)
  # Only a name is said by find, never its own complaint of a file that has just gone.
  cat "$tmp/others" "$tmp/changed" |
    xargs -0 sh -c "$each"'[ $# = 0 ] || exec find "$@" -maxdepth 0 -type f -size +'"$most"'c -print0 2>/dev/null' sh |
    swap | sed 's:^\\./::' >"$tmp/large-lines"
  swap <"$tmp/large-lines" >"$tmp/large"
}
add() {
  look || return 128
  {
    printf '.\\0'
    cat "$tmp/nested" "$tmp/large" | swap | sed 's/^/:(exclude,literal)/' | swap
    sed 's/^/:(exclude,literal)/' <"$tmp/links" | swap
  } >"$tmp/paths"
  rm -f "$tmp/index.lock"
  g add -A --ignore-errors --pathspec-from-file="$tmp/paths" --pathspec-file-nul >/dev/null 2>"$tmp/errors"
}
# Files that are there at one moment and not at the next: what git takes in is kept, whatever comes of the rest.
piecewise() {
  look || return 1
  rm -f "$tmp/index.lock"
  { swap <"$tmp/others" | grep -a -v '/$'; swap <"$tmp/changed"; } | grep -a -v -x -F -f "$tmp/large-lines" |
    swap | xargs -0 -n 100 sh -c \
      'add() { git -c core.fsmonitor=false -c core.splitIndex=false update-index --add --remove --replace -- "$@"; }
      [ $# = 0 ] || add "$@" || for f; do add "$f"; done; exit 0' sh >/dev/null 2>&1
}
for attempt in 1 2 3; do
  add; code=$?
  [ $code = 0 ] && break
  [ $code = 1 ] && [ $attempt = 2 ] && break
  sleep 0.1 2>/dev/null || sleep 1
done
if [ $code -gt 1 ]; then
  piecewise || { tail -n 3 "$tmp/errors" >&2; fail "git could not take in the files"; }
  code=1
fi
: >"$tmp/unreadable"
unread='for f; do [ -L "$f" ] || [ ! -e "$f" ] || [ -r "$f" ] || printf "%s\\0" "$f"; done'
if [ $code = 1 ]; then
  { g ls-files -z --others --exclude-standard 2>/dev/null; g diff-files -z --name-only --ignore-submodules=all; } |
    xargs -0 sh -c "$unread" sh >"$tmp/unreadable"
fi
if [ -s "$tmp/said" ]; then
  find . -path ./.git -prune -o -type d -exec sh -c \\
    'for f; do { [ -r "$f" ] && [ -x "$f" ]; } || printf "%s\\0" "$f"; done' sh {} + 2>/dev/null |
    swap | sed 's:^\\./::' | swap >>"$tmp/unreadable"
fi
if asHead; then tree=$headtree; else tree=$(g write-tree) || fail "the files could not be recorded"; fi
`;

/** Makes commits of it, if there is anything to keep, and says what they are. */
const commit = `
left() { swap <"$tmp/$1" | sed "s/^/$2 /" | swap; }
answer() {
  printf 'hjk %s %s %s %s %s\\n\\0' "$head" "$tree" "$staged" "$1" "$2"
  left large L; left nested N; left unreadable U
  exit 0
}
[ "$staged" != "$headtree" ] || staged=
if [ "$tree" = "$headtree" ] && [ -z "$staged" ] && { [ -z "$5" ] || [ "$5" = "$head" ]; } && ! [ -s "$tmp/large" ] && ! [ -s "$tmp/nested" ] &&
  ! [ -s "$tmp/unreadable" ]; then
  tree=; answer 0 0
fi
[ "$head $tree $staged" != "$4" ] || answer 0 0
export GIT_AUTHOR_NAME=Headjack GIT_AUTHOR_EMAIL=headjack@localhost
export GIT_COMMITTER_NAME=Headjack GIT_COMMITTER_EMAIL=headjack@localhost
record() {
  made=$(g -c commit.gpgSign=false commit-tree \${head:+-p} \${head:+"$head"} -m "$2" "$3") &&
    g update-ref --no-deref "$1" "$made" || fail "the snapshot could not be recorded"
}
g for-each-ref --format='delete %(refname)' ${ownRefs} | g update-ref --stdin
stagedToo=0
if [ -n "$staged" ] && [ "$staged" != "$tree" ]; then
  record refs/hjk/staged/"$1" "$3, what was staged" "$staged"
  stagedToo=1
fi
record refs/hjk/snapshots/"$1" "$3" "$tree"
answer 1 $stagedToo
`;

/** From what the index of our own says of the files as they are, to what the snapshot has. */
const restore = `
g read-tree --reset -u --no-recurse-submodules "$3" || fail "the files could not be put back"
unset GIT_INDEX_FILE
[ -z "$5" ] || g update-ref --no-deref HEAD "$5" || fail "HEAD could not be moved"
index=$4
[ -n "$index" ] || index=$(g rev-parse -q --verify 'HEAD^{tree}') || index=$(g mktree </dev/null)
for attempt in 1 2 3 4 5; do
  g read-tree --reset --no-recurse-submodules "$index" && break
  [ $attempt = 5 ] && fail "the index could not be written"
  sleep 1
done
g update-index -q --refresh >/dev/null 2>&1
shift 5
for stash; do g -c core.logAllRefUpdates=always stash store -q -m "$(g log -1 --format=%s "$stash")" "$stash"; done
exit 0
`;
