import { type Conversation, type Reply, promptIn, type Turn } from "./conversation.ts";
import { commit, type Step, type Task } from "./task.ts";
import { callFor, writeCommand } from "./toolbox.ts";
import { tutorialTask } from "./tutorial-tasks.ts";

/** How long `SCRIPT:slow` streams and `SCRIPT:sleep` sleeps. */
const slowSeconds = Number(process.env["MODEL_STUB_SLOW_SECONDS"] ?? 20);

const writeHello: Step = {
  say: "I will write hello.txt first.",
  use: { kind: "write", path: "hello.txt", content: "hello from the stand-in model\n" },
};

/** Tasks that a test picks by name, with a marker in its prompt. */
const scripts: Record<string, () => Task> = {
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
  asktool: () => ({
    steps: [
      { use: { kind: "ask", question: "Which storage?", options: ["Postgres", "SQLite"] } },
      { say: "Thanks for the answer. Done." },
    ],
  }),
  slow: () => ({
    steps: [
      {
        say: Array.from({ length: slowSeconds * 2 }, (_, index) => `word${index}`).join(" "),
        wordMs: 500,
      },
    ],
  }),
  sleep: () => ({
    steps: [
      { use: { kind: "shell", command: `sleep ${slowSeconds}`, why: "wait a little" } },
      { say: "Slept. Done." },
    ],
  }),
  err401: () => ({ steps: [], status: 401 }),
  err429: () => ({ steps: [], status: 429 }),
  err529: () => ({ steps: [], status: 529 }),
};

/** The answer to a request: follows the newest task by counting the tool results since its prompt. */
export function answer({ turns, tools }: Conversation): { status: number } | { step: Step; reply: Reply } {
  // Without tools it is one of the CLI's own side requests; all of them can use a title.
  if (tools.length === 0) return finished({ say: '{"title":"Stand-in session"}' });
  const { task, done } = currentTask(turns);
  if (task.status !== undefined) return { status: task.status };
  const step = task.steps[Math.min(done, task.steps.length - 1)] ?? { say: "Nothing to do." };
  if (step.use === undefined) return finished(step);
  const call = callFor(step.use, tools);
  if (call !== undefined) return { step, reply: { say: step.say, call, wordMs: step.wordMs ?? 20 } };
  return finished({ say: `No tool to ${step.use.kind} among: ${tools.join(", ")}` });
}

function finished(step: Step): { step: Step; reply: Reply } {
  return { step, reply: { say: step.say, wordMs: step.wordMs ?? 20 } };
}

/**
 * The task a conversation is at, and how many of its steps are done. A prompt that names a task
 * starts it; any other answers an open question, goes unheard while a task is at work (the CLIs add
 * user turns of their own), or else starts the task of taking a note.
 */
function currentTask(turns: Turn[]): { task: Task; done: number } {
  let task: Task = { steps: [{ say: "What can I do for you?" }] };
  let done = 0;
  for (const turn of turns) {
    if (turn.role === "tool") done++;
    if (turn.role !== "user") continue;
    const prompt = promptIn(turn.text);
    if (prompt === "") continue;
    const named = taskNamedIn(prompt);
    const atWork = done > 0 && done < task.steps.length - 1;
    if (named === undefined && atWork) continue;
    task = named ?? (task.asks === true ? acknowledge(prompt) : takeNote(prompt));
    done = 0;
  }
  return { task, done };
}

/** The task of the last marker in the prompt, or the one of the tutorial that it asks for. */
function taskNamedIn(prompt: string): Task | undefined {
  const marker = [...prompt.matchAll(/SCRIPT:\s*(\w+)|REPLY:[ \t]*([^\n]*)/g)].at(-1);
  if (marker?.[1] !== undefined) {
    const script = scripts[marker[1]];
    return script?.() ?? { steps: [{ say: `There is no script named ${marker[1]}.` }] };
  }
  if (marker?.[2] !== undefined) return acknowledge(marker[2]);
  return tutorialTask(prompt);
}

function acknowledge(words: string): Task {
  return { steps: [{ say: `OK, got: ${words}\n\nThat settles it. I am done.` }] };
}

/** What any other prompt sets going: a file and a commit, so that a test sees that it arrived. */
function takeNote(prompt: string): Task {
  return {
    steps: [
      {
        say: "I will note that down.",
        use: { kind: "shell", command: writeCommand("NOTES.md", prompt, ">>"), why: "add to NOTES.md" },
        pauseMs: 200,
      },
      { use: commit("Add a note", "NOTES.md") },
      { say: "Done: the note is in NOTES.md and committed." },
    ],
  };
}
