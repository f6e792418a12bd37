import { appendFileSync } from "node:fs";

/*
 * Part of the `hjk` that the fault suite runs, never of the one that users get. Counts what the program does
 * to the world outside, step by step, and ends the program by SIGKILL at one of them. The environment says
 * where; it is taken away at once, so that no child of the program, as a hook of tmux's, ends itself as well.
 */

/** `before`: nothing of the step has been done. `under way`: the other side has been asked, and goes on alone. */
const wanted = {
  at: Number(process.env["HJK_FAULT_AT"] ?? 0),
  when: process.env["HJK_FAULT_WHEN"] ?? "before",
  /** What is done there in place of ending the program: something else dies. */
  instead: process.env["HJK_FAULT_INSTEAD"] ?? "",
};
const journal = process.env["HJK_FAULT_JOURNAL"];
for (const name of ["HJK_FAULT_AT", "HJK_FAULT_WHEN", "HJK_FAULT_INSTEAD", "HJK_FAULT_JOURNAL"])
  delete process.env[name];

let count = 0;

/** Characters of a step's name. */
const nameLength = 100;

/** Milliseconds in which a request reaches the engine. */
const sendMs = 5;

function end(): void {
  if (wanted.instead === "") process.kill(process.pid, "SIGKILL");
  else Bun.spawnSync(["sh", "-c", wanted.instead]);
}

/** Does one step. `goesOn` is said of what another program does, which goes on when this one has ended. */
export function step<T>(what: string, work: () => T, goesOn = false): T {
  count += 1;
  const mine = count;
  if (journal !== undefined) appendFileSync(journal, `${goesOn ? "+" : "-"} ${what}\n`);
  if (mine === wanted.at && wanted.when === "before") end();
  const result = work();
  if (mine !== wanted.at || wanted.when === "before") return result;
  // A process is there as soon as it has been started; a request must reach the engine first.
  if (result instanceof Promise) setTimeout(end, sendMs);
  else end();
  return result;
}

/** A function each call of which is a step, but for those that change nothing. */
export function asStep<F extends (...args: never[]) => unknown>(
  what: string,
  call: F,
  changes: (first: unknown) => boolean = () => true,
): F {
  const all = call as unknown as (...args: unknown[]) => unknown;
  const counted = (...args: unknown[]): unknown =>
    changes(args[0])
      ? step(typeof args[0] === "string" ? `${what} ${args[0]}` : what, () => all(...args))
      : all(...args);
  return counted as unknown as F;
}

/** Subcommands of git that only look. */
const looks = new Set([
  "cat-file",
  "check-ref-format",
  "diff",
  "diff-tree",
  "for-each-ref",
  "log",
  "ls-tree",
  "merge-base",
  "rev-list",
  "rev-parse",
  "status",
]);

/** Whether a process that is started only looks at something. */
function onlyLooks(command: readonly string[]): boolean {
  const [program = "", ...args] = command;
  if (program === "du" || program === "ps") return true;
  if (program === "tmux")
    return args.some((word) => /^(list-|has-session|display-message|capture-)/.test(word));
  if (program !== "git") return false;
  const words = args.filter((word, index) => word !== "-c" && args[index - 1] !== "-c");
  const [name = "", next = ""] = words;
  if (name === "worktree") return next === "list";
  if (name === "config") return words.some((word) => word.startsWith("--get"));
  if (name === "symbolic-ref") return words.filter((word) => !word.startsWith("-")).length === 2;
  return looks.has(name) || name === "--version";
}

/** The command without what differs from run to run. */
function named(command: readonly string[]): string {
  const words = command.filter((word, index) => word !== "-c" && command[index - 1] !== "-c");
  return words.join(" ").replace(/\s+/g, " ").slice(0, nameLength);
}

const { spawn } = Bun;
Bun.spawn = ((command: string[], ...rest: []) => {
  const start = (): unknown => spawn(command, ...rest);
  return onlyLooks(command) ? start() : step(named(command), start, true);
}) as unknown as typeof Bun.spawn;

const { fetch } = globalThis;
globalThis.fetch = (async (url: string, init?: RequestInit) => {
  const method = init?.method ?? "GET";
  // Making an exec and asking how it ended change nothing; starting it does.
  if (method === "GET") return await fetch(url, init);
  return await step(`${method} ${new URL(url).pathname}`, () => fetch(url, init), true);
}) as typeof globalThis.fetch;
