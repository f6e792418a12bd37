import { describe, expect, test } from "bun:test";
import { HeadjackError } from "../errors.ts";
import { checkBranchName, checkSessionName, newInstanceId, newSessionName, slug } from "./names.ts";

function refusal(check: () => void): HeadjackError {
  try {
    check();
  } catch (error) {
    if (error instanceof HeadjackError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

describe("checkBranchName", () => {
  test.each([
    "main",
    "feat/health-endpoint",
    "fix_1.2+rc=3",
    "user@work/#42",
    "100%",
    "größe/ändern",
    "機能/追加",
    "e\u0301tude",
    "a".repeat(200),
  ])("takes %j", (branch) => {
    expect(() => checkBranchName(branch)).not.toThrow();
  });

  test.each([
    ["", "it is empty"],
    ["--privileged", "it begins with a dash"],
    ["-x", "it begins with a dash"],
    ["$(id)", 'it contains "$"'],
    ["`id`", 'it contains "`"'],
    ["a;b", 'it contains ";"'],
    ["a b", 'it contains " "'],
    ["a'b", `it contains "'"`],
    ["a:b", 'it contains ":"'],
    ["a\nb", String.raw`it contains "\n"`],
    ["a\u001b[31mb", String.raw`it contains "\u001b"`],
    ["a\u202eb", String.raw`it contains "\u202e"`],
    ["a\u200bb", String.raw`it contains "\u200b"`],
    ["🐼", 'it contains "🐼"'],
    ["../x", "it contains .., // or @{"],
    ["a..b", "it contains .., // or @{"],
    ["a//b", "it contains .., // or @{"],
    ["a@{1}", 'it contains "{"'],
    ["/a", "a part of it begins or ends with a dot or slash"],
    ["a/", "a part of it begins or ends with a dot or slash"],
    [".a", "a part of it begins or ends with a dot or slash"],
    ["a/.b", "a part of it begins or ends with a dot or slash"],
    ["a.", "a part of it begins or ends with a dot or slash"],
    ["a.lock", "a part of it begins or ends with a dot or slash"],
    ["a.lock/b", "a part of it begins or ends with a dot or slash"],
    ["HEAD", "git has another use for it"],
    ["@", "git has another use for it"],
    ["a".repeat(201), "it is longer than 200 characters"],
  ])("refuses %j", (branch, reason) => {
    const error = refusal(() => checkBranchName(branch));
    expect(error.kind).toBe("usage");
    expect(error.message).toEndWith(`cannot be a branch name: ${reason}.`);
    expect(error.hints).not.toBeEmpty();
  });

  test("a refusal is short, on one line and without what could steer a terminal", () => {
    const { message } = refusal(() => checkBranchName(`\u001b]0;x\u0007\u202e\u009b1m\n${"x".repeat(300)}`));
    expect(message.length).toBeLessThan(200);
    expect(message).toMatch(/^[\u0020-\u007e…]*$/);
  });
});

describe("checkSessionName", () => {
  test.each(["happy-panda", "a", "A_1", "9", "x".repeat(50)])("takes %j", (name) => {
    expect(() => checkSessionName(name)).not.toThrow();
  });

  test.each([
    "",
    "-x",
    "_x",
    "a.b",
    "a:b",
    "a/b",
    "a b",
    "a\n",
    "#{pid}",
    "$(id)",
    "../x",
    "🐼",
    "ä",
    "x".repeat(51),
  ])("refuses %j", (name) => {
    expect(refusal(() => checkSessionName(name)).kind).toBe("usage");
  });
});

describe("slug", () => {
  test("is readable, and a container's or folder's name whatever the branch", () => {
    expect(slug("feat/Health-Endpoint")).toMatch(/^feat-health-endpoint-[0-9a-f]{6}$/);
    for (const branch of ["-x", "größe", "機能", "a".repeat(200), "x/../y", "100%"]) {
      expect(slug(branch)).toMatch(/^[a-z0-9][a-z0-9-]{5,47}$/);
    }
  });

  test("is another for every other branch", () => {
    const branches = ["feat/a", "feat-a", "feat_a", "Feat/a", "FEAT/A", "機", "能", "\u00e9", "e\u0301"];
    expect(new Set(branches.map(slug)).size).toBe(branches.length);
  });
});

test("made-up session names are valid and never one that is taken", () => {
  const taken = new Set<string>();
  for (let count = 0; count < 5000; count += 1) {
    const name = newSessionName(taken);
    checkSessionName(name);
    expect(taken.has(name)).toBe(false);
    taken.add(name);
  }
});

test("instance ids have six hex digits", () => {
  expect(newInstanceId()).toMatch(/^[0-9a-f]{6}$/);
});
