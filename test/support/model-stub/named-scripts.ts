import { redraw } from "./redraw.ts";
import { commit, type Fault, type Step, type Task } from "./task.ts";

/** How long `SCRIPT:slow` streams and `SCRIPT:sleep` sleeps, unless the prompt says it with `SECONDS:`. */
const slowSeconds = Number(process.env["MODEL_STUB_SLOW_SECONDS"] ?? 20);

/** What stands behind `SCRIPT:name`: the first word, and the numbers given as `NAME:5`. */
interface Given {
  word: string;
  number: (name: string, otherwise: number) => number;
}

const writeHello: Step = {
  say: "I will write hello.txt first.",
  use: { kind: "write", path: "hello.txt", content: "hello from the stand-in model\n" },
};

/** Tasks that a test picks by name, with `SCRIPT:name` in its prompt. TESTING.md lists them. */
const scripts: Record<string, (given: Given) => Task> = {
  work: () => ({
    steps: [
      writeHello,
      { use: commit("Add hello.txt", "hello.txt") },
      { say: "All done: hello.txt is written and committed." },
    ],
  }),
  ask: () => ({
    asks: true,
    steps: [
      writeHello,
      { say: "I wrote hello.txt. Before I commit it: Postgres or SQLite for the storage?" },
    ],
  }),
  question: () => ({
    asks: true,
    steps: [{ say: "I looked at the storage.\n\nBoth would do.\n\nQUESTION: Postgres or SQLite?" }],
  }),
  asktool: () => ({
    steps: [
      { use: { kind: "ask", question: "Which storage?", options: ["Postgres", "SQLite"] } },
      { say: "Thanks for the answer. Done." },
    ],
  }),
  permission: () => ({
    steps: [
      {
        say: "I will make the file.",
        use: { kind: "shell", command: "touch permitted.txt", why: "make permitted.txt", asks: true },
      },
      { say: "Done: permitted.txt is there." },
    ],
  }),
  slow: ({ number }) => {
    const wordMs = number("WORD_MS", 500);
    const words = Math.max(1, Math.round((number("SECONDS", slowSeconds) * 1000) / wordMs));
    const say = Array.from({ length: words }, (_, index) => `word${index}`).join(" ");
    return { steps: [{ say, wordMs, pauseMs: number("PAUSE_MS", 0) }] };
  },
  sleep: ({ number }) => ({
    steps: [
      {
        use: {
          kind: "shell",
          command: `sleep ${number("SECONDS", slowSeconds)}`,
          why: "wait a little",
        },
      },
      { say: "Slept. Done." },
    ],
  }),
  background: ({ number }) => ({
    steps: [
      {
        say: "I will start it in the background.",
        use: {
          kind: "shell",
          command: `sleep ${number("SECONDS", slowSeconds)}`,
          why: "run in the background",
          background: true,
        },
      },
      { say: "It runs in the background. I am done for now." },
    ],
  }),
  redraw: ({ number }) => redraw(number("SECONDS", 15)),
  echo: ({ word }) => ({ steps: [{ say: `ECHO ${word}`, wordMs: 0 }] }),
  err401: (given) => failing(given, { status: 401, times: Infinity }),
  err429: (given) => failing(given, { status: 429, times: Infinity }),
  err529: (given) => failing(given, { status: 529, times: Infinity }),
  flaky429: (given) => failing(given, { status: 429, times: given.number("TIMES", 1) }),
  flaky529: (given) => failing(given, { status: 529, times: given.number("TIMES", 1) }),
  die: (given) => failing(given, { times: given.number("TIMES", 1) }),
  diealways: (given) => failing(given, { times: Infinity }),
};

/** An answer that is good once its fault is over. */
function failing({ number }: Given, fault: Omit<Fault, "retryAfter">): Task {
  return {
    steps: [
      {
        say: "This answer came through in the end, to its very last word. Done.",
        wordMs: 50,
      },
    ],
    fault: { ...fault, retryAfter: number("RETRY_AFTER", 1) },
  };
}

/** The task of a script, with what its prompt says behind the name. */
export function scriptedTask(name: string, rest: string): Task {
  const script = scripts[name];
  if (script === undefined) return { steps: [{ say: `There is no script named ${name}.` }] };
  return script({
    word: /^\s*(\S*)/.exec(rest)?.[1] ?? "",
    number: (key, otherwise) => {
      const value = Number(new RegExp(`\\b${key}:(\\S+)`).exec(rest)?.[1] ?? otherwise);
      return Number.isFinite(value) && value >= 0 ? value : otherwise;
    },
  });
}
