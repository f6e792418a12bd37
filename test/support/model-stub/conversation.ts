/** One turn of a conversation, the same for all three APIs. A tool turn is the result of one call. */
export interface Turn {
  role: "user" | "assistant" | "tool";
  text: string;
}

/** What a request says, whatever its API. */
export interface Conversation {
  turns: Turn[];
  /** Names of the tools the agent offers; empty for its side requests (titles, routing). */
  tools: string[];
}

/** One call of a tool that the agent offered, with the arguments that tool wants. */
export interface ToolCall {
  name: string;
  args: Record<string, unknown>;
  /** What a tool of free form gets instead of arguments (Codex's `exec` wants JavaScript). */
  source?: string;
}

/** What the stand-in answers. Without a call the agent's turn ends. */
export interface Reply {
  say?: string | undefined;
  call?: ToolCall | undefined;
  /** Pause between two streamed words. */
  wordMs: number;
  /** The connection breaks when half of the words are out. */
  dies?: boolean;
}

/** Text that the CLIs put into user turns by themselves: not something a person asked for. */
const injectedTags = [
  // Claude Code: its reminders, and the record of what was typed after "!" or "/".
  "system-reminder",
  "bash-input",
  "bash-stdout",
  "bash-stderr",
  "command-name",
  "command-message",
  "command-args",
  "local-command-stdout",
  "local-command-caveat",
  // Claude Code: a background task has ended.
  "task-notification",
  // Codex.
  "environment_context",
  "user_instructions",
  "user_shell_command",
  "turn_aborted",
  // Gemini CLI.
  "session_context",
];

const injected = [
  new RegExp(`<(${injectedTags.join("|")})>[\\s\\S]*?</\\1>`, "g"),
  /^# AGENTS\.md instructions[\s\S]*$/,
  // Claude Code, after Esc.
  /^\[Request interrupted by user( for tool use)?\]$/,
];

/** What a person wrote in a user turn; empty where all of it came from the CLI. */
export function promptIn(userText: string): string {
  return injected.reduce((rest, pattern) => rest.replace(pattern, ""), userText).trim();
}
