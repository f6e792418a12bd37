/** A parsed JSON object of an agent's own files: hostile, so every field is looked at before it is used. */
export type Json = Record<string, unknown>;

/** Why a turn failed, as far as the agent's record tells: the user must log in, wait, or look. */
export type ErrorKind = "login" | "rate-limit" | "other";

/** Tokens of one answer of the model. */
export interface TokenUsage {
  /** Read anew, cache reads and writes not included. */
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
}

/** One entry of a conversation, the same for every agent. */
export interface ConversationEntry {
  /**
   * `prompt`: the user's words. `reply`: the agent's. `turn-start` and `turn-end`: where the agent
   * records them. `interrupt`: the user stopped the turn.
   */
  kind: "prompt" | "reply" | "tool-call" | "tool-result" | "error" | "turn-start" | "turn-end" | "interrupt";
  /** Unix time in milliseconds; null where the agent records none. */
  at: number | null;
  /** Words, the input of a tool as JSON, the output of a tool, or the message of an error; else empty. */
  text: string;
  /** Name of the tool of a `tool-call`. */
  tool?: string;
  /** A prompt that the agent has taken and will turn to later. */
  queued?: true;
  error?: ErrorKind;
  /** The agent tries again by itself after this error. */
  retrying?: true;
  model?: string;
  /** What the model's answer cost; on one entry of an answer only. */
  usage?: TokenUsage;
  /** US dollars, where the agent records them. */
  cost?: number;
}

/** Where an agent records its conversation, and how that is read. */
export interface ConversationSource {
  /** Folder below the session's state folder. */
  folder: string;
  /** How many folders below that one the files are. */
  depth: number;
  /** Names of the files; the newest that `isMain` agrees to is the conversation. */
  file: RegExp;
  /** By a file's first record: false for side threads, such as those that make up a title. */
  isMain?: (first: Json) => boolean;
  /** Name by which the agent resumes the conversation; undefined for one that cannot be resumed. */
  id: (fileName: string) => string | undefined;
  /**
   * Makes entries of the records of a file (JSON lines, oldest first), or of only the last of them.
   * What it does not know it leaves out; what the agent has recorded twice it gives once.
   */
  read: (records: readonly Json[]) => ConversationEntry[];
  /**
   * Threads of agents that the agent has started, below `folder` too. They are not the conversation, but
   * what they used counts.
   */
  side?: { depth: number; file: RegExp; read: (records: readonly Json[]) => ConversationEntry[] };
}
