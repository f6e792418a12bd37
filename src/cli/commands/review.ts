import { type Command, Option } from "@commander-js/extra-typings";
import { reviewOf, type Review } from "../../core/review.ts";
import type { Commit } from "../../drivers/git/diff.ts";
import { cleanText } from "../../ui/clean.ts";
import { formatJson } from "../../ui/json.ts";
import { iso } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { aboutJson, fileJson, snapshotNumber, tellUncommitted, whatIsHeld, writeDiff } from "../diff.ts";
import { findInstance } from "../find.ts";
import { paged } from "../paged.ts";

/** Lines of one list that a person is shown; JSON has all. */
const shownAtMost = 100;

export function addReview(program: Command, context: Context): void {
  program
    .command("review")
    .summary("look a branch over before you take it in")
    .description(
      "Sums up what the branch of an instance holds: commits, files, what is in no commit, and what deserves a look first, such as files " +
        "that would run by themselves on your machine. Then shows the diff, all in your pager.",
    )
    .argument("<branch>", "branch of the instance")
    .option("--summary", "without the diff")
    .option("--json", "the summary as JSON")
    .addOption(new Option("--committed", "without what is in no commit").conflicts("snapshot"))
    .option("--snapshot <number>", "as of a snapshot, in place of now", snapshotNumber)
    .addHelpText(
      "after",
      `
Files that run by themselves: git hooks and attributes, package scripts, build files, CI workflows, tasks of editors,
shell and container set-ups, settings of coding agents, and the like. Each is listed with the reason.

Examples:
  $ hjk review feat/login
  $ hjk review feat/login --json | jq -r '.autorun[].path'`,
    )
    .action(async (branch, options) => {
      const { io } = context;
      const instance = await findInstance(context, branch, { offerNew: false });
      const held = await whatIsHeld(context, instance, { ...options, reason: "review" });
      const { range, uncommitted } = held;
      const review = await reviewOf(context.deps(), held);
      io.stepDone();
      if (options.json === true) {
        const about = aboutJson(instance.branch, held);
        const commits = review.commits.map(commitJson);
        io.out(formatJson({ ...about, ...review, commits, files: review.files.map(fileJson) }));
        return tellUncommitted(context, held);
      }
      await paged(context, instance, async (output) => {
        await output.write(summaryOf(instance.branch, review, uncommitted));
        if (options.summary === true || review.files.length === 0) return;
        await output.write("\n");
        await writeDiff(context, range, [], output);
      });
      tellUncommitted(context, held);
    });
}

/** A commit can claim any time, also one that is none. */
function commitJson(commit: Commit): object {
  const at = new Date(commit.at);
  return { ...commit, at: Number.isNaN(at.getTime()) ? null : iso(at) };
}

function summaryOf(branch: string, review: Review, uncommitted: string[]): string {
  const { files, commits, commitCount } = review;
  const sum = (of: "additions" | "deletions") => files.reduce((total, file) => total + (file[of] ?? 0), 0);
  const counts = [
    counted(commitCount, "commit"),
    `${counted(files.length, "file")} changed (+${sum("additions")} -${sum("deletions")})`,
    ...(uncommitted.length > 0 ? [`${counted(uncommitted.length, "file")} in no commit`] : []),
  ];
  const { autorun, links, submodules, executables } = review;
  const parts = [
    listed(
      "Would run by themselves on your machine, so look at them first",
      autorun.map(({ path, reason }) => `${path}  (${reason})`),
    ),
    listed(
      "Links",
      links.map(
        ({ path, target, escapes }) =>
          `${path} -> ${target}${escapes ? "  (leads out of the repository)" : ""}`,
      ),
    ),
    listed("Submodules", submodules),
    listed("Can be run now", executables),
    listed("Large or binary", largeOrBinary(review)),
    listed(
      "Commits",
      commits.toReversed().map(({ oid, subject }) => `${oid.slice(0, 10)}  ${subject}`),
      commitCount,
    ),
    listed(
      "Files",
      files.map((file) => {
        const lines = file.additions === null ? "binary" : `+${file.additions} -${file.deletions ?? 0}`;
        const from = file.oldPath === undefined ? "" : `  (was ${file.oldPath})`;
        return `${file.status.padEnd(8)}  ${lines.padEnd(9)}  ${file.path}${from}`;
      }),
    ),
    listed("In no commit", uncommitted),
  ];
  const lines = [`${branch}: ${counts.join(", ")}`, ...parts.flat()];
  return lines.map((line) => `${cleanText(line)}\n`).join("");
}

function largeOrBinary({ large, binary }: Review): string[] {
  const sizes = new Map(large.map(({ path, bytes }) => [path, `${(bytes / 1024 / 1024).toFixed(1)} MiB`]));
  const isBinary = new Set(binary);
  return [...new Set([...sizes.keys(), ...binary])].map((path) => {
    const facts = [...(isBinary.has(path) ? ["binary"] : []), sizes.get(path) ?? ""];
    return `${path}  (${facts.filter((fact) => fact !== "").join(", ")})`;
  });
}

/** A list under its title; nothing where there is nothing to list. */
function listed(title: string, items: string[], count = items.length): string[] {
  if (items.length === 0) return [];
  const shown = items.slice(0, shownAtMost);
  const more = count - shown.length;
  return ["", `${title}:`, ...shown.map((item) => `  ${item}`), ...(more > 0 ? [`  and ${more} more`] : [])];
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
