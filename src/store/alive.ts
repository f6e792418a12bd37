import { readFileSync } from "node:fs";

/** A process that holds a lock: its number may be given to another after its end. */
export interface LockHolder {
  pid: number;
  started: string;
}

/** Whether the process that wrote a pid and a start time is still the one that has the pid. */
export function isAlive(row: LockHolder): boolean {
  try {
    process.kill(row.pid, 0);
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  const started = startOf(row.pid);
  return started === "" || row.started === "" || started === row.started;
}

/** Start time of a process in clock ticks since boot, from field 22 of `/proc/PID/stat`; empty where there is none. */
export function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may itself hold spaces.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** Whether a process is alive, by its number alone. */
export function isProcessAlive(pid: number): boolean {
  return isAlive({ pid, started: "" });
}
