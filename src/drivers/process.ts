import { existsSync } from "node:fs";
import { constants } from "node:os";

export interface RunOptions {
  cwd?: string;
  /** Whole environment of the child; nothing is inherited beside it. */
  env: Environment;
  /** Written to the child's standard input, which is closed afterwards. */
  input?: string;
  /** Milliseconds until the child is ended; none by default. */
  timeoutMs?: number;
  /** Bytes of stdout or stderr after which the child is ended. Default 64 MiB. */
  maxOutputBytes?: number;
  signal?: AbortSignal;
}

export type Environment = Record<string, string | undefined>;

export interface RunResult {
  /** Exit code; 128 + signal number for a child that a signal ended. */
  code: number;
  stdout: string;
  stderr: string;
}

/** A child that could not be started, failed, took too long or said too much. */
export class ProcessError extends Error {
  readonly command: readonly string[];
  readonly reason: "exit" | "not-installed" | "no-folder" | "timeout" | "output-limit" | "aborted";
  readonly result: RunResult;

  constructor(command: readonly string[], reason: ProcessError["reason"], result: RunResult) {
    const text = {
      exit: `exited with code ${result.code}`,
      "not-installed": "is not installed",
      "no-folder": "could not be started in its folder",
      timeout: "took too long and was ended",
      "output-limit": "printed too much and was ended",
      aborted: "was interrupted",
    }[reason];
    const lines = result.stderr.trim().split("\n").slice(-5);
    const detail = lines.map((line) => line.slice(0, maxLineLength)).join("\n");
    super(`${command[0] ?? ""} ${text}${detail === "" ? "" : `: ${detail}`}`);
    this.name = "ProcessError";
    this.command = command;
    this.reason = reason;
    this.result = result;
  }
}

/** Characters of one line of a child's last words: what it prints may be hostile, and endless. */
const maxLineLength = 400;

/** Milliseconds between asking a child to end and ending it. */
const graceMs = 2000;

const ignore = (): void => undefined;

/** Runs a program to its end and returns what it printed; a non-zero exit is a result, not an error. */
export async function runUnchecked(command: readonly string[], options: RunOptions): Promise<RunResult> {
  if (options.signal?.aborted === true) {
    throw new ProcessError(command, "aborted", { code: 130, stdout: "", stderr: "" });
  }
  const child = spawn(command, options);
  let reason: ProcessError["reason"] | undefined;
  let force: NodeJS.Timeout | undefined;
  const end = (why: ProcessError["reason"]): void => {
    reason ??= why;
    force ??= endGroup(child);
  };
  const timer =
    options.timeoutMs === undefined ? undefined : setTimeout(() => end("timeout"), options.timeoutMs);
  const onAbort = (): void => end("aborted");
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const limit = options.maxOutputBytes ?? 64 * 1024 * 1024;
    const [stdout, stderr] = await Promise.all([
      readText(child.stdout, limit, () => end("output-limit")),
      readText(child.stderr, limit, () => end("output-limit")),
    ]);
    await child.exited;
    const result = { code: exitCodeOf(child), stdout, stderr };
    if (reason !== undefined) throw new ProcessError(command, reason, result);
    return result;
  } finally {
    clearTimeout(timer);
    clearTimeout(force);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** Like `runUnchecked`, but a non-zero exit throws a `ProcessError`. */
export async function run(command: readonly string[], options: RunOptions): Promise<RunResult> {
  const result = await runUnchecked(command, options);
  if (result.code !== 0) throw new ProcessError(command, "exit", result);
  return result;
}

/** Runs a program on the user's own terminal and returns its exit code; `signal` ends it. */
export async function runInteractive(
  command: readonly string[],
  options: Pick<RunOptions, "cwd" | "env" | "signal">,
): Promise<number> {
  try {
    const child = Bun.spawn([...command], {
      env: definedOnly(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ["inherit", "inherit", "inherit"],
    });
    // The terminal sends these to the whole foreground group; the child decides what they mean.
    process.on("SIGINT", ignore);
    process.on("SIGQUIT", ignore);
    const end = (): void => child.kill("SIGTERM");
    options.signal?.addEventListener("abort", end, { once: true });
    await child.exited;
    options.signal?.removeEventListener("abort", end);
    process.off("SIGINT", ignore);
    process.off("SIGQUIT", ignore);
    return exitCodeOf(child);
  } catch (error) {
    throw startError(command, error, options.cwd);
  }
}

/**
 * Runs a program and passes each chunk of its output on as it comes; returns its exit code. The next
 * chunk is not read before the last one has been dealt with.
 */
export async function runStreaming(
  command: readonly string[],
  options: RunOptions & {
    onOutput: (chunk: Uint8Array, stream: "stdout" | "stderr") => void | Promise<void>;
  },
): Promise<number> {
  const child = spawn(command, options);
  let force: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    force ??= endGroup(child);
  };
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const pump = async (stream: ReadableStream<Uint8Array>, name: "stdout" | "stderr"): Promise<void> => {
    for await (const chunk of stream) await options.onOutput(chunk, name);
  };
  await Promise.all([pump(child.stdout, "stdout"), pump(child.stderr, "stderr")]);
  await child.exited;
  clearTimeout(force);
  options.signal?.removeEventListener("abort", onAbort);
  if (options.signal?.aborted === true) {
    throw new ProcessError(command, "aborted", { code: 130, stdout: "", stderr: "" });
  }
  return exitCodeOf(child);
}

function spawn(command: readonly string[], options: RunOptions) {
  try {
    return Bun.spawn([...command], {
      env: definedOnly(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdin: options.input === undefined ? "ignore" : new TextEncoder().encode(options.input),
      stdout: "pipe",
      stderr: "pipe",
      // A process group of its own: it is ended with everything it has started, and Ctrl+C reaches only
      // us, who then undo what is half made.
      detached: true,
    });
  } catch (error) {
    throw startError(command, error, options.cwd);
  }
}

/** Asks a child and all that it has started to end; the timer returned ends them by force. */
function endGroup(child: Pick<Bun.Subprocess, "pid">): NodeJS.Timeout {
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // All of them have ended.
    }
  };
  signal("SIGTERM");
  return setTimeout(() => signal("SIGKILL"), graceMs);
}

function startError(command: readonly string[], error: unknown, cwd?: string): unknown {
  if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) return error;
  // The system gives the same reason for both.
  return cwd === undefined || existsSync(cwd)
    ? new ProcessError(command, "not-installed", { code: 127, stdout: "", stderr: "" })
    : new ProcessError(command, "no-folder", { code: 127, stdout: "", stderr: cwd });
}

function exitCodeOf(child: Pick<Bun.Subprocess, "exitCode" | "signalCode">): number {
  if (child.exitCode !== null) return child.exitCode;
  const signal = Object.entries(constants.signals).find(([name]) => name === child.signalCode);
  return signal === undefined ? 1 : 128 + signal[1];
}

async function readText(
  stream: ReadableStream<Uint8Array>,
  limit: number,
  onLimit: () => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.byteLength;
    if (size > limit) {
      onLimit();
      break;
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function definedOnly(env: Environment): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) result[name] = value;
  return result;
}

/**
 * The environment for children: the user's own, without what would point git at another repository
 * (`hjk` may itself run inside a git hook) and without Bun's own switches, which a child built with
 * Bun, such as Claude Code, would obey.
 */
export function childEnvironment(env: Environment): Environment {
  const result: Environment = {};
  for (const [name, value] of Object.entries(env)) {
    if (repositoryVariables.has(name) || name === "BUN_OPTIONS" || name === "BUN_BE_BUN") continue;
    result[name] = value;
  }
  return result;
}

// The list of `git rev-parse --local-env-vars`.
const repositoryVariables = new Set([
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_CONFIG",
  "GIT_CONFIG_PARAMETERS",
  "GIT_CONFIG_COUNT",
  "GIT_OBJECT_DIRECTORY",
  "GIT_DIR",
  "GIT_WORK_TREE",
  "GIT_IMPLICIT_WORK_TREE",
  "GIT_GRAFT_FILE",
  "GIT_INDEX_FILE",
  "GIT_NO_REPLACE_OBJECTS",
  "GIT_REPLACE_REF_BASE",
  "GIT_PREFIX",
  "GIT_INTERNAL_SUPER_PREFIX",
  "GIT_SHALLOW_FILE",
  "GIT_COMMON_DIR",
  "GIT_NAMESPACE",
]);

/** Quotes one argument for a POSIX shell. */
export function shellQuote(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
