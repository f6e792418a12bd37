import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Json } from "../../src/agents/conversation.ts";
import { agents } from "../../src/agents/index.ts";
import { parseConfig, readValues } from "../../src/config/document.ts";
import { parseRepositoryConfig } from "../../src/config/repository.ts";
import { judge } from "../../src/core/activity.ts";
import { claudeFile, instance, makeFolders, session } from "../../src/core/testing.ts";
import { transcriptOf } from "../../src/core/transcript.ts";
import { lastTurn } from "../../src/core/turn.ts";
import { isSealed } from "../../src/drivers/instance-files.ts";
import { HeadjackError } from "../../src/errors.ts";
import { cleanScreen, cleanStream, cleanText } from "../../src/ui/clean.ts";
import { corpus, fuzz, fuzzSlowly } from "./fuzz.ts";

/* What agents say, and what users write. */

const sequences = [
  "\u001B]52;c;QQ==\u0007",
  "\u001B[31m",
  "\u001B[6n",
  "\u001BP1000p",
  "\u009B2J",
  "\u009D0;x\u009C",
  "\u202E",
  "\u200D",
  "\uD83D",
];

/** Control characters, and those that turn the direction of writing. */
const obeyed = /\p{Cc}|\p{Bidi_Control}/u;
const escape = "\u001B";
const colour = new RegExp(`${escape}\\[[\\d;:]{0,128}m`, "g");

test("cleaned text has nothing in it that a terminal obeys", () => {
  fuzz(
    corpus("text"),
    (input, random) => {
      const text = input.toString();
      expect(cleanText(text)).not.toMatch(obeyed);
      const screen = cleanScreen(text);
      expect(screen.replaceAll(colour, "").replaceAll(/[\n\t]/g, "")).not.toMatch(obeyed);
      // In pieces it comes to the same.
      const stream = cleanStream();
      const at = random.below(input.length + 1);
      expect(stream.write(input.subarray(0, at)) + stream.write(input.subarray(at)) + stream.end()).toBe(
        screen,
      );
      expect(cleanText(cleanText(text))).toBe(cleanText(text));
    },
    { words: sequences },
  );
});

/** What a hostile record may have where something else is expected. */
const values = ["null", "[]", "{}", "-1", "1e999", "true", '""', '"__proto__"', "[[]]", '{"type":"user"}'];

function recordsIn(text: string): Json[] {
  return text.split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return typeof value === "object" && value !== null && !Array.isArray(value)
        ? [Object.fromEntries(Object.entries(value))]
        : [];
    } catch {
      return [];
    }
  });
}

test("an agent's records, titles and status files are read or left out, whoever wrote them", () => {
  fuzz(
    corpus("record"),
    (input) => {
      const text = input.toString();
      const records = recordsIn(text);
      for (const agent of agents) {
        const { conversation, signals } = agent;
        const entries = conversation?.read(records) ?? [];
        for (const entry of entries) expect(entry.text ?? "").toBeString();
        conversation?.side?.read(records);
        if (records[0] !== undefined) conversation?.isMain?.(records[0]);
        signals?.title?.(text);
        for (const record of [{}, ...records]) {
          const now = 1_800_000_000_000;
          const activity = judge(agent, session, signals.status?.read(record), lastTurn(entries), now);
          expect(activity.message).toBeString();
          expect(activity.since ?? 0).toBeWithin(0, now + 60_001);
        }
      }
    },
    { words: values },
  );
});

test("files that a container has put into its instance's folder are read or left out", async () => {
  const folders = await makeFolders();
  const file = claudeFile(folders);
  mkdirSync(dirname(file), { recursive: true });
  const pointer = join(folders.runtime, ".git");
  try {
    await fuzzSlowly(
      [...corpus("record"), Buffer.from("gitdir: /nonexistent/hjk-sealed\n")],
      async (input) => {
        writeFileSync(file, input);
        try {
          for (const entry of transcriptOf({ folders }, instance, session).entries)
            expect(entry.text).toBeString();
        } catch (error) {
          if (!(error instanceof HeadjackError)) throw error;
        }
        writeFileSync(pointer, input);
        expect(await isSealed(folders.runtime)).toBe(
          input.toString("latin1") === "gitdir: /nonexistent/hjk-sealed\n",
        );
      },
      { words: values },
    );
  } finally {
    await rm(folders.runtime, { recursive: true });
  }
});

test("what a repository asks for is read or refused, with the place", () => {
  fuzz(
    corpus("repository"),
    (input) => {
      try {
        const { setup, profile } = parseRepositoryConfig(input.toString(), ".headjack.yaml");
        for (const line of setup) expect(line).toBeString();
        expect([undefined, "strict", "sudo"]).toContain(profile);
      } catch (error) {
        if (!(error instanceof HeadjackError)) throw error;
        expect(error.message).toContain(".headjack.yaml");
      }
    },
    {
      words: [
        "&a ",
        "*a",
        "<<: *a",
        "!!binary ",
        "- ",
        "\n",
        "__proto__: 1",
        "hooks:\n  create: [x]\n",
        "{",
        "|",
      ],
    },
  );
});

test("a configuration file is read or refused, with the place", () => {
  fuzz(
    corpus("settings"),
    (input) => {
      try {
        readValues(parseConfig(input.toString(), "config.yaml"), {
          agentNames: ["claude"],
          home: "/home/ann",
        });
      } catch (error) {
        if (!(error instanceof HeadjackError)) throw error;
        expect(error.message).toContain("config.yaml");
      }
    },
    {
      words: [
        "&a ",
        "*a",
        "<<: *shared",
        "!!binary ",
        "? ",
        "- ",
        "\n",
        "  ",
        "__proto__: 1",
        "{",
        "[",
        "|",
        "%YAML 1.1\n---\n",
      ],
    },
  );
});
