import type { Step, Task } from "./task.ts";
import type { Use } from "./toolbox.ts";

/** What one step takes, tool included. */
const stepSeconds = 1.5;

/**
 * A long answer that keeps a screen busy: text, lists, code, tables, wide characters, and tools with
 * short and long output. Every line names its step, so that a test finds each exactly once.
 */
export function redraw(seconds: number): Task {
  const count = Math.max(kinds.length, Math.round(seconds / stepSeconds));
  const steps = Array.from({ length: count }, (_, index) => stepOf(index + 1));
  return { steps: [...steps, { say: `REDRAW DONE after ${count} steps.` }] };
}

function stepOf(number: number): Step {
  const kind = kinds[number % kinds.length] ?? list;
  return { ...kind(number), wordMs: 25 };
}

const kinds = [list, code, table, wide, nested];

function shell(command: string, why: string): Use {
  return { kind: "shell", command, why };
}

function list(n: number): Step {
  return {
    say: `Step ${n} looks around first.\n\n- point ${n}.1 with **bold** words\n- point ${n}.2 with \`code\`\n- point ${n}.3 is the last`,
    use: shell(`echo output of step ${n}; echo second line of step ${n}`, `look around in step ${n}`),
  };
}

function code(n: number): Step {
  const lines = [1, 2, 3, 4, 5].map((line) => `const value${n}_${line} = ${n} * ${line};`);
  return {
    say: `Step ${n} shows some code:\n\n\`\`\`js\n${lines.join("\n")}\n\`\`\`\n\nThat was the code of step ${n}.`,
    use: { kind: "write", path: `redraw/part-${n}.js`, content: `${lines.join("\n")}\n` },
  };
}

function table(n: number): Step {
  const rows = [1, 2, 3].map((row) => `| row ${n}.${row} | ${n * row} | cell of row ${row} |`);
  return {
    say: `Step ${n} has a table:\n\n| Name | Value | Note |\n| --- | ---: | --- |\n${rows.join("\n")}\n\nThe table of step ${n} ends here.`,
    use: shell(`seq -f 'line %g of step ${n}' 1 40`, `count in step ${n}`),
  };
}

function wide(n: number): Step {
  return {
    say: `Step ${n} is wide: 你好 äöü ✅ 🚀 are ${n}. It is also one long paragraph, which no terminal of a usual width shows on one row, so that it has to be wrapped at least once before step ${n} ends.`,
    use: shell(`sleep 1; echo slept in step ${n}`, `wait in step ${n}`),
  };
}

function nested(n: number): Step {
  return {
    say: `## Heading of step ${n}\n\n1. first of ${n}\n   - inner of ${n}\n2. second of ${n}\n\n> A quotation in step ${n}.`,
    use: shell(
      `printf 'a wide line of step ${n} %s\\n' ${"x".repeat(150)}`,
      `print a wide line in step ${n}`,
    ),
  };
}
