import { expect, test } from "bun:test";
import { copiedPaths, isOnBaseImage } from "./dockerfile.ts";

test.each([
  ["FROM debian\nRUN make\n", []],
  [
    "FROM x\nCOPY package.json ./package-lock.json /app/\ncopy --chown=1:1 /tools/ /opt",
    ["package.json", "package-lock.json", "tools"],
  ],
  ["FROM x\nCOPY \\\n  a.txt \\\n  b.txt /app/", ["a.txt", "b.txt"]],
  ["FROM x\nCOPY --from=build /out /usr\nADD https://example.com/x /x\nADD y /y", ["y"]],
  ["FROM x\nONBUILD COPY a /a", ["a"]],
])("what %j copies is known", (text, paths) => {
  expect(copiedPaths(text)).toEqual(paths);
});

test.each([
  "COPY . /app",
  "COPY ./ /app",
  "COPY / /app",
  "COPY src/*.json /app",
  "COPY $FILE /app",
  'COPY ["a b", "/app"]',
  "COPY a/../../b /app",
  "COPY <<EOF /app\nx\nEOF",
  "# escape=`\nFROM x\nCOPY a `\n b /c",
  "RUN --mount=type=bind,source=a,target=/a make",
])("%j may copy anything", (text) => {
  expect(copiedPaths(text)).toBeUndefined();
});

test("a Dockerfile on the base image is told from others", () => {
  expect(isOnBaseImage("# x\nFROM headjack-base AS y\n")).toBe(true);
  expect(isOnBaseImage("from --platform=linux/amd64 headjack-base:latest\n")).toBe(true);
  expect(isOnBaseImage("FROM headjack-base-of-ours\n")).toBe(false);
  expect(isOnBaseImage("FROM debian\nRUN echo FROM headjack-base\n")).toBe(false);
});
