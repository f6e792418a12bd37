import { describe, expect, test } from "bun:test";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { findSession } from "./find.ts";

/** What `findSession` finds among sessions, each written as "name type state", the oldest first. */
function found(...sessions: string[]): string {
  const records = sessions.map((text) => {
    const [name, type, state] = text.split(" ");
    return { name, type, state } as SessionRecord;
  });
  const context = { deps: () => ({ store: { sessions: () => records } }) } as unknown as Context;
  try {
    const session = findSession(context, { id: "abc123", branch: "feat/a" } as InstanceRecord, undefined);
    return `${session.name} ${session.type}`;
  } catch (error) {
    if (error instanceof HeadjackError) return [error.message, ...error.hints].join("\n");
    throw error;
  }
}

describe("a session without a name", () => {
  test("is the only one that lives, or the only agent's of those", () => {
    expect(found("a claude ended", "b shell live")).toBe("b shell");
    expect(found("a shell live", "b claude live", "c shell starting", "d codex ended")).toBe("b claude");
    expect(found("a claude live", "b codex live", "c shell live")).toContain("more than one session");
    expect(found("a shell live", "b shell live", "c claude ended")).toContain("Its sessions: b, a");
  });

  test("is, where none lives, the only one or the only agent's", () => {
    expect(found("a shell ended")).toBe("a shell");
    expect(found("a shell ended", "b claude ended", "c shell ended")).toBe("b claude");
    expect(found("a claude ended", "b claude ended")).toContain("more than one session");
    expect(found()).toContain("has no session");
  });

  test("otherwise has to be named: each name once, the newest first, and not too many", () => {
    expect(found("a shell ended", "b shell ended", "a shell ended")).toEndWith("Its sessions: a, b");
    const many = Array.from({ length: 10 }, (_, index) => `s${index} shell live`);
    expect(found(...many)).toEndWith("Its sessions: s9, s8, s7, s6, s5, s4, s3, s2 and 2 more");
  });
});
