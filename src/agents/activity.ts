import type { Json } from "./conversation.ts";

/** What a waiting agent waits for. */
export type WaitReason = "permission" | "question" | "login" | "rate-limit";

/**
 * What an agent says of itself, elsewhere than in its conversation. `ready`: no turn is going on; how
 * the last one ended is in the conversation. `background`: the same, but what it has started still runs.
 */
export interface Signal {
  state: "working" | "waiting" | "ready" | "background";
  /** For `waiting`, where the agent tells. */
  reason?: WaitReason;
  /** Unix time in milliseconds since when, where the agent tells. */
  at?: number;
}

/** Where else than in its conversation an agent says what it is doing; whatever comes from there is hostile. */
export interface SignalSource {
  /** A small JSON file in the session's home that it keeps up to date; the newest counts. */
  status?: { folder: string; file: RegExp; read: (status: Json) => Signal | undefined };
  /** The title it gives its terminal. */
  title?: (title: string) => Signal | undefined;
  /** Tools by which it puts a question to the user, to tell that from asking for permission. */
  questionTools?: readonly string[];
}
