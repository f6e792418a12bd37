import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";

/** Exit codes by which the script says what stands in the way; git's own are 1, 128 and 129. */
const codes = { otherBranch: 91, unresolved: 92, nothing: 93 } as const;

/** $1: the branch, $2: the message. Prints the new commit, then how many files it changes. */
const script = `
[ "$(git symbolic-ref --quiet HEAD)" = "refs/heads/$1" ] || exit ${codes.otherBranch}
[ -z "$(git ls-files --unmerged)" ] || exit ${codes.unresolved}
git add --all || exit 1
git diff --cached --quiet && exit ${codes.nothing}
git commit --quiet --message="$2" >&2 || exit 1
git rev-parse HEAD && git diff --name-only HEAD~1 HEAD | wc -l
`;

const timeoutMs = 10 * 60_000;

/**
 * Commits what an agent has left, in its container and in its name: everything that is changed, and new
 * files that are not ignored. Undefined when there is nothing to commit.
 */
export async function commitInside(
  deps: Deps,
  instance: InstanceRecord,
  message: string,
): Promise<{ commit: string; files: number } | undefined> {
  const { branch } = instance;
  const engine = await deps.engine();
  const command = ["sh", "-c", script, "sh", branch, message];
  const result = await engine.exec(instance.container, command, { timeoutMs });
  const refused = (why: string, hint: string): HeadjackError =>
    new HeadjackError(`Nothing was committed on ${branch}: ${why}`, { hints: [hint] });
  const look = `Look at it: hjk git ${branch} status`;
  if (result.code === codes.nothing) return undefined;
  if (result.code === codes.otherBranch) throw refused("the instance is not on that branch now.", look);
  if (result.code === codes.unresolved) throw refused("a merge there has conflicts.", look);
  if (result.code !== 0) throw refused(result.stderr.trim().slice(-1000), look);
  const [commit = "", files = ""] = result.stdout.trim().split("\n");
  return { commit, files: Number(files) };
}
