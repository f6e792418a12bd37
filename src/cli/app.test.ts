import { describe, expect, test } from "bun:test";
import { splitEngineFlags } from "./app.ts";

describe("splitEngineFlags", () => {
  test.each([
    ["run feat -d -- -p 3000:3000", "run feat -d", "-p 3000:3000"],
    ["recreate feat -- --memory 8g", "recreate feat", "--memory 8g"],
    // Only the first separates: an engine flag may have one of its own.
    ["run feat -- --label a -- b", "run feat", "--label a -- b"],
    ["run feat --", "run feat", ""],
    ["run feat", "run feat", ""],
    ["--debug run feat -- --privileged", "--debug run feat", "--privileged"],
  ])("%s", (line, own, engine) => {
    expect(splitEngineFlags(line.split(" "))).toEqual({
      own: own.split(" "),
      engine: engine === "" ? [] : engine.split(" "),
    });
  });

  test.each(["exec feat -- npm test", "git feat log -- file", "complete -- run fe", "-- run feat", ""])(
    "leaves other commands alone: %s",
    (line) => {
      const argv = line.split(" ");
      expect(splitEngineFlags(argv)).toEqual({ own: argv, engine: [] });
    },
  );
});
