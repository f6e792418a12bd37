import { findAgent } from "../agents/index.ts";
import type { ConversationSource } from "../agents/conversation.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord, SessionRecord } from "../store/records.ts";
import { activityOf, type Activity } from "./activity.ts";
import { homeOnHost, readConversation } from "./conversation.ts";
import type { Deps } from "./deps.ts";
import { refreshSessions, screenName } from "./session.ts";

export interface SendRequest {
  text: string;
  /** Leave a first character such as `/` or `!` its meaning for the agent. */
  verbatim: boolean;
  /** Milliseconds until the agent must have taken it. */
  timeoutMs: number;
  signal: AbortSignal;
  onStep: (step: string) => void;
}

/**
 * `taken`: the agent's own record has it. `merged`: it does, behind something that stood in its input
 * already. `typed`: the agent keeps no record that could tell.
 */
export type Delivery = "taken" | "merged" | "typed";

const pollMs = 100;

/** Agents take a paste apart for a moment; Enter before that becomes a line of it. */
const pasteSettlesMs = 400;

/** A paste shows within this time; otherwise it was lost, and is repeated, so often. */
const pasteShowsMs = 2000;
const pasteAttempts = 3;

/** Characters at the begin or end of a text that tell whether it shows; they fit on one line of any input. */
const shownLength = 12;

/** Enter is pressed again when the agent has not taken the text after this long; on an empty line it does nothing. */
const enterAgainMs = 3000;
const enterAttempts = 5;

/** A dialog's screen is complete when nothing has changed on it for this long. */
const stillMs = 800;
const stillTimeoutMs = 5000;

/** Bytes of a conversation's end in which a new prompt is looked for. */
const tailBytes = 4 * 1024 * 1024;

/**
 * First characters that some agent takes for a command of its own: a shell's, a slash command, a file. A
 * space before it makes it plain text; before a slash Claude Code and Gemini CLI take away what has no
 * width or cannot be seen, so there it is a word.
 */
const command = /^\s*[!/#@?&]/;
const guardOf = (text: string): string => (/^\s*\//.test(text) ? "Message: " : " ");

/** Types text into an agent's session as one message, and waits until the agent has taken it. */
export async function sendText(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  request: SendRequest,
): Promise<Delivery> {
  const text = typeable(request.text, request.verbatim);
  return await deps.store.withLock(
    `send:${session.id}`,
    async () => {
      const deadline = Date.now() + request.timeoutMs;
      await untilListens(deps, instance, session, { ...request, deadline });
      const source = findAgent(session.type)?.conversation;
      const before = source === undefined ? undefined : latestPrompt(deps, session, source);
      const screen = screenName(instance.id, session.name);
      await pasteUntilShown(deps, session, screen, text);
      await Bun.sleep(pasteSettlesMs);
      if ((await activityNow(deps, session))?.dialog === true) throw dialogCame(instance, session);
      await deps.tmux.press(screen, ["Enter"]);
      if (source === undefined) return "typed";
      let pressed = Date.now();
      let presses = 1;
      for (;;) {
        const delivery = deliveryOf(deps, session, source, text, before);
        if (delivery !== undefined) return delivery;
        await checkAlive(deps, instance, session, "Whether the agent has taken the text is not known.");
        request.signal.throwIfAborted();
        if (Date.now() > deadline) throw notTaken(instance, session);
        if (presses < enterAttempts && Date.now() - pressed > enterAgainMs) {
          presses += 1;
          pressed = Date.now();
          if ((await activityNow(deps, session))?.dialog !== true) await deps.tmux.press(screen, ["Enter"]);
        }
        await Bun.sleep(pollMs);
      }
    },
    { signal: request.signal, onWait: () => request.onStep("waiting for another message to be taken") },
  );
}

/**
 * Pastes text. An agent that is starting may draw its screen before it listens, and lose it: what does
 * not show up anywhere is pasted again, but not to an agent at work, which may show it later.
 */
async function pasteUntilShown(
  deps: Deps,
  session: SessionRecord,
  screen: string,
  text: string,
): Promise<void> {
  const whole = squeezed(text);
  const parts = [whole.slice(0, shownLength), whole.slice(-shownLength)];
  for (let attempt = 1; attempt <= pasteAttempts; attempt += 1) {
    await deps.tmux.paste(screen, text);
    for (let waited = 0; waited < pasteShowsMs; waited += pollMs) {
      await Bun.sleep(pollMs);
      const shown = (await deps.tmux.capture(screen, 0)) ?? "";
      // What is long stands as "[Pasted text #1 +20 lines]" or the like.
      if (/\[past/i.test(shown) || parts.some((part) => squeezed(shown).includes(part))) return;
    }
    if ((await activityNow(deps, session))?.state === "working") return;
  }
}

/** Presses keys in a session, as an answer to a dialog, one after the other. */
export async function sendKeys(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  keys: readonly string[],
): Promise<void> {
  const screen = screenName(instance.id, session.name);
  for (const key of keys) {
    await checkAlive(deps, instance, session, `${key} was not pressed.`);
    if ((await activityNow(deps, session))?.dialog === true) await untilStill(deps, screen);
    await deps.tmux.press(screen, [key]);
  }
}

/** An agent says that it asks up to half a second before its dialog is there to take the key. */
async function untilStill(deps: Deps, screen: string): Promise<void> {
  let before: string | undefined;
  let still = 0;
  for (let waited = 0; waited < stillTimeoutMs && still < stillMs; waited += pollMs) {
    const now = await deps.tmux.capture(screen, 0);
    still = now === before ? still + pollMs : 0;
    before = now;
    await Bun.sleep(pollMs);
  }
}

/** What can be typed: a paste must not end itself, and a first character must not change what it is. */
function typeable(text: string, verbatim: boolean): string {
  const plain = text
    .replaceAll("\r\n", "\n")
    .replaceAll("\r", "\n")
    // eslint-disable-next-line no-control-regex -- control characters are what is taken out
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")
    .trimEnd();
  if (plain.trim() === "") throw new HeadjackError("There is nothing to send.", { kind: "usage" });
  return !verbatim && command.test(plain) ? `${guardOf(plain)}${plain}` : plain;
}

/** Waits for an agent that is still starting; refuses where typed words would not become a message. */
async function untilListens(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  wait: Pick<SendRequest, "signal" | "onStep"> & { deadline: number },
): Promise<void> {
  const { branch } = instance;
  for (;;) {
    await checkAlive(deps, instance, session, "Nothing was sent.");
    wait.signal.throwIfAborted();
    const activity = await activityNow(deps, session);
    if (activity === undefined) {
      throw new HeadjackError(`Session ${session.name} is a shell: the text would be run as a command.`, {
        kind: "usage",
        hints: [`Run commands with: hjk exec ${branch} ...`, "Or press keys in it with --key."],
      });
    }
    if (activity.dialog) {
      throw new HeadjackError(
        `Session ${session.name} shows a dialog (${activity.reason ?? "unknown"}); typed words would go astray. Nothing was sent.`,
        {
          hints: [
            `Read it: hjk logs ${branch} ${session.name} -n 20`,
            `Answer it with a key, such as 1 or Escape: hjk send ${branch} ${session.name} --key 1`,
          ],
        },
      );
    }
    if (activity.state !== "starting") return;
    wait.onStep(`waiting for ${session.type} to start`);
    if (Date.now() > wait.deadline) {
      throw new HeadjackError(`${session.type} is still starting. Nothing was sent.`, {
        kind: "timeout",
        hints: [`Look at it: hjk logs ${branch} ${session.name}`],
      });
    }
    await Bun.sleep(pollMs);
  }
}

async function activityNow(deps: Deps, session: SessionRecord): Promise<Activity | undefined> {
  const name = screenName(session.instanceId, session.name);
  const screen = (await deps.tmux.list()).find((one) => one.name === name);
  return activityOf(deps, deps.store.session(session.id) ?? session, screen);
}

async function checkAlive(
  deps: Deps,
  instance: InstanceRecord,
  session: SessionRecord,
  state: string,
): Promise<void> {
  await refreshSessions(deps);
  const now = deps.store.session(session.id);
  if (now !== undefined && now.state !== "ended") return;
  const how = now?.exitCode === null || now === undefined ? "has ended" : `exited with code ${now.exitCode}`;
  throw new HeadjackError(`Session ${session.name} of ${instance.branch} ${how}. ${state}`, {
    hints: [
      `Read it: hjk logs ${instance.branch} ${session.name}`,
      `Go on with its conversation: hjk attach ${instance.branch} ${session.name}`,
    ],
  });
}

function dialogCame(instance: InstanceRecord, session: SessionRecord): HeadjackError {
  return new HeadjackError(
    `A dialog came up in session ${session.name} while the text was typed. Enter was not pressed.`,
    { hints: [`Look at it: hjk attach ${instance.branch} ${session.name}`] },
  );
}

function notTaken(instance: InstanceRecord, session: SessionRecord): HeadjackError {
  return new HeadjackError(
    `The text was typed, but ${session.type} has not taken it yet; at work, some agents take it when their turn ends.`,
    {
      kind: "timeout",
      hints: [`See whether it stands in its input: hjk logs ${instance.branch} ${session.name} -n 20`],
    },
  );
}

/** When the newest prompt of a conversation came, by the agent's clock, and how many there are. */
function latestPrompt(deps: Deps, session: SessionRecord, source: ConversationSource): number {
  const entries = readConversation(homeOnHost(deps, session), source, tailBytes)?.entries ?? [];
  return Math.max(0, ...entries.flatMap((entry) => (entry.kind === "prompt" ? (entry.at ?? []) : [])));
}

/** Whether a prompt that came after a moment holds the text; undefined when there is none. */
function deliveryOf(
  deps: Deps,
  session: SessionRecord,
  source: ConversationSource,
  text: string,
  after: number | undefined,
): Delivery | undefined {
  const wanted = squeezed(text);
  const entries = readConversation(homeOnHost(deps, session), source, tailBytes)?.entries ?? [];
  const prompts = entries
    .filter((entry) => entry.kind === "prompt" && (entry.at ?? Infinity) > (after ?? 0))
    .map((entry) => squeezed(entry.text));
  if (prompts.includes(wanted)) return "taken";
  return prompts.some((prompt) => prompt.endsWith(wanted)) ? "merged" : undefined;
}

/** Agents trim lines and turn tabs into spaces. */
const squeezed = (text: string): string => text.replaceAll(/\s+/g, "");
