import type { ToolCall } from "./conversation.ts";

/** Something a script wants done; which tool does it depends on the agent. */
export type Use =
  | { kind: "shell"; command: string; why: string; background?: boolean; asks?: boolean }
  | { kind: "write"; path: string; content: string }
  | { kind: "read"; path: string }
  | { kind: "ask"; question: string; options: string[] };

/** Where the agents work; tools of Claude Code and Gemini want absolute paths. */
const workspace = process.env["MODEL_STUB_CWD"] ?? "/workspace";

/**
 * The tool call that does it, or nothing where the agent has no tool for it. Codex has a shell only
 * (directly, or from JavaScript in its newer models), so reading and writing become commands there.
 */
export function callFor(use: Use, tools: string[]): ToolCall | undefined {
  const pick = (...names: string[]): string | undefined => names.find((name) => tools.includes(name));
  switch (use.kind) {
    case "shell":
      return use.background === true
        ? backgroundCall(use.command, use.why, pick)
        : shellCall(use.command, use.why, pick, use.asks);
    case "write": {
      const name = pick("Write", "write_file");
      if (name !== undefined) return { name, args: { file_path: absolute(use.path), content: use.content } };
      // OpenCode, Copilot CLI.
      if (tools.includes("write"))
        return { name: "write", args: { filePath: absolute(use.path), content: use.content } };
      if (tools.includes("create"))
        return { name: "create", args: { path: absolute(use.path), file_text: use.content } };
      return shellCall(writeCommand(use.path, use.content), `write ${use.path}`, pick);
    }
    case "read": {
      const name = pick("Read", "read_file");
      if (name !== undefined) return { name, args: { file_path: absolute(use.path) } };
      if (tools.includes("read")) return { name: "read", args: { filePath: absolute(use.path) } };
      if (tools.includes("view")) return { name: "view", args: { path: absolute(use.path) } };
      return shellCall(`cat ${use.path}`, `read ${use.path}`, pick);
    }
    case "ask":
      break;
  }
  return askCall(use.question, use.options, pick);
}

/** How long Codex waits for a command before it hands control back to the model. */
const patienceMs = 120_000;

type Pick = (...names: string[]) => string | undefined;

/**
 * With `asks` Codex is told to ask the user, as its models do for what its own sandbox forbids; where it
 * may do everything it refuses that. The other CLIs need not be told.
 */
function shellCall(command: string, why: string, pick: Pick, asks = false): ToolCall | undefined {
  const name = pick("Bash", "bash", "run_shell_command", "exec_command", "shell_command", "shell", "exec");
  if (name === undefined) return undefined;
  const escalation = { sandbox_permissions: "require_escalated", justification: `May I ${why}?` };
  const waiting = { cmd: command, yield_time_ms: patienceMs, ...(asks ? escalation : {}) };
  if (name === "exec_command") return { name, args: waiting };
  if (name === "exec") {
    const pragma = `// @exec: ${JSON.stringify({ yield_time_ms: patienceMs })}`;
    const source = `${pragma}\ntext((await tools.exec_command(${JSON.stringify(waiting)})).output);`;
    return { name, args: {}, source };
  }
  if (name === "shell") return { name, args: { command: ["bash", "-lc", command] } };
  if (name === "shell_command") return { name, args: { command } };
  return { name, args: { command, description: why } };
}

/** Claude Code has background tasks that it watches; elsewhere the shell leaves the command behind. */
function backgroundCall(command: string, why: string, pick: Pick): ToolCall | undefined {
  const name = pick("Bash");
  if (name !== undefined) return { name, args: { command, description: why, run_in_background: true } };
  return shellCall(`${command} > /dev/null 2>&1 &`, why, pick);
}

/** Each CLI has its own form of "ask the user to choose". */
function askCall(question: string, labels: string[], pick: Pick): ToolCall | undefined {
  const name = pick("AskUserQuestion", "ask_user", "request_user_input", "question");
  if (name === undefined) return undefined;
  const options = labels.map((label) => ({ label, description: `Use ${label}` }));
  const asked = { question, header: "Choice", options };
  if (name === "request_user_input") return { name, args: { questions: [{ ...asked, id: "choice" }] } };
  // Copilot CLI's, not Gemini CLI's of the same name.
  if (name === "ask_user" && pick("create") !== undefined) {
    const properties = { choice: { type: "string", enum: labels } };
    return { name, args: { message: question, requestedSchema: { properties, required: ["choice"] } } };
  }
  if (name === "question") return { name, args: { questions: [asked] } };
  if (name === "ask_user") {
    return { name, args: { questions: [{ ...asked, type: "choice", multiSelect: false }] } };
  }
  return { name, args: { questions: [{ ...asked, multiSelect: false }] } };
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${workspace}/${path}`;
}

/**
 * A command that writes (or, with `>>`, adds to) a file. Gemini CLI refuses every command in which it
 * sees a substitution, even a quoted one: such content goes as base64.
 */
export function writeCommand(path: string, content: string, redirect: ">" | ">>" = ">"): string {
  const folder = path.includes("/") ? `mkdir -p ${path.slice(0, path.lastIndexOf("/"))} && ` : "";
  const body = content.endsWith("\n") ? content : `${content}\n`;
  if (/[`$]|[<>]\(/.test(body)) {
    return `${folder}echo ${Buffer.from(body).toString("base64")} | base64 -d ${redirect} ${path}`;
  }
  return `${folder}cat ${redirect} ${path} <<'END_OF_FILE'\n${body}END_OF_FILE`;
}
