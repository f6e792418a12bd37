import { expect, test } from "bun:test";
import { formatTable } from "./table.ts";

const headers = ["BRANCH", "STATUS", "NOTE"];

test("aligns on a terminal, without trailing white space", () => {
  const rows = [
    ["feat/a", "running", "waits"],
    ["fix/long-name", "exited", ""],
  ];
  expect(formatTable(headers, rows, { tty: true })).toBe(
    ["BRANCH         STATUS   NOTE", "feat/a         running  waits", "fix/long-name  exited"].join("\n"),
  );
});

test("measures wide, joined and combining characters as a terminal does", () => {
  const rows = ["你好", "👩‍💻", "e\u0301", "abcd"].map((name) => [name, "|"]);
  expect(formatTable(["N", "|"], rows, { tty: true })).toBe(
    ["N     |", "你好  |", "👩‍💻    |", "e\u0301     |", "abcd  |"].join("\n"),
  );
});

test("is separated by tabs for a program, header included", () => {
  expect(formatTable(headers, [["a b", "", "x"]], { tty: false })).toBe("BRANCH\tSTATUS\tNOTE\na b\t\tx");
});

test("cells cannot break the table or reach the terminal", () => {
  const rows = [["a\tb\nc\u001B[31m\u001B]52;c;QQ==\u0007", "\u202Ed"]];
  expect(formatTable(["A", "B"], rows, { tty: false })).toBe("A\tB\na b c\td");
  expect(formatTable(["A", "B"], rows, { tty: true })).toBe("A      B\na b c  d");
});

test("without rows the header stays", () => {
  expect(formatTable(["A", "B"], [], { tty: true })).toBe("A  B");
});

test("a column without a value is left out on a terminal, and kept for a program", () => {
  const rows = [
    ["a", "", "1"],
    ["b", "", "2"],
  ];
  expect(formatTable(["N", "EMPTY", "X"], rows, { tty: true })).toBe("N  X\na  1\nb  2");
  expect(formatTable(["N", "EMPTY", "X"], rows, { tty: false })).toBe("N\tEMPTY\tX\na\t\t1\nb\t\t2");
});

test("is made to fit a narrow terminal: long names are cut in the middle, the last column is not", () => {
  const rows = [
    ["feat/a-very-long-branch-name-that-goes-on", "running", "a long notice that is left to the terminal"],
    ["fix/b", "stopped", ""],
  ];
  const lines = formatTable(["BRANCH", "STATUS", "NOTICE"], rows, { tty: true, width: 70 }).split("\n");
  expect(lines[1]).toBe("feat/a-v…-goes-on  running  a long notice that is left to the terminal");
  expect(lines[2]).toBe("fix/b              stopped");
  const wide = formatTable(["N", "S"], [["機能".repeat(20), "x"]], { tty: true, width: 20 });
  expect(
    wide
      .split("\n")
      .map((line) => Bun.stringWidth(line))
      .every((width) => width <= 20),
  ).toBe(true);
  // As narrow as it makes sense, and no narrower.
  expect(formatTable(["BRANCH", "S"], [["feat/a-very-long-name", "x"]], { tty: true, width: 5 })).toContain(
    "…",
  );
  expect(formatTable(["BRANCH", "S"], [["feat/a-very-long-name", "x"]], { tty: false, width: 5 })).toBe(
    "BRANCH\tS\nfeat/a-very-long-name\tx",
  );
});
