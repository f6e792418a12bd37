import type { Context } from "./context.ts";

/**
 * How an image build is shown: one line that is rewritten on a terminal; elsewhere each step of the
 * Dockerfile on a line, so that a log shows that it goes on.
 */
export function buildProgress(context: Context) {
  const { io } = context;
  let current = "";
  return {
    signal: context.signal,
    onStep: (step: string): void => {
      current = step;
      if (io.stderrIsTerminal) io.step(step);
      else io.note(`${step} ...`);
    },
    onBuildLine: (line: string): void => {
      // "Step 3/20 : RUN ..." of the classic builder, "#12 [stage 3/20] RUN ..." of BuildKit.
      const step = /^Step (\d+\/\d+)|^#\d+ \[.*?(\d+\/\d+)\]/.exec(line);
      const part = step?.[1] ?? step?.[2];
      if (part === undefined) return;
      if (io.stderrIsTerminal) io.step(current.replace(/\(.*/, `(step ${part})`));
      else io.note(`  ${line.slice(0, 100)}`);
    },
  };
}
