import { createHash } from "node:crypto";
import type { Fault } from "./task.ts";

/** How often each conversation's fault has struck. */
const struck = new Map<string, number>();

/**
 * Whether a fault strikes this time. `conversation` names one: client, API and all prompts so far. Once
 * its fault is over it is forgotten, so that the same prompt fails anew in the next session.
 */
export function strikes(conversation: string[], fault: Fault): boolean {
  const key = createHash("sha256").update(JSON.stringify(conversation)).digest("hex");
  const count = struck.get(key) ?? 0;
  if (count >= fault.times) {
    struck.delete(key);
    return false;
  }
  struck.set(key, count + 1);
  return true;
}
