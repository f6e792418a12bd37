// Runs inside OpenCode. Records each conversation in a file of its own, one JSON object a line, and what
// OpenCode is doing in status.json: its own database is no file that can be read while it is written.
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Events that say that OpenCode waits for the user, and those that say it goes on. */
const waits = { "permission.asked": "permission", "question.asked": "question" };
const goesOn = new Set(["permission.replied", "question.replied", "question.rejected"]);

export const HeadjackRecorder = () => {
  const folder = join(process.env.XDG_DATA_HOME ?? "", "headjack");
  // Apart from the rest: conversations of agents that the agent has started.
  mkdirSync(join(folder, "helpers"), { recursive: true });
  // They moved OpenCode's own files; the commands that it runs look for the user's.
  for (const name of ["CONFIG", "DATA", "STATE"]) delete process.env[`XDG_${name}_HOME`];

  const helpers = new Set();
  const busy = new Set();
  const roles = new Map();
  const recorded = new Set();
  const fileOf = (session) => join(folder, helpers.has(session) ? "helpers" : "", `${session}.jsonl`);
  const write = (session, record) =>
    appendFileSync(fileOf(session), `${JSON.stringify({ at: Date.now(), ...record })}\n`);
  const say = (state, reason) => {
    const file = join(folder, "status.json");
    writeFileSync(`${file}.new`, JSON.stringify({ state, reason, at: Date.now() }));
    renameSync(`${file}.new`, file);
  };
  const once = (key, then) => {
    if (!recorded.has(key)) then();
    recorded.add(key);
  };

  // What an earlier process left there is over.
  say("ready");

  const part = (session, { id, type, messageID, ...rest }) => {
    if (type === "tool") {
      const { status, input, output, error } = rest.state;
      if (status === "pending") return;
      once(`${id} call`, () => write(session, { type: "tool-call", tool: rest.tool, input }));
      if (status === "running") return;
      once(`${id} result`, () => write(session, { type: "tool-result", output: output ?? error }));
    } else if (type === "step-finish") {
      once(id, () => write(session, { type: "usage", tokens: rest.tokens, cost: rest.cost }));
    } else if (type === "text" && rest.synthetic !== true && rest.text !== "") {
      const { role, model } = roles.get(messageID) ?? {};
      if (role === "user") {
        once(id, () => write(session, { type: "prompt", text: rest.text, queued: busy.has(session) }));
      } else if (rest.time?.end !== undefined) {
        once(id, () => write(session, { type: "reply", text: rest.text, model }));
      }
    }
  };

  const status = (session, { type, message }) => {
    if (type === "idle") {
      if (busy.delete(session)) write(session, { type: "turn-end" });
      if (!helpers.has(session)) say("ready");
      return;
    }
    if (!busy.has(session)) write(session, { type: "turn-start" });
    busy.add(session);
    if (type === "retry") write(session, { type: "error", message, retrying: true });
    if (!helpers.has(session)) say("working");
  };

  const event = ({ type, properties }) => {
    const { sessionID: session, info } = properties;
    if (type === "session.created" && info.parentID !== undefined) helpers.add(info.id);
    // Whatever asks or is answered, the user sees it in the one screen.
    if (Object.hasOwn(waits, type)) say("waiting", waits[type]);
    else if (goesOn.has(type)) say("working");
    if (typeof session !== "string") return;
    if (type === "session.status") status(session, properties.status);
    else if (type === "message.updated") roles.set(info.id, { role: info.role, model: info.modelID });
    else if (type === "message.part.updated") part(session, properties.part);
    else if (type === "session.error") {
      const { name, data } = properties.error ?? {};
      write(session, { type: "error", name, message: data?.message, status: data?.statusCode });
    }
  };

  return Promise.resolve({
    event: (input) => {
      try {
        event(input.event);
      } catch {
        // OpenCode's work is worth more than its record.
      }
      return Promise.resolve();
    },
  });
};
