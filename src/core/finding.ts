/** One thing that was looked at. */
export interface Finding {
  what: string;
  state: "ok" | "warning" | "problem";
  detail: string;
  /** What to do about it. */
  hint?: string;
  /** Mends it, and says what was done. */
  fix?: () => Promise<string>;
  /** What was done about it. */
  fixed?: string;
}

/** What to do about everything that can be mended. */
export const fixHint = "Mend it: hjk doctor --fix";
