import type { Command } from "@commander-js/extra-typings";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { lastReply } from "../../core/activity.ts";
import { renewLogins } from "../../core/gateway.ts";
import { sendKeys, sendText } from "../../core/send.ts";
import { waitFor } from "../../core/wait.ts";
import { HeadjackError, messageOf } from "../../errors.ts";
import type { InstanceRecord, SessionRecord } from "../../store/records.ts";
import { cleanText } from "../../ui/clean.ts";
import { sessionState } from "../activity.ts";
import type { Context } from "../context.ts";
import { findInstance, findSession, syncAndTell } from "../find.ts";
import { durationOption } from "../options.ts";
import { ChildExit } from "../report-error.ts";

const defaultTimeoutMs = 60_000;

/** Characters of a message at most: what the agents' own input takes, and far more than one reads. */
const maxLength = 1_000_000;
const maxBytes = 4 * maxLength;

/** What stands behind the branch: a session, a text, or both in this order. */
type Words = [string | undefined, string | undefined];

interface SendOptions {
  file?: string;
  key?: string[];
  verbatim?: true;
  wait?: true;
  timeout?: number;
}

export function addSend(program: Command, context: Context): void {
  program
    .command("send")
    .summary("answer an agent, or give it its next task")
    .description(
      "Types a message into an agent's session and presses Enter. It is done when the agent has taken the message; " +
        "refused when the session has ended or shows a dialog.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[session]", "name of the session; may be left out where there is only one, or one agent's")
    .argument("[text]", "what to send; in quotes, so that it is one word")
    .option("-f, --file <file>", "send what is in a file; - is standard input")
    .option("-k, --key <key...>", "press keys instead: 1, y, Enter, Escape, Up, C-c, as tmux names them")
    .option("--verbatim", "let a first character such as / or ! mean to the agent what it means there")
    .option("-w, --wait", "wait until the agent is done, or needs you, and print its last words")
    .option("--timeout <time>", "how long the agent has to take it, as in 90s (default: 1m)", durationOption)
    .addHelpText(
      "after",
      `
Without a text, and with something on standard input, that is sent.

Examples:
  $ hjk send feat/login "Use Postgres"
  $ hjk send feat/login happy-panda --file review.md
  $ git diff main | hjk send feat/login --wait
  $ hjk send feat/login --key 1              the first choice of a dialog`,
    )
    .action(async (branch, session, text, options) => {
      const instance = await findInstance(context, branch, { offerNew: false });
      await send(context, instance, [session, text], {
        ...(options.file === undefined ? {} : { file: options.file }),
        ...(options.key === undefined ? {} : { key: options.key }),
        ...(options.verbatim === undefined ? {} : { verbatim: options.verbatim }),
        ...(options.wait === undefined ? {} : { wait: options.wait }),
        ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
      });
    });
}

async function send(
  context: Context,
  instance: InstanceRecord,
  words: Words,
  options: SendOptions,
): Promise<void> {
  const { io } = context;
  const deps = context.deps();
  const names = new Set(deps.store.sessions(instance.id).map((session) => session.name));
  const { name, text } = await whatToSend(context, names, words, options);
  const session = findSession(context, instance, name);
  deps.store.updateSession(session.id, { accessedAt: deps.now() });
  const { problem } = (await renewLogins(deps, instance, true)) ?? {};
  if (problem !== undefined) io.note(`warning: ${problem}`);
  if (text === undefined) {
    const keys = options.key ?? [];
    await sendKeys(deps, instance, session, keys);
    io.out(`Pressed ${keys.join(" ")} in session ${session.name}`);
  } else {
    if (text.length > maxLength) throw tooLong();
    io.step(`sending to ${session.name}`);
    const delivery = await sendText(deps, instance, session, {
      text,
      verbatim: options.verbatim === true,
      timeoutMs: options.timeout ?? defaultTimeoutMs,
      signal: context.signal,
      onStep: (step) => io.step(step),
    });
    io.stepDone();
    if (options.wait !== true) io.out(`Sent to session ${session.name} of ${instance.branch}`);
    if (delivery === "typed") {
      io.note(`warning: ${session.type} keeps no record that would tell whether it has taken it.`);
    }
    if (delivery === "merged") {
      io.note(`warning: Something stood in the input of ${session.name} already; the text was added to it.`);
    }
  }
  if (options.wait === true) await waitAndPrint(context, instance, session);
}

/** The session's name and the text; no text where keys are pressed. */
async function whatToSend(
  context: Context,
  names: ReadonlySet<string>,
  [first, second]: Words,
  options: SendOptions,
): Promise<{ name: string | undefined; text: string | undefined }> {
  if (options.key !== undefined || options.file !== undefined) {
    const isText = second !== undefined || (first !== undefined && !names.has(first));
    if (isText || (options.key !== undefined && options.file !== undefined)) {
      throw new HeadjackError("Give one of a text, --file and --key.", {
        kind: "usage",
        hints:
          first === undefined || second !== undefined ? [] : [`There is no session named ${first} here.`],
      });
    }
    if (options.key !== undefined) {
      checkKeys(options.key);
      return { name: first, text: undefined };
    }
    return { name: first, text: await textOf(context, options.file ?? "-") };
  }
  if (second !== undefined) return { name: first, text: second };
  // A word that is no session's name is the text: standard input, which may never end, is not asked.
  if (first !== undefined && !names.has(first)) return { name: undefined, text: first };
  if (context.io.stdinIsTerminal) {
    throw new HeadjackError("There is nothing to send.", {
      kind: "usage",
      hints: ["Give a text, --file FILE, or something on standard input."],
    });
  }
  return { name: first, text: await textOf(context, "-") };
}

async function textOf(context: Context, file: string): Promise<string> {
  if (file === "-") return await context.io.readAll(maxLength + 1);
  let why = "is not a file";
  try {
    // Not to wait for the other end, if it is a pipe; a device never ends.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const info = await handle.stat();
    if (info.isFile() && info.size > maxBytes) throw tooLong();
    if (info.isFile()) return await handle.readFile("utf8");
  } catch (error) {
    if (error instanceof HeadjackError) throw error;
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "ENOTDIR") why = "is not there";
    else if (code === "EACCES" || code === "EPERM") why = "may not be read";
    else if (code !== "EISDIR") why = `cannot be read (${messageOf(error)})`;
  }
  throw new HeadjackError(`${file} ${why}.`, { kind: "usage" });
}

function tooLong(): HeadjackError {
  return new HeadjackError(`The text is longer than ${maxLength} characters.`, {
    kind: "usage",
    hints: ["Put it into a file in the workspace and send its name."],
  });
}

/** tmux takes what is no key's name for text, and would type it. */
const keyName =
  /^([CMS]-)*([^\s]|Enter|Escape|Tab|BTab|Space|BSpace|Up|Down|Left|Right|Home|End|PageUp|PageDown|IC|DC|F[1-9]|F1[0-2])$/u;

function checkKeys(keys: string[]): void {
  const odd = keys.find((key) => !keyName.test(key));
  if (odd === undefined) return;
  throw new HeadjackError(`${JSON.stringify(odd)} is not a key.`, {
    kind: "usage",
    hints: [
      "Keys: one character, Enter, Escape, Tab, Space, BSpace, Up, Down, Left, Right, F1, C-c and the like.",
    ],
  });
}

/** Waits for the end of the turn and prints what the agent said in it; fails where it did not get to say it. */
async function waitAndPrint(
  context: Context,
  instance: InstanceRecord,
  session: SessionRecord,
): Promise<void> {
  const deps = context.deps();
  const [waited] = await waitFor(deps, {
    instances: [instance],
    session: session.id,
    goal: "rest",
    any: false,
    timeoutMs: undefined,
    signal: context.signal,
  });
  await syncAndTell(context, instance);
  const { activity } = waited?.session ?? {};
  const reply = cleanText(lastReply(deps, session), { newlines: true }).trim();
  if (reply !== "") context.io.out(reply);
  if (activity?.state === "done" || activity?.state === "idle") return;
  const why = activity?.reason === "question" || activity === undefined ? "" : `: ${activity.message}`;
  context.io.note(`${instance.branch}/${session.name} is ${sessionState(waited?.session)}${why}`);
  if (activity?.reason !== "question") throw new ChildExit(1);
}
