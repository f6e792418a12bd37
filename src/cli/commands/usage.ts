import { type Command, Option } from "@commander-js/extra-typings";
import { InvalidArgumentError } from "commander";
import { groupings, isoDay, nothing, plus, recordUsage, sumUsage, type UsageLine } from "../../core/usage.ts";
import { HeadjackError } from "../../errors.ts";
import type { UsageRecord } from "../../store/records.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable, type TableOptions } from "../../ui/table.ts";
import { duration } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { currentRepoId, heal } from "../find.ts";

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

export function addUsage(program: Command, context: Context): void {
  program
    .command("usage")
    .summary("show tokens, cost and time that agents have used")
    .description(
      "Sums up what the agents of this repository have used, as they have recorded it themselves; also in instances " +
        "that have been removed since.",
    )
    .argument("[branch...]", "of these branches only")
    .addOption(
      new Option("--by <what>", "what makes a line").choices(groupings).default("branch" as const, "branch"),
    )
    .option("--since <when>", "from a day on (2027-01-31), or for a time back (36h, 7d, 2w)", toDay)
    .option("--json", "as JSON")
    .option("-a, --all", "of every repository")
    .addHelpText(
      "after",
      `
TURNS: from a prompt to the agent's last word on it. TIME: of all turns; in a pipe, in seconds. INPUT: without what came
from the cache. COST: in US dollars, where the agent records it; unknown otherwise. Days are whole ones, in UTC.

Examples:
  $ hjk usage
  $ hjk usage feat/login --by session
  $ hjk usage -a --by day --since 7d`,
    )
    .action(async (branches, options) => {
      const { store } = context.deps();
      await heal(context);
      const repoId = options.all === true ? undefined : await currentRepoId(context);
      const instances = store.instances(repoId);
      for (const instance of instances) recordUsage(context.deps(), instance);
      const all = store.usage(repoId);
      for (const branch of branches) {
        if ([...all, ...instances].some((one) => one.branch === branch)) continue;
        throw new HeadjackError(`Nothing is known of branch ${branch}.`, {
          kind: "not-found",
          hints: ["`hjk usage` lists the branches that agents have worked on."],
        });
      }
      const { since } = options;
      const wanted = all.filter(
        (record) =>
          (branches.length === 0 || branches.includes(record.branch)) &&
          (since === undefined || record.day >= since),
      );
      const lines = sumUsage(wanted, options.by);
      const repos = new Map(store.repos().map((repo) => [repo.id, repo]));
      if (options.json === true) {
        const rows = lines.map((line) => lineJson(line, options.by, repos.get(line.first.repoId)?.gitDir));
        context.io.out(formatJson({ version: 1, by: options.by, since: since ?? null, rows }));
        return;
      }
      const tty = context.io.stdoutIsTerminal;
      if (lines.length === 0 && tty) return context.io.note("No agent has used anything here.");
      const name = (record: UsageRecord): string => repos.get(record.repoId)?.name ?? "?";
      context.io.out(
        usageTable(lines, options.by, {
          table: context.io.table,
          repo: repoId === undefined ? name : undefined,
        }),
      );
    });
}

type Grouping = (typeof groupings)[number];

function usageTable(
  lines: UsageLine[],
  by: Grouping,
  options: { table: TableOptions; repo: ((record: UsageRecord) => string) | undefined },
): string {
  const { tty } = options.table;
  const { repo } = by === "branch" || by === "session" ? options : { repo: undefined };
  const named: Record<Grouping, [header: string, cell: (record: UsageRecord) => string][]> = {
    branch: [["BRANCH", (record) => record.branch]],
    session: [
      ["BRANCH", (record) => record.branch],
      ["SESSION", (record) => record.session],
      ["AGENT", (record) => record.agent],
    ],
    agent: [["AGENT", (record) => record.agent]],
    day: [["DAY", (record) => record.day]],
  };
  const columns = [...(repo === undefined ? [] : [["REPO", repo] as const]), ...named[by]];
  const count = (value: number): string => (tty ? shortCount(value) : String(value));
  const cells = (sum: UsageLine | typeof nothing): string[] => [
    String(sum.turns),
    tty ? duration(sum.turnMs) : String(sum.turnMs / 1000),
    ...[sum.input, sum.output, sum.cacheRead, sum.cacheWrite].map(count),
    sum.cost === null ? "unknown" : `${tty ? "$" : ""}${sum.cost.toFixed(2)}`,
  ];
  const rows = lines.map((line) => [...columns.map(([, cell]) => cell(line.first)), ...cells(line)]);
  if (tty && lines.length > 1) {
    const total = lines.reduce<typeof nothing>(plus, nothing);
    rows.push([...columns.map((_, index) => (index === 0 ? "TOTAL" : "")), ...cells(total)]);
  }
  const headers = ["TURNS", "TIME", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "COST"];
  return formatTable([...columns.map(([header]) => header), ...headers], rows, options.table);
}

/** What a line does not keep apart is null in it. */
function lineJson(line: UsageLine, by: Grouping, gitDir: string | undefined): object {
  const { first } = line;
  const ofSession = by === "session";
  return {
    repository: by === "branch" || ofSession ? (gitDir ?? null) : null,
    branch: by === "branch" || ofSession ? first.branch : null,
    session: ofSession ? first.session : null,
    agent: by === "agent" || ofSession ? first.agent : null,
    day: by === "day" ? first.day : null,
    turns: line.turns,
    seconds: line.turnMs / 1000,
    tokens: {
      input: line.input,
      output: line.output,
      cacheRead: line.cacheRead,
      cacheWrite: line.cacheWrite,
    },
    costUsd: line.cost,
  };
}

/** A number of tokens for a person: `950`, `12.3k`, `4.5M`. */
function shortCount(value: number): string {
  if (value < 1000) return String(value);
  return value < 999_950 ? `${(value / 1000).toFixed(1)}k` : `${(value / 1_000_000).toFixed(1)}M`;
}

function toDay(text: string): string {
  const back = /^(\d{1,4})([mhdw])$/.exec(text);
  if (back !== null) return isoDay(Date.now() - Number(back[1]) * unitMs[back[2] as keyof typeof unitMs]);
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  // The calendar is checked as well: February has no 31st.
  if (Number.isFinite(at) && isoDay(at) === text) return text;
  throw new InvalidArgumentError("It takes a day (2027-01-31) or a time back (36h, 7d, 2w).");
}
