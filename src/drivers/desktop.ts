import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runUnchecked, type Environment } from "./process.ts";

/** Texts of one line, without control characters. */
export interface DesktopNote {
  title: string;
  body: string;
}

/**
 * Why nothing can be shown on the desktop: `no-tool`: the program for it is not installed; `no-desktop`:
 * nobody is logged in to one here; `wsl`: the desktop is that of Windows.
 */
export type DesktopObstacle = "no-tool" | "no-desktop" | "wsl";

/** Asked before anything is started: without a session bus, the tool may start one, or ask in a window. */
export function desktopObstacle(env: Environment, platform = process.platform): DesktopObstacle | undefined {
  if (platform !== "darwin") {
    if (isWsl(env)) return "wsl";
    if (!hasSessionBus(env)) return "no-desktop";
  }
  return Bun.which(toolOf(platform), { PATH: env["PATH"] ?? "" }) === null ? "no-tool" : undefined;
}

/** Shows a note by the desktop's own tool; nothing where there is none. */
export async function showOnDesktop(
  note: DesktopNote,
  options: { env: Environment; timeoutMs: number; platform?: NodeJS.Platform },
): Promise<void> {
  const { env, timeoutMs, platform = process.platform } = options;
  if (desktopObstacle(env, platform) !== undefined) return;
  const args = platform === "darwin" ? forOsascript(note) : forNotifySend(note);
  await runUnchecked([toolOf(platform), ...args], { env, timeoutMs, cwd: "/" });
}

const toolOf = (platform: NodeJS.Platform): string => (platform === "darwin" ? "osascript" : "notify-send");

function isWsl(env: Environment): boolean {
  if ((env["WSL_DISTRO_NAME"] ?? "") !== "") return true;
  try {
    // The tmux server's environment lacks that variable.
    return /microsoft/i.test(readFileSync("/proc/sys/kernel/osrelease", "utf8"));
  } catch {
    return false;
  }
}

function hasSessionBus(env: Environment): boolean {
  if ((env["DBUS_SESSION_BUS_ADDRESS"] ?? "") !== "") return true;
  const folder = env["XDG_RUNTIME_DIR"] ?? "";
  return folder !== "" && existsSync(join(folder, "bus"));
}

/**
 * Of the body, notify-send itself reads backslashes as C does, and the desktop reads what is left as
 * markup, with links and pictures.
 */
function forNotifySend({ title, body }: DesktopNote): string[] {
  const plain = body
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\\", "\\\\");
  return ["--app-name=Headjack", "--", title, plain];
}

/** The texts are arguments of the script and no part of it. From the end: whether `--` counts is not documented. */
function forOsascript({ title, body }: DesktopNote): string[] {
  const script = [
    "on run argv",
    "display notification (item -1 of argv) with title (item -2 of argv)",
    "end run",
  ];
  return [...script.flatMap((line) => ["-e", line]), "--", title, body];
}
