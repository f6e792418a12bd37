import {
  ProcessError,
  run,
  runStreaming,
  runUnchecked,
  type Environment,
  type RunOptions,
  type RunResult,
} from "../process.ts";
import { HeadjackError } from "../../errors.ts";

export interface GitOptions {
  cwd?: string;
  /** Added to the pinned environment below. */
  env?: Environment;
  input?: string;
  timeoutMs?: number;
  /** Size of the largest file that git may write. */
  maxFileBytes?: number;
  signal?: AbortSignal;
  /** Git is to find out itself what the folder is: then the user's `safe.bareRepository` counts. */
  discover?: boolean;
}

/** Characters of git's own reason for a failure that are kept. */
const maxReasonLength = 10_000;

/**
 * Objects and refs that git writes are then on the disk when it ends; left to itself it writes small ones when the
 * system likes. For what must outlast a power cut that comes after an instance was removed.
 */
export const lasting = ["-c", "core.fsync=committed", "-c", "core.fsyncMethod=batch"];

/**
 * Runs the host's git. Hooks are always off: a relative `core.hooksPath` (husky) would run files that
 * an agent may have written. Optional locks are off, so that a look never contends with the user's own
 * git for the index.
 */
export class Git {
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Runs git; a failure throws with git's own reason. */
  async run(args: readonly string[], options: GitOptions = {}): Promise<string> {
    try {
      return (await run(this.#command(args, options), this.#options(options))).stdout;
    } catch (error) {
      throw readable(error);
    }
  }

  /** Runs git where a failure is an answer. */
  async try(args: readonly string[], options: GitOptions = {}): Promise<RunResult> {
    try {
      return await runUnchecked(this.#command(args, options), this.#options(options));
    } catch (error) {
      throw readable(error);
    }
  }

  /** Runs git and passes on what it prints as it comes, for output of any size; a failure throws. */
  async stream(
    args: readonly string[],
    options: GitOptions & { onOutput: (chunk: Uint8Array) => void | Promise<void> },
  ): Promise<void> {
    const result: RunResult = { code: 0, stdout: "", stderr: "" };
    try {
      result.code = await runStreaming(this.#command(args, options), {
        ...this.#options(options),
        onOutput: (chunk, stream) => {
          if (stream === "stdout") return options.onOutput(chunk);
          if (result.stderr.length < maxReasonLength) result.stderr += new TextDecoder().decode(chunk);
        },
      });
    } catch (error) {
      throw readable(error);
    }
    if (result.code !== 0) throw new ProcessError(["git"], "exit", result);
  }

  #command(args: readonly string[], options: GitOptions): string[] {
    // Elsewhere it is a git directory that the user has come by themselves, or one of ours.
    const bare = options.discover === true ? [] : ["-c", "safe.bareRepository=all"];
    const command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", ...bare, ...args];
    if (options.maxFileBytes === undefined) return command;
    // The only portable limit; POSIX counts it in blocks of 512 bytes.
    return ["sh", "-c", `ulimit -f ${Math.ceil(options.maxFileBytes / 512)} && exec "$@"`, "sh", ...command];
  }

  #options({ cwd, env, input, timeoutMs, signal }: GitOptions): RunOptions {
    return {
      env: { ...this.#env, LC_ALL: "C.UTF-8", GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0", ...env },
      ...(cwd === undefined ? {} : { cwd }),
      ...(input === undefined ? {} : { input }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    };
  }
}

function readable(error: unknown): unknown {
  if (!(error instanceof ProcessError)) return error;
  // Not the shell that sets the limit.
  if (error.reason !== "not-installed") return new ProcessError(["git"], error.reason, error.result);
  return new HeadjackError("git is not installed.", { cause: error, hints: ["Install git 2.31 or newer."] });
}
