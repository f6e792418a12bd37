import { cleanText } from "./clean.ts";

/** Where a table goes: on a terminal it is made to fit, for a program it keeps its shape. */
export interface TableOptions {
  tty: boolean;
  /** Columns of the terminal; unlimited without. */
  width?: number;
  /** Whether the last column is cut, too, to fit; it is prose otherwise, and the terminal wraps it. */
  fitLast?: boolean;
}

/** Columns are not made narrower than this; what does not fit then is left to the terminal. */
const minWidth = 14;

const gap = "  ";

/**
 * Rows under a header, or without one. On a terminal columns are aligned by display width, two spaces
 * apart, and long names are cut in the middle to fit; for a program they are separated by one tab, so
 * that a cell may hold spaces and `cut` still works. Cells come from agents and repositories, so each is
 * cleaned: no escape sequence, tab or newline of theirs gets in. A column without a single value is left
 * out on a terminal, and only there: programs count on it. Without a newline at the end.
 */
export function formatTable(headers: string[] | undefined, rows: string[][], options: TableOptions): string {
  const all = [...(headers === undefined ? [] : [headers]), ...rows].map((cells) =>
    cells.map((cell) => cleanText(cell)),
  );
  if (!options.tty) return all.map((cells) => cells.join("\t")).join("\n");
  const isUsed = (column: number): boolean =>
    rows.length === 0 || rows.some((row) => (row[column] ?? "") !== "");
  const lines = all.map((cells) => cells.filter((_, column) => isUsed(column)));
  const fitLast = options.fitLast === true;
  const widths = fit(naturalWidths(lines), options.width ?? Infinity, fitLast);
  // The last column is not padded, and empty cells before the end leave nothing behind either.
  return lines
    .map((cells) =>
      cells
        .map((cell, column) =>
          column < cells.length - 1 || fitLast ? padded(cell, widths[column] ?? 0) : cell,
        )
        .join(gap)
        .trimEnd(),
    )
    .join("\n");
}

function naturalWidths(lines: string[][]): number[] {
  const widths: number[] = [];
  for (const cells of lines) {
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, Bun.stringWidth(cell));
    }
  }
  return widths;
}

/** Takes from the widest columns until all fit; from the last one only where that is wanted. */
function fit(widths: number[], width: number, fitLast: boolean): number[] {
  const fitted = [...widths];
  for (;;) {
    const total = fitted.reduce((sum, one) => sum + one, gap.length * (fitted.length - 1));
    const widest = Math.max(0, ...(fitLast ? fitted : fitted.slice(0, -1)));
    if (total <= width || widest <= minWidth) return fitted;
    fitted[fitted.indexOf(widest)] = Math.max(minWidth, widest - (total - width));
  }
}

function padded(cell: string, width: number): string {
  const short = shortened(cell, width);
  return short + " ".repeat(Math.max(0, width - Bun.stringWidth(short)));
}

/** Cuts out of the middle: both ends of a name tell it from others. */
function shortened(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  const parts = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  const head = taken(parts, Math.ceil((width - 1) / 2));
  const tail = taken(parts.toReversed(), width - 1 - Bun.stringWidth(head.join("")));
  return `${head.join("")}…${tail.toReversed().join("")}`;
}

function taken(parts: string[], width: number): string[] {
  let left = width;
  const end = parts.findIndex((part) => {
    left -= Bun.stringWidth(part);
    return left < 0;
  });
  return end < 0 ? parts : parts.slice(0, end);
}
