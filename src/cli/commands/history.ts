import type { Command } from "@commander-js/extra-typings";
import { countFiles } from "../../core/snapshot.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import { ago, iso } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { findPast } from "../past.ts";

export function addHistory(program: Command, context: Context): void {
  program
    .command("history")
    .summary("list the snapshots of an instance")
    .description(
      "Lists the snapshots of an instance, also of one that was removed: the whole state of its files, uncommitted and " +
        "untracked ones included, as it was when an agent stopped working and before something was removed or replaced.",
    )
    .argument("<branch>", "branch of the instance")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
FILES: how many are otherwise than in the last commit at that moment. LEFT OUT: files above 50 MB, repositories inside,
files that cannot be read. Ignored files are in no snapshot.

Each is a commit in your repository, under refs/headjack/<instance>/snapshots; \`git show\` shows it.

Examples:
  $ hjk history feat/login
  $ hjk history feat/login --json | jq -r '.snapshots[].commit'`,
    )
    .action(async (branch, options) => {
      const past = await findPast(context, branch);
      const deps = context.deps();
      const rows = await Promise.all(
        past.snapshots.map(async ({ name, snapshot }) => ({
          name,
          snapshot,
          files: await countFiles(deps, past.repository, snapshot),
        })),
      );
      if (options.json === true) {
        context.io.out(formatJson({ version: 1, branch: past.branch, snapshots: rows.map(snapshotJson) }));
        return;
      }
      const tty = context.io.stdoutIsTerminal;
      if (rows.length === 0 && tty) {
        context.io.note(
          `${past.branch} has no snapshots: nothing was uncommitted when its agents stopped working.`,
        );
        return;
      }
      const now = new Date();
      const anyLeftOut = rows.some(({ snapshot }) => snapshot.leftOut.length > 0);
      const headers = ["SNAPSHOT", "TAKEN", "WHEN", "FILES", "COMMIT", ...(anyLeftOut ? ["LEFT OUT"] : [])];
      const cells = rows.map(({ name, snapshot, files }) => {
        const taken = new Date(snapshot.createdAt);
        return [
          name,
          tty ? ago(taken, now) : iso(taken),
          snapshot.reason,
          String(files),
          tty ? snapshot.commit.slice(0, 10) : snapshot.commit,
          ...(anyLeftOut ? [snapshot.leftOut.map(({ path }) => path).join(", ")] : []),
        ];
      });
      context.io.out(formatTable(headers, cells, context.io.table));
    });
}

function snapshotJson({
  name,
  snapshot,
  files,
}: {
  name: string;
  snapshot: Awaited<ReturnType<typeof findPast>>["snapshots"][number]["snapshot"];
  files: number;
}): object {
  return {
    name,
    instance: snapshot.instanceId,
    number: snapshot.number,
    takenAt: iso(new Date(snapshot.createdAt)),
    reason: snapshot.reason,
    commit: snapshot.commit,
    parent: snapshot.parent === "" ? null : snapshot.parent,
    files,
    leftOut: snapshot.leftOut,
  };
}
