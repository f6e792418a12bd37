import { dirname } from "node:path";
import { ringBell } from "../drivers/bell.ts";
import { desktopObstacle, showOnDesktop, type DesktopObstacle } from "../drivers/desktop.ts";
import { runUnchecked } from "../drivers/process.ts";
import type { Store } from "../store/store.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import type { Finding } from "./finding.ts";

/** How the user is told of something. */
export type NotifyWay = "desktop" | "bell" | "command";

/** What the user is told of: an agent waits for them, has finished its turn, or has failed. */
export type NotifyKind = "waiting" | "done" | "failed";

export type NotifySettings = Record<NotifyKind, readonly NotifyWay[]> & {
  /** Words of the command; empty for none. */
  command: readonly string[];
};

export interface NotifyEvent {
  kind: NotifyKind;
  /** What a waiting agent waits for, or why one has failed: `permission`, `login`. */
  reason?: string;
  /** The agent's own words: hostile. */
  message?: string;
  instance: Pick<InstanceRecord, "id" | "repoId" | "branch">;
  session: Pick<SessionRecord, "name" | "type">;
  /** The user's terminals, whose bell is rung. */
  terminals: readonly string[];
}

type NotifyDeps = Pick<Deps, "env" | "user"> & { store: Pick<Store, "repo"> };

/** Milliseconds until a tool that hangs is ended. */
const toolTimeoutMs = 5000;

/** Characters of a message: what a desktop shows, and what the user's command gets. */
const limits = { desktop: 200, command: 2000 };

/**
 * Tells the user of an event in the ways that they have chosen. Never fails: nothing of an agent's
 * work depends on it. Whether the user knows already is the caller's business.
 */
export async function notify(
  deps: NotifyDeps,
  settings: NotifySettings,
  event: NotifyEvent,
  timeoutMs = toolTimeoutMs,
): Promise<void> {
  const tell: Record<NotifyWay, () => unknown> = {
    desktop: () => showOnDesktop(noteOf(event), { env: deps.env, timeoutMs }),
    bell: () => new Set(event.terminals).forEach((terminal) => ringBell(terminal, deps.user.uid)),
    command: () => runCommand(deps, settings.command, event, timeoutMs),
  };
  const ways = new Set(settings[event.kind]);
  await Promise.allSettled([...ways].map(async (way) => await tell[way]()));
}

/** The event is in its environment: in its arguments a program could take it for an option, or a shell for code. */
async function runCommand(
  deps: NotifyDeps,
  command: readonly string[],
  event: NotifyEvent,
  timeoutMs: number,
): Promise<void> {
  if (command.length === 0) return;
  const { instance, session } = event;
  const gitDir = deps.store.repo(instance.repoId)?.gitDir ?? "";
  const env = {
    ...deps.env,
    HJK_EVENT: event.kind,
    HJK_BRANCH: instance.branch,
    HJK_SESSION_NAME: session.name,
    HJK_AGENT: session.type,
    HJK_REASON: plain(event.reason ?? "", limits.desktop),
    HJK_MESSAGE: plain(event.message ?? "", limits.command),
    HJK_INSTANCE: instance.id,
    HJK_REPOSITORY: gitDir.endsWith("/.git") ? dirname(gitDir) : gitDir,
  };
  await runUnchecked(command, { env, timeoutMs, cwd: "/" });
}

const waitingFor: Record<string, string> = {
  permission: "asks for permission",
  question: "asks a question",
  login: "must be logged in",
  "rate-limit": "has reached its rate limit",
};

function noteOf({ kind, reason = "", message = "", instance, session }: NotifyEvent): {
  title: string;
  body: string;
} {
  const waits = Object.hasOwn(waitingFor, reason) ? waitingFor[reason] : undefined;
  const what = { waiting: waits ?? "waits for you", done: "is done", failed: "has failed" }[kind];
  const words = plain(message, limits.desktop);
  return {
    title: plain(`${instance.branch}: ${session.type} ${what}`, limits.desktop),
    body: words === "" ? `hjk attach ${plain(instance.branch, limits.desktop)} ${session.name}` : words,
  };
}

/** One line of text that can do nothing but be read: no escape sequence, nothing invisible. */
function plain(text: string, length: number): string {
  // First cut roughly: it may be megabytes.
  const clean = Bun.stripANSI(text.slice(0, 8 * length))
    .replace(/[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu, "")
    .replace(/[\p{C}\p{Z}]+/gu, " ")
    .trim();
  return clean.length <= length ? clean : `${clean.slice(0, length - 1).replace(/\p{Cs}$/u, "")}…`;
}

const obstacles: Record<DesktopObstacle, Pick<Finding, "state" | "detail" | "hint">> = {
  "no-tool": {
    state: "warning",
    detail: "nothing to show them on the desktop with",
    hint: "Install notify-send (in Debian's package libnotify-bin), or choose bell or command: hjk config --help",
  },
  "no-desktop": { state: "ok", detail: "no desktop here, so nothing is shown on it" },
  wsl: { state: "ok", detail: "not on the desktop of Windows yet" },
};

/** Whether the user can be told in the ways that they have chosen. */
export function notificationFinding(deps: Pick<Deps, "env">, settings: NotifySettings): Finding {
  const what = "notifications";
  const ways = new Set([...settings.waiting, ...settings.done, ...settings.failed]);
  if (ways.has("command")) {
    const [program] = settings.command;
    if (program === undefined) {
      return {
        what,
        state: "warning",
        detail: "notify.command is not set",
        hint: "Set it: hjk config notify.command PROGRAM",
      };
    }
    if (Bun.which(program, { PATH: deps.env["PATH"] ?? "" }) === null) {
      return { what, state: "warning", detail: `notify.command: ${program} is not a program here` };
    }
  }
  const obstacle = ways.has("desktop") ? desktopObstacle(deps.env) : undefined;
  if (obstacle !== undefined) return { what, ...obstacles[obstacle] };
  return { what, state: "ok", detail: ways.size === 0 ? "switched off" : [...ways].join(", ") };
}
