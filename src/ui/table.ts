import { cleanText } from "./clean.ts";

/**
 * Rows under a header. On a terminal columns are aligned by display width, two spaces apart; for a
 * program they are separated by one tab, so that a cell may hold spaces and `cut` still works.
 * Cells come from agents and repositories, so each is cleaned: no escape sequence, tab or newline of
 * theirs gets in. A column without a single value is left out on a terminal, and only there: programs
 * count on it. Without a newline at the end.
 */
export function formatTable(headers: string[], rows: string[][], options: { tty: boolean }): string {
  const all = [headers, ...rows].map((cells) => cells.map((cell) => cleanText(cell)));
  if (!options.tty) return all.map((cells) => cells.join("\t")).join("\n");
  const isUsed = headers.map(
    (_, column) => rows.length === 0 || rows.some((row) => (row[column] ?? "") !== ""),
  );
  const lines = all.map((cells) => cells.filter((_, column) => isUsed[column] === true));
  const widths: number[] = [];
  for (const cells of lines) {
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, Bun.stringWidth(cell));
    }
  }
  const pad = (cell: string, column: number) =>
    cell + " ".repeat((widths[column] ?? 0) - Bun.stringWidth(cell));
  // The last column is not padded, and empty cells before the end leave nothing behind either.
  return lines.map((cells) => cells.map(pad).join("  ").trimEnd()).join("\n");
}
