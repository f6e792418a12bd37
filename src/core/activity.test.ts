import { describe, expect, test } from "bun:test";
import type { Signal } from "../agents/activity.ts";
import { claude } from "../agents/claude.ts";
import { codex } from "../agents/codex.ts";
import type { ConversationEntry } from "../agents/conversation.ts";
import { judge } from "./activity.ts";
import { lastTurn } from "./turn.ts";

const now = 1_000_000;
const session = { startedAt: now - 100_000, prompted: 1 };

function entry(kind: ConversationEntry["kind"], more: Partial<ConversationEntry> = {}): ConversationEntry {
  return { kind, at: now - 50_000, text: "", ...more };
}

function told(signal: Signal | undefined, entries: ConversationEntry[], agent = claude): string {
  const { state, reason } = judge(agent, session, signal, lastTurn(entries), now);
  return reason === undefined ? state : `${state}: ${reason}`;
}

const prompt = entry("prompt");
const end = entry("turn-end");
const ready: Signal = { state: "ready" };
const reply = (text: string): ConversationEntry => entry("reply", { text });

describe("an agent that listens", () => {
  test.each<[string, ConversationEntry[], string]>([
    ["was asked nothing", [], "idle"],
    ["has answered", [prompt, reply("It is done."), end], "done"],
    ["asks", [prompt, reply("I looked.\n\nQUESTION: Which one?"), end], "waiting: question"],
    ["asks in bold", [prompt, reply("**QUESTION:** Which one?"), end], "waiting: question"],
    ["speaks of a question", [prompt, reply("QUESTION: is a word.\n\nIt is done."), end], "done"],
    ["is polite", [prompt, reply("It is done. Anything else?"), end], "done"],
    ["was interrupted", [prompt, reply("I begin"), entry("interrupt")], "idle"],
    ["was refused", [prompt, entry("error", { error: "login" })], "waiting: login"],
    ["has reached its limit", [prompt, entry("error", { error: "rate-limit" })], "waiting: rate-limit"],
    ["has failed", [prompt, entry("error", { error: "other" })], "failed"],
    ["has failed, and its turn ended", [prompt, entry("error", { error: "other" }), end], "failed"],
    ["tried again and made it", [prompt, entry("error", { retrying: true }), reply("Done."), end], "done"],
    ["failed a turn ago", [prompt, entry("error"), prompt, reply("Done."), end], "done"],
    [
      "has answered, and has a message to come",
      [prompt, reply("Done."), end, entry("prompt", { queued: true })],
      "done",
    ],
  ])("%s", (_what, entries, state) => {
    expect(told(ready, entries)).toBe(state);
  });

  test("was just given a prompt, which it turns to now", () => {
    expect(told(ready, [entry("prompt", { at: now - 500 })])).toBe("working");
  });

  test("was ended in the middle of a turn and started again", () => {
    const before = [
      entry("prompt", { at: session.startedAt - 9 }),
      entry("reply", { at: session.startedAt - 5 }),
    ];
    expect(told(ready, before)).toBe("idle");
  });

  test("has just started with a prompt, which has not come yet", () => {
    expect(told({ state: "ready", at: now - 1000 }, [])).toBe("starting");
  });

  test("leaves a command in the background", () => {
    const background: Signal = { state: "background" };
    expect(told(background, [prompt, reply("The server runs."), end])).toBe("working");
    expect(told(background, [prompt, reply("QUESTION: Which port?"), end])).toBe("waiting: question");
    expect(told(background, [prompt, entry("error", { error: "other" })])).toBe("failed");
  });
});

test("an agent that works, whatever its last turn was like", () => {
  const working: Signal = { state: "working" };
  expect(told(working, [prompt, reply("QUESTION: Which one?"), end])).toBe("working");
  expect(told(working, [])).toBe("working");
  const limited = entry("error", { error: "rate-limit", retrying: true });
  expect(told(working, [prompt, limited])).toBe("waiting: rate-limit");
});

test("a dialog: by the agent's word, or by the tool that it called last", () => {
  expect(told({ state: "waiting", reason: "permission" }, [])).toBe("waiting: permission");
  const asks = entry("tool-call", { tool: "request_user_input" });
  expect(told({ state: "waiting" }, [prompt, asks], codex)).toBe("waiting: question");
  expect(told({ state: "waiting" }, [prompt, entry("tool-call", { tool: "shell" })], codex)).toBe(
    "waiting: permission",
  );
});

test("an agent that says nothing but what it records", () => {
  expect(told(undefined, [prompt, entry("tool-call")])).toBe("working");
  expect(told(undefined, [prompt, reply("Done."), end])).toBe("done");
});

test.each([NaN, -1, 1e300, now + 3_600_000])("a time that cannot be is none: %p", (at) => {
  expect(judge(claude, session, { state: "ready", at }, undefined, now).since).toBeNull();
});
