import type { Use } from "./toolbox.ts";

/** One answer of the stand-in: words, then a tool. The last step of a task uses no tool. */
export interface Step {
  say?: string;
  use?: Use;
  /** Time to "think" before the first byte. */
  pauseMs?: number;
  /** Pause between two streamed words. */
  wordMs?: number;
}

/** What a prompt sets going. */
export interface Task {
  steps: Step[];
  /** The last step is a question: the next prompt is its answer, whatever it says. */
  asks?: boolean;
  /** What goes wrong, so many times for each conversation, before the first step is answered. */
  fault?: Fault;
}

export interface Fault {
  /** HTTP status of the answer; without one half an answer is streamed and the connection broken. */
  status?: number;
  times: number;
  /** Seconds after which the client is told to try again. */
  retryAfter: number;
}

/**
 * A commit of these paths alone, with the identity git is configured with: a test must see that the
 * instance was given one. A second run finds nothing new, which is no failure.
 */
export function commit(subject: string, ...paths: string[]): Use {
  const files = paths.join(" ");
  return {
    kind: "shell",
    command:
      `git add -- ${files} && { git diff --cached --quiet -- ${files} || ` +
      `git commit -q -m '${subject}' -- ${files}; } && git log --oneline -1`,
    why: "commit the work",
  };
}
