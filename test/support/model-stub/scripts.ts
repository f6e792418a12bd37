import { type Conversation, type Reply, promptIn, type Turn } from "./conversation.ts";
import { scriptedTask } from "./named-scripts.ts";
import { commit, type Fault, type Step, type Task } from "./task.ts";
import { callFor, writeCommand } from "./toolbox.ts";
import { tutorialTask } from "./tutorial-tasks.ts";

export interface Answer {
  step: Step;
  reply: Reply;
  /** What may go wrong first. */
  fault?: Fault | undefined;
}

/** The answer to a request: follows the newest task by counting the tool results since its prompt. */
export function answer({ turns, tools }: Conversation): Answer {
  // Without tools it is one of the CLI's own side requests; all of them can use a title.
  if (tools.length === 0) return finished({ say: '{"title":"Stand-in session"}' });
  const { task, done } = currentTask(turns);
  const step = task.steps[Math.min(done, task.steps.length - 1)] ?? { say: "Nothing to do." };
  if (step.use === undefined) return { ...finished(step), fault: task.fault };
  const call = callFor(step.use, tools);
  if (call !== undefined) return { step, reply: { say: step.say, call, wordMs: step.wordMs ?? 20 } };
  return finished({ say: `No tool to ${step.use.kind} among: ${tools.join(", ")}` });
}

function finished(step: Step): Answer {
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

/** What people have asked since the last answer, and before that: all of it, oldest first. */
export function promptsOf(turns: Turn[]): { all: string[]; open: string[] } {
  const answered = turns.findLastIndex((turn) => turn.role !== "user");
  const prompts = (from: number): string[] =>
    turns
      .slice(from)
      .filter((turn) => turn.role === "user")
      .map((turn) => promptIn(turn.text))
      .filter((prompt) => prompt !== "");
  return { all: prompts(0), open: prompts(answered + 1) };
}

/** The task of the last marker in the prompt, or the one of the tutorial that it asks for. */
function taskNamedIn(prompt: string): Task | undefined {
  const marker = [...prompt.matchAll(/SCRIPT:\s*(\w+)|REPLY:[ \t]*([^\n]*)/g)].at(-1);
  if (marker?.[1] !== undefined) {
    return scriptedTask(marker[1], prompt.slice(marker.index + marker[0].length));
  }
  if (marker?.[2] !== undefined) return acknowledge(marker[2]);
  const merged = /^Merge ([0-9a-f]{7,40}) \(/.exec(prompt)?.[1];
  return merged === undefined ? tutorialTask(prompt) : resolveConflicts(merged);
}

/** What `hjk merge --fix` asks for: a real merge in which the agent's side wins. */
function resolveConflicts(commit: string): Task {
  const command = `git merge -q ${commit} || { git checkout -q --ours . && git add -A && git commit -qm 'Merge ${commit}'; }`;
  return {
    steps: [
      { say: "I will merge it.", use: { kind: "shell", command, why: "merge and resolve the conflicts" } },
      { say: "Done: the conflicts are resolved and the merge is committed." },
    ],
  };
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
