import type { Command } from "@commander-js/extra-typings";
import type { PlainListing } from "../arguments.ts";
import type { Context } from "../context.ts";
import { activityJson, activityText, activityWithAge, mostUrgent } from "../activity.ts";
import { briefSyncMs, currentRepoId, findInstance, heal } from "../find.ts";
import { changesText, conflictsText } from "../standing.ts";
import { renewLogins } from "../../core/gateway.ts";
import { hasNews } from "../../core/news.ts";
import { basesOf, noStanding, Standings, type Standing } from "../../core/standing.ts";
import {
  exposedSessions,
  listContainers,
  viewInstances,
  type InstanceView,
  type SessionView,
} from "../../core/status.ts";
import { defaultIsolation } from "../../hardening.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import { ago, iso } from "../../ui/time.ts";

const watchMs = 1000;

export function addPs(program: Command, context: Context): void {
  program
    .command("ps")
    .aliases(["ls", "list"])
    .summary("list instances, or the sessions of one")
    .description(
      "Lists the instances of this repository, or the sessions of one instance, and brings new commits home.",
    )
    .argument("[branch]", "list the sessions of this instance")
    .option("-a, --all", "instances of every repository; sessions that you killed")
    .option("-w, --wide", "also what each branch has, and with which others it is in conflict")
    .option("--json", "as JSON")
    .option("--watch", "go on and show it anew every second")
    .addHelpText(
      "after",
      `
STATUS of an instance: running, stopped, creating, removing, missing (container or workspace removed by hand).
STATUS of a session: attached, detached, exited. ACCESSED: last attached to, read, or active on its screen.
ACTIVITY of an agent, by its own word, its process or its screen (--json tells which): starting, working, waiting
(permission, question, login, rate-limit), idle (nothing to do), done, failed, unknown, resumable (ended; hjk start
brings it back); of an instance, the session to look at first.
Weak: an agent that holds its credential itself, since its gateway cannot hold it: whatever runs in the instance can read it.
CONFLICTS, with -w or where there are any: the branches with which a merge would end in conflict, by a forecast (main is
what you have checked out), and in how many files. CHANGES: commits that the base branch lacks (+) or has beyond it (-),
and how many files were in no commit when that was last seen. A ? is what is not known (yet).

Examples:
  $ hjk ps
  $ hjk ps feat/login
  $ hjk ps -a --json | jq -r '.instances[].branch'`,
    )
    .action(async (branch, options) => {
      const wanted = {
        all: options.all === true,
        json: options.json === true,
        wide: options.wide === true,
      };
      if (options.watch !== true || !context.io.stdoutIsTerminal) return await show(context, branch, wanted);
      context.io.outRaw("\u001b[?25l");
      try {
        while (!context.signal.aborted) {
          const lines = await render(context, branch, wanted);
          context.io.outRaw("\u001b[H\u001b[2J");
          context.io.out(`${lines}\n\nEvery second; Ctrl+C ends.`);
          await Bun.sleep(watchMs);
        }
      } finally {
        context.io.outRaw("\u001b[?25h");
      }
    });
}

/** Prints the instances. */
export async function showInstances(context: Context, options: PlainListing): Promise<void> {
  await show(context, undefined, options);
}

async function show(context: Context, branch: string | undefined, options: PlainListing): Promise<void> {
  const text = await render(context, branch, options);
  if (text !== "") context.io.out(text);
}

async function render(context: Context, branch: string | undefined, options: PlainListing): Promise<string> {
  if (branch !== undefined) return await renderSessions(context, branch, options);
  // Asked side by side: the engine, tmux and git take a few milliseconds each.
  const listing = listContainers(context.engine);
  // Where there is no instance nobody waits for the answer.
  listing.catch(() => undefined);
  const deps = context.deps();
  await heal(context);
  const current = options.all ? undefined : currentRepoId(context);
  const [repoId, everywhere] = await Promise.all([current, viewInstances(deps, listing)]);
  const views = everywhere.filter((view) => repoId === undefined || view.record.repoId === repoId);
  await syncAll(context, views);
  const problems = await loginProblems(context, views);
  // A program that does not ask for it is told nothing of it, so its list keeps its shape.
  const tty = context.io.stdoutIsTerminal;
  const standingOf = await standingsNow(context, tty || options.json || options.wide ? views : []);
  const repos = new Map(deps.store.repos().map((repo) => [repo.id, repo]));
  const noticeOf = noticesNow(context, problems);
  if (options.json) {
    const instances = views.map((view) =>
      instanceJson(view, repos.get(view.record.repoId)?.gitDir ?? "", noticeOf(view), standingOf(view)),
    );
    return formatJson({ version: 1, instances });
  }
  if (views.length === 0 && tty) {
    context.io.note(
      repoId === undefined
        ? 'No instances. Make one in a git repository: hjk run <branch> --agent claude -d "..."'
        : 'No instances here. Make one: hjk run <branch> --agent claude -d "..."   (all repositories: hjk ps -a)',
    );
    return "";
  }
  const now = new Date();
  const severalRepos = repoId === undefined;
  const notices = views.some((view) => noticeOf(view) !== "");
  const conflicts = options.wide || views.some((view) => conflictsText(standingOf(view)) !== "");
  // Where all of it does not fit, what the plain list shows makes room for what the wide one is asked for.
  const brief = options.wide && (context.io.size?.cols ?? Infinity) < roomyColumns;
  const columns: [boolean, string, (view: InstanceView) => string][] = [
    [true, "BRANCH", ({ record }) => record.branch],
    [true, "STATUS", ({ status }) => status],
    [!brief, "SESSIONS", ({ sessions }) => String(sessions.filter((one) => one.status !== "exited").length)],
    [!brief, "CREATED", ({ record }) => time(new Date(record.createdAt))],
    [true, "ACTIVITY", ({ sessions }) => activity(mostUrgent(sessions))],
    [severalRepos, "REPO", ({ record }) => repos.get(record.repoId)?.name ?? "?"],
    [options.wide, "CHANGES", (view) => changesText(standingOf(view), now)],
    [conflicts, "CONFLICTS", (view) => conflictsText(standingOf(view), options.wide)],
    [notices, "NOTICE", noticeOf],
  ];
  const time = (at: Date): string => (tty ? ago(at, now) : iso(at));
  const activity = (session: SessionView | undefined): string =>
    tty ? activityWithAge(session, now) : activityText(session);
  const shown = columns.filter(([isShown]) => isShown);
  return formatTable(
    shown.map(([, header]) => header),
    views.map((view) => shown.map(([, , cell]) => cell(view))),
    { ...context.io.table, fitLast: conflicts && !notices },
  );
}

/** Columns of a terminal in which the wide list finds room. */
const roomyColumns = 110;

/** How each branch stands to the others; what is not known yet is found out as far as that is quickly done. */
async function standingsNow(
  context: Context,
  views: readonly InstanceView[],
): Promise<(view: InstanceView) => Standing> {
  const deps = context.deps();
  const bases = await basesOf(
    deps,
    views.map(({ record }) => record.repoId),
  );
  const standings = new Map<string, Standings>();
  for (const [repoId, base] of bases) {
    let known = new Standings(deps, repoId, base);
    if (known.missing(false).length > 0) {
      const { hasty, makeForecasts } = await import("../../core/forecast.ts");
      await makeForecasts(deps, repoId, base, hasty);
      known = new Standings(deps, repoId, base);
    }
    standings.set(repoId, known);
  }
  const all = new Map(views.map(({ record }) => [record.id, standings.get(record.repoId)?.of(record)]));
  return ({ record }) => all.get(record.id) ?? noStanding;
}

/** What the user should know of each instance; asked anew, since a sync during this very command may have changed it. */
function noticesNow(context: Context, problems: ReadonlyMap<string, string>): (view: InstanceView) => string {
  const records = new Map(
    context
      .deps()
      .store.instances()
      .map((record) => [record.id, record]),
  );
  return ({ record: { id }, sessions }) => {
    const record = records.get(id);
    const exposed = exposedSessions(sessions);
    const refused = record?.refused ?? [];
    return [
      record?.notice ?? "",
      record?.warning ?? "",
      problems.get(id) ?? "",
      refused.length === 0 ? "" : `Refused: ${refused.join(", ")} (hjk net log ${record?.branch ?? ""}).`,
      exposed.length === 0 ? "" : `Weak: ${exposed.join(", ")} with a credential inside.`,
    ]
      .filter((text) => text !== "")
      .join(" ");
  };
}

/** What is wrong with the logins that agents work with; those that end are renewed. */
async function loginProblems(context: Context, views: InstanceView[]): Promise<Map<string, string>> {
  const deps = context.deps();
  const problems = await Promise.all(
    views.map(async ({ record, status, sessions }) => {
      const types = sessions.filter((one) => one.status !== "exited").map((one) => one.record.type);
      if (status !== "running" || types.every((type) => type === "shell")) return [];
      const { agents = [], problem } = (await renewLogins(deps, record)) ?? {};
      if (problem === undefined || !agents.some((agent) => types.includes(agent))) return [];
      return [[record.id, problem] as const];
    }),
  );
  return new Map(problems.flat());
}

async function syncAll(context: Context, views: InstanceView[]): Promise<void> {
  const ready = views.filter(
    (view) =>
      (view.status === "running" || view.status === "stopped") && hasNews(context.deps(), view.record),
  );
  if (ready.length === 0) return;
  const { syncInstance } = await import("../../core/sync.ts");
  const patience = AbortSignal.any([context.signal, AbortSignal.timeout(briefSyncMs)]);
  await Promise.all(ready.map((view) => syncInstance(context.deps(), view.record, patience)));
}

async function renderSessions(context: Context, branch: string, options: PlainListing): Promise<string> {
  const instance = await findInstance(context, branch);
  const views = await viewInstances(context.deps());
  const view = views.find((one) => one.record.id === instance.id);
  if (view === undefined) return "";
  await syncAll(context, [view]);
  const sessions = view.sessions.filter((session) => options.all || session.record.end !== "killed");
  if (options.json) {
    return formatJson({ version: 1, branch: instance.branch, sessions: sessions.map(sessionJson) });
  }
  const tty = context.io.stdoutIsTerminal;
  if (sessions.length === 0 && tty) {
    context.io.note(`${instance.branch} has no sessions. Start one: hjk agent ${instance.branch}`);
    return "";
  }
  const anyEnded = sessions.some((session) => session.status === "exited");
  const now = new Date();
  const time = (at: number): string => (tty ? ago(new Date(at), now) : iso(new Date(at)));
  const rows = sessions.map((session) => [
    session.record.name,
    session.record.type,
    session.status,
    time(session.record.createdAt),
    time(session.accessedAt),
    tty ? activityWithAge(session, now) : activityText(session),
    ...(anyEnded ? [exitOf(session)] : []),
  ]);
  return formatTable(
    ["SESSION", "TYPE", "STATUS", "CREATED", "ACCESSED", "ACTIVITY", ...(anyEnded ? ["EXIT"] : [])],
    rows,
    context.io.table,
  );
}

function exitOf(session: SessionView): string {
  if (session.status !== "exited") return "";
  return session.record.exitCode === null ? (session.record.end ?? "") : String(session.record.exitCode);
}

function instanceJson(view: InstanceView, gitDir: string, notice: string, standing: Standing): unknown {
  const { record } = view;
  const { base, conflicts, uncommitted } = standing;
  return {
    id: record.id,
    branch: record.branch,
    status: view.status,
    repository: gitDir,
    container: record.container,
    image: record.image,
    profile: record.hardening.profile ?? null,
    isolation: record.hardening.isolation ?? defaultIsolation,
    workspace: record.workspace,
    createdAt: iso(new Date(record.createdAt)),
    notice,
    activity: activityJson(mostUrgent(view.sessions)?.activity, Date.now()),
    base: base ?? null,
    uncommitted:
      uncommitted === undefined ? null : { files: uncommitted.files, at: iso(new Date(uncommitted.at)) },
    conflicts: conflicts.map((clash) => ({ ...clash, count: clash.count ?? null })),
    sessions: view.sessions.map(sessionJson),
  };
}

function sessionJson(session: SessionView): unknown {
  const { record } = session;
  return {
    name: record.name,
    type: record.type,
    status: session.status,
    createdAt: iso(new Date(record.createdAt)),
    accessedAt: iso(new Date(session.accessedAt)),
    endedAt: record.endedAt === null ? null : iso(new Date(record.endedAt)),
    exitCode: record.exitCode,
    end: record.end,
    protection: record.type === "shell" ? null : record.exposed === 1 ? "weak" : "gateway",
    activity: activityJson(session.activity, Date.now()),
    resumable: session.resumable,
  };
}
