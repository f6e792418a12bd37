import type { ConversationEntry, ConversationSource, Json, TokenUsage } from "./conversation.ts";
import {
  asText,
  count,
  endTurn,
  errorKind,
  isOver,
  list,
  moment,
  name,
  object,
  words,
  wordsOf,
} from "./fields.ts";

/** How Claude Code 2.1.330 records its conversation. */
export const claudeConversation: ConversationSource = {
  // A folder for each working directory, and a session has one.
  folder: "projects",
  depth: 1,
  file: /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\.jsonl$/,
  id: (fileName) => fileName.replace(/\.jsonl$/, ""),
  read: (records) => new Reader().read(records.filter((record) => record["isSidechain"] !== true)),
  // In a folder with the conversation's id, and in it `subagents`.
  side: { depth: 3, file: /^agent-.*\.jsonl$/, read: (records) => new Reader().read(records) },
};

/** More prompts than anybody types while it works. */
const maxQueued = 1000;

class Reader {
  readonly #entries: ConversationEntry[] = [];
  /** Prompts typed while it works; each leaves when it is turned to, and is then recorded anew. */
  #queued: ConversationEntry[] = [];
  /** Usage of each answer, which every one of its blocks repeats. */
  readonly #usages = new Map<string, TokenUsage>();
  /** Whether a request to the model has no answer yet, and whether it was said that it is made again. */
  #request: "none" | "open" | "repeated" = "none";

  read(records: readonly Json[]): ConversationEntry[] {
    for (const record of records) {
      const at = moment(record["timestamp"]);
      if (record["type"] === "user") this.#user(record, at);
      else if (record["type"] === "assistant") this.#assistant(record, at);
      else if (record["type"] === "system") this.#system(record, at);
      else if (record["type"] === "queue-operation") this.#queue(record, at);
      else if (record["type"] === "attachment") this.#attachment(object(record["attachment"]), at);
      else if (record["type"] === "api-request") this.#apiRequest(record, at);
    }
    return [...this.#entries, ...this.#queued.filter((entry) => entry.text !== "")];
  }

  #add(entry: ConversationEntry): void {
    this.#request = "none";
    this.#entries.push(entry);
  }

  #user(record: Json, at: number | null): void {
    const content = object(record["message"])["content"];
    for (const part of list(content).map(object)) {
      if (part["type"] !== "tool_result") continue;
      const output = part["content"];
      this.#add({ kind: "tool-result", at, text: wordsOf(output) });
    }
    if (record["isMeta"] === true || record["isCompactSummary"] === true) return;
    const text = wordsOf(content);
    if (text.startsWith("[Request interrupted by user"))
      return this.#add({ kind: "interrupt", at, text: "" });
    const origin = object(record["origin"])["kind"];
    if (origin !== undefined && origin !== "human") return this.#wakeUp(at);
    if (text.startsWith("<bash-stdout>")) {
      const output = `${inside(text, "bash-stdout")}${inside(text, "bash-stderr")}`;
      return this.#add({ kind: "tool-result", at, text: output });
    }
    const prompt = promptIn(text);
    if (prompt === "") return;
    // What is typed while it works is recorded otherwise: it was ended in the middle of a turn.
    endTurn(this.#entries);
    this.#add({ kind: "prompt", at, text: prompt });
  }

  /** Something other than a person has set it going, as the end of an agent that it has started. */
  #wakeUp(at: number | null): void {
    // While it waits for such an agent its turn goes on.
    if (isOver(this.#entries.at(-1))) this.#add({ kind: "turn-start", at, text: "" });
  }

  #assistant(record: Json, at: number | null): void {
    this.#request = "none";
    const message = object(record["message"]);
    const text = wordsOf(message["content"]);
    if (record["isApiErrorMessage"] === true || name(record["error"]) !== undefined) {
      const cause = `${words(record["error"])} ${text}`;
      const error = errorKind(cause, record["apiErrorStatus"]);
      return this.#add({ kind: "error", at, text, error });
    }
    const about = { at, ...model(message) };
    for (const part of list(message["content"]).map(object)) {
      if (part["type"] === "text" && words(part["text"]) !== "")
        this.#add({ kind: "reply", ...about, text: words(part["text"]), ...this.#usage(message) });
      else if (part["type"] === "tool_use")
        this.#add({
          kind: "tool-call",
          ...about,
          text: asText(part["input"]),
          tool: name(part["name"]) ?? "?",
          ...this.#usage(message),
        });
    }
  }

  /** The usage of an answer, for its first block only; later blocks know no less of it. */
  #usage(message: Json): Pick<ConversationEntry, "usage"> {
    const id = words(message["id"]);
    const recorded = object(message["usage"]);
    const usage = {
      input: count(recorded["input_tokens"]),
      output: count(recorded["output_tokens"]),
      cacheRead: count(recorded["cache_read_input_tokens"]),
      cacheWrite: count(recorded["cache_creation_input_tokens"]),
    };
    const known = this.#usages.get(id);
    if (known !== undefined) {
      Object.assign(known, usage);
      return {};
    }
    this.#usages.set(id, usage);
    return { usage };
  }

  #system(record: Json, at: number | null): void {
    if (record["subtype"] === "turn_duration") {
      // It will go on by itself when the agents that it has started are done, and counts that as one turn.
      if (count(record["pendingBackgroundAgentCount"]) === 0) this.#add({ kind: "turn-end", at, text: "" });
    }
    if (record["subtype"] !== "api_error") return;
    const error = object(record["error"]);
    const text = words(record["content"]) || words(error["message"]) || asText(record["error"]);
    this.#add({ kind: "error", at, text, error: errorKind(text, error["status"]), retrying: true });
  }

  #queue(record: Json, at: number | null): void {
    const text = promptIn(words(record["content"]));
    if (record["operation"] === "enqueue") {
      if (this.#queued.length < maxQueued) this.#queued.push({ kind: "prompt", at, text, queued: true });
    }
    // The next one is turned to, and recorded as a prompt.
    else if (record["operation"] === "dequeue") this.#queued.shift();
    else if (record["operation"] === "remove") {
      const index = this.#queued.findIndex((entry) => entry.text === text);
      if (index >= 0) this.#queued.splice(index, 1);
    }
    // The user takes them back to change them.
    else if (record["operation"] === "popAll") this.#queued = [];
  }

  /** A queued prompt that was turned to in the middle of a turn. */
  #attachment(attachment: Json, at: number | null): void {
    if (attachment["type"] !== "queued_command" || attachment["commandMode"] !== "prompt") return;
    const text = promptIn(wordsOf(attachment["prompt"]));
    if (text !== "") this.#add({ kind: "prompt", at, text });
  }

  /**
   * While the model refuses or does not answer, the same request is made up to ten times, which takes
   * minutes. That it is made again is all that is recorded, not why.
   */
  #apiRequest(record: Json, at: number | null): void {
    if (record["querySource"] !== "repl_main_thread") return;
    if (this.#request === "open") {
      const text = "The model gave no answer; the request is made again.";
      this.#entries.push({ kind: "error", at, text, error: "other", retrying: true });
    }
    this.#request = this.#request === "none" ? "open" : "repeated";
  }
}

/** Answers that it makes up itself have a model in angle brackets. */
function model(message: Json): Pick<ConversationEntry, "model"> {
  const known = name(message["model"]);
  return known === undefined || known.startsWith("<") ? {} : { model: known };
}

/** A long paste is recorded between marks of its own. */
function withoutPasteMarks(text: string): string {
  return text.replaceAll(/\s*<pasted_content id="\w+">\n|\n<\/pasted_content id="\w+">\n?/g, "");
}

/** What the user typed, from what is recorded of it; empty for what no turn begins with. */
function promptIn(text: string): string {
  // Commands that it runs itself, as /clear. Those that the model is asked to run begin with their message.
  if (/^<(?:local-command-|command-name>|task-notification>)/.test(text)) return "";
  if (text.startsWith("<bash-input>")) return `!${inside(text, "bash-input")}`;
  if (!text.startsWith("<command-message>")) return withoutPasteMarks(text);
  return `${inside(text, "command-name")} ${inside(text, "command-args")}`.trim();
}

/** What an element holds. Not by a pattern, which takes forever to find no end in a text that is made for it. */
function inside(text: string, tag: string): string {
  const start = text.indexOf(`<${tag}>`);
  const end = start < 0 ? -1 : text.indexOf(`</${tag}>`, start);
  return end < 0 ? "" : text.slice(start + tag.length + 2, end);
}
