import { type Command, Option } from "@commander-js/extra-typings";
import { changedFiles, streamDiff } from "../../drivers/git/diff.ts";
import { HeadjackError } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import type { Context } from "../context.ts";
import { aboutJson, fileJson, snapshotNumber, tellUncommitted, whatIsHeld, writeDiff } from "../diff.ts";
import { findInstance } from "../find.ts";
import { paged } from "../paged.ts";

const forms = ["stat", "nameOnly", "files", "json", "patch"] as const;

/** One of several forms, of which only one can be wanted. */
function only<Flags extends string>(flags: Flags, description: string, name: string) {
  return new Option(flags, description).conflicts(forms.filter((other) => other !== name));
}

export function addDiff(program: Command, context: Context): void {
  program
    .command("diff")
    .summary("show what a branch has changed")
    .description(
      "Shows everything that the branch of an instance has changed since it began, in your pager; also what is in no " +
        "commit yet. Runs nothing that the branch brings along; escape sequences in its files are taken out.",
    )
    .argument("<branch>", "branch of the instance")
    .addOption(only("--stat", "how much has changed, file by file", "stat"))
    .addOption(only("--name-only", "names of the files only", "nameOnly"))
    .addOption(only("--files", "the files as a table: status, lines added and deleted, path", "files"))
    .addOption(only("--json", "the files as JSON", "json"))
    .addOption(only("--patch", "as an exact patch, byte for byte, for a file or a pipe", "patch"))
    .addOption(new Option("--committed", "without what is in no commit").conflicts("snapshot"))
    .option("--snapshot <number>", "as of a snapshot, in place of now", snapshotNumber)
    .addHelpText(
      "after",
      `
The pager is that of git: GIT_PAGER, pager.diff or core.pager of your git configuration, PAGER, or less.

Examples:
  $ hjk diff feat/login
  $ hjk diff feat/login --stat
  $ hjk diff feat/login --patch > login.patch`,
    )
    .action(async (branch, options) => {
      const { io } = context;
      const instance = await findInstance(context, branch, { offerNew: false });
      if (options.patch === true && io.stdoutIsTerminal) {
        throw new HeadjackError("An exact patch may hold what changes a terminal; it is not shown on one.", {
          kind: "usage",
          hints: [`Look at it: hjk diff ${branch}`, `Or keep it: hjk diff ${branch} --patch > FILE`],
        });
      }
      const held = await whatIsHeld(context, instance, { ...options, reason: "diff" });
      const { range } = held;
      if (options.json === true || options.files === true) {
        const files = await changedFiles(context.git, range);
        if (options.json === true) {
          io.out(formatJson({ ...aboutJson(instance.branch, held), files: files.map(fileJson) }));
        } else {
          const rows = files.map((file) => [
            file.status,
            count(file.additions),
            count(file.deletions),
            file.path,
          ]);
          io.out(formatTable(["STATUS", "ADDED", "DELETED", "PATH"], rows, { tty: io.stdoutIsTerminal }));
        }
      } else if (options.patch === true) {
        await streamDiff(context.git, range, ["--binary", "--full-index"], {
          onOutput: (chunk) => io.outRaw(chunk),
          signal: context.signal,
        });
      } else {
        const how =
          options.stat === true
            ? [`--stat=${io.size?.cols ?? 100}`]
            : options.nameOnly === true
              ? ["--name-only"]
              : [];
        await paged(context, instance, (output) => writeDiff(context, range, how, output));
      }
      tellUncommitted(context, held);
    });
}

const count = (lines: number | null): string => (lines === null ? "binary" : String(lines));
