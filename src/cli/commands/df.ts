import type { Command } from "@commander-js/extra-typings";
import { takenDisk } from "../../core/disk.ts";
import type { Size } from "../../drivers/disk.ts";
import { formatJson } from "../../ui/json.ts";
import { size } from "../../ui/size.ts";
import { formatTable } from "../../ui/table.ts";
import type { Context } from "../context.ts";
import { heal } from "../find.ts";

/** Time that is given to looking; what is not known by then is left out. */
const patienceMs = 20_000;

export function addDf(program: Command, context: Context): void {
  program
    .command("df")
    .summary("show what instances take on disk")
    .description("Shows what each instance of every repository takes on disk, and what all of them share.")
    .option("--json", "as JSON, in bytes")
    .addHelpText(
      "after",
      `
CONTAINER: what it has written above its image. GIT: the objects of its own. HOMES: of its agents, with their conversations.
SNAPSHOTS: what only they hold in your repository. Layers that several base images share are counted for each.
">" before a size: some of it could not be read, or not within ${patienceMs / 1000} seconds; "?": none of it.

Examples:
  $ hjk df
  $ hjk df --json | jq .total`,
    )
    .action(async (options) => {
      await heal(context);
      context.io.step("looking");
      const signal = AbortSignal.any([context.signal, AbortSignal.timeout(patienceMs)]);
      const { instances, shared } = await takenDisk(context.deps(), signal);
      context.signal.throwIfAborted();
      context.io.stepDone();
      const rows = instances.map(({ instance, taken }) => ({
        instance,
        taken,
        total: sum(Object.values(taken)),
      }));
      const total = sum([...rows.map((row) => row.total), ...Object.values(shared)]);
      const repos = new Map(
        context
          .deps()
          .store.repos()
          .map((repo) => [repo.id, repo]),
      );
      if (options.json === true) {
        context.io.out(
          formatJson({
            version: 1,
            instances: rows.map(({ instance, taken, total: all }) => ({
              id: instance.id,
              branch: instance.branch,
              repository: repos.get(instance.repoId)?.gitDir ?? "",
              ...bytesOf({ ...taken }),
              total: all.bytes,
            })),
            shared: bytesOf({ ...shared }),
            total: total.bytes,
            complete: total.complete,
          }),
        );
        return;
      }
      const tty = context.io.stdoutIsTerminal;
      const cell = (taken: Size | undefined): string => {
        if (taken === undefined) return tty ? "?" : "";
        return tty ? `${taken.complete ? "" : ">"}${size(taken.bytes)}` : String(taken.bytes);
      };
      const several = new Set(rows.map(({ instance }) => instance.repoId)).size > 1;
      const headers = ["BRANCH", "WORKTREE", "CONTAINER", "GIT", "HOMES", "RECORDINGS", "SNAPSHOTS", "TOTAL"];
      const lines = rows.map(({ instance, taken, total: all }) => [
        instance.branch,
        ...[
          taken.worktree,
          taken.container,
          taken.git,
          taken.homes,
          taken.recordings,
          taken.snapshots,
          all,
        ].map(cell),
        ...(several ? [repos.get(instance.repoId)?.name ?? "?"] : []),
      ]);
      const rest = [
        ["base images", cell(shared.baseImages)],
        ["setups of repositories", cell(shared.setupImages)],
        ["hubs", cell(shared.hubs)],
        ["snapshots of removed instances", cell(shared.removedSnapshots)],
        ["sessions of removed instances", cell(shared.removedSessions)],
        ["total", cell(total)],
      ];
      if (lines.length > 0)
        context.io.out(`${formatTable([...headers, ...(several ? ["REPO"] : [])], lines, { tty })}\n`);
      context.io.out(formatTable(["SHARED", "SIZE"], rest, { tty }));
    });
}

function sum(all: (Size | undefined)[]): Size {
  return {
    bytes: all.reduce((bytes, one) => bytes + (one?.bytes ?? 0), 0),
    complete: all.every((one) => one?.complete === true),
  };
}

function bytesOf(sizes: Record<string, Size | undefined>): Record<string, number | null> {
  return Object.fromEntries(Object.entries(sizes).map(([name, one]) => [name, one?.bytes ?? null]));
}
