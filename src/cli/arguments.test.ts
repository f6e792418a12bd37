import { describe, expect, test } from "bun:test";
import { plainListing, splitArguments } from "./arguments.ts";

describe("splitArguments", () => {
  test.each([
    ["run feat -d -- -p 3000:3000", "run feat -d", "-p 3000:3000"],
    ["recreate feat -- --memory 8g", "recreate feat", "--memory 8g"],
    // Only the first separates: an engine flag may have one of its own.
    ["run feat -- --label a -- b", "run feat", "--label a -- b"],
    ["run feat --", "run feat", ""],
    ["run feat", "run feat", ""],
  ])("%s", (line, own, engine) => {
    expect(splitArguments(line.split(" "))).toEqual({
      own: own.split(" "),
      engine: engine === "" ? [] : engine.split(" "),
      debug: false,
    });
  });

  test.each(["exec feat -- npm test", "git feat log -- file", "complete -- run fe", "-- run feat", ""])(
    "leaves other commands alone: %s",
    (line) => {
      const argv = line.split(" ");
      expect(splitArguments(argv)).toEqual({ own: argv, engine: [], debug: false });
    },
  );

  test.each([
    ["--debug ps", "ps", true],
    ["ps --debug", "ps", true],
    ["run feat --debug -d", "run feat -d", true],
    ["exec feat prog --debug", "exec feat prog --debug", false],
    ["--debug exec feat prog --debug", "exec feat prog --debug", true],
  ] as const)("--debug may stand anywhere: %s", (line, own, debug) => {
    expect(splitArguments(line.split(" "))).toEqual({ own: own.split(" "), engine: [], debug });
  });

  test("an engine flag named --debug is the engine's", () => {
    const words = ["run", "feat", "--", "--debug"];
    expect(splitArguments(words)).toEqual({ own: ["run", "feat"], engine: ["--debug"], debug: false });
  });
});

describe("plainListing", () => {
  test.each([
    ["ps", { all: false, json: false, wide: false }],
    ["ls -a", { all: true, json: false, wide: false }],
    ["list --json --all", { all: true, json: true, wide: false }],
    ["ps -w", { all: false, json: false, wide: true }],
    ["ps feat", undefined],
    ["ps --watch", undefined],
    ["ps --help", undefined],
    ["run ps", undefined],
    ["", undefined],
  ])("%s", (line, expected) => {
    expect(plainListing(line.split(" "))).toEqual(expected);
  });
});
