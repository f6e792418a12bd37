import type { Signal } from "./activity.ts";
import type { Agent } from "./agent.ts";
import { copilotConversation, lastConversation } from "./copilot-conversation.ts";
import type { Json } from "./conversation.ts";
import { moment, object } from "./fields.ts";

/** With a provider of one's own it wants a model too. It must be one that the default, Chat Completions, serves. */
const defaultModel = "gpt-4.1";

/**
 * Its own note of what it does says nothing of dialogs, so a hook leaves a file beside it while one is
 * open. The newer of the two counts, which Esc in the dialog makes the other one: no hook tells of that.
 */
const waitingFile = "hjk-waiting.json";
const noteWaiting = `case "$(cat)" in
*'"notification_type":"permission_prompt"'*) reason=permission ;;
*'"notification_type":"elicitation_dialog"'*) reason=question ;;
*) exit 0 ;;
esac
printf '{"waiting":"%s","at":%s000}' "$reason" "$(date +%s)" > "$COPILOT_HOME/${waitingFile}"`;
const noteGoingOn = `rm -f "$COPILOT_HOME/${waitingFile}"`;

/** The matching names of its hooks are those of 1.0.102. */
const hooks = {
  version: 1,
  hooks: {
    notification: [hook(noteWaiting)],
    preToolUse: [hook(noteGoingOn)],
    postToolUse: [hook(noteGoingOn)],
    postToolUseFailure: [hook(noteGoingOn)],
    userPromptSubmitted: [hook(noteGoingOn)],
  },
};

/** GitHub Copilot CLI, seen with 1.0.102. */
export const copilot: Agent = {
  name: "copilot",
  title: "GitHub Copilot CLI",
  // "=" lets a prompt begin with a dash. The commands that it runs have no use for its credential.
  command: ({ prompt, resume, autonomy, args = [] }) => [
    "copilot",
    ...(autonomy === "full" ? ["--yolo"] : []),
    "--secret-env-vars=COPILOT_GITHUB_TOKEN,COPILOT_PROVIDER_API_KEY",
    ...(resume === undefined ? [] : [resume === lastConversation ? "--continue" : `--resume=${resume}`]),
    ...args,
    ...(prompt === undefined ? [] : [`--interactive=${prompt}`]),
  ],
  env: (home) => ({ COPILOT_HOME: home, COPILOT_AUTO_UPDATE: "false" }),
  seed: ({ instructions }) => [
    // The trust in settings.json, where its other settings belong, is not looked at.
    { path: "config.json", content: json({ trustedFolders: ["/workspace"] }) },
    { path: "settings.json", content: json({ autoUpdate: false, banner: "never" }) },
    { path: "hooks/hjk.json", content: json(hooks) },
    { path: "copilot-instructions.md", content: `${instructions}\n` },
  ],
  conversation: copilotConversation,
  signals: {
    questionTools: ["ask_user"],
    status: { folder: "", file: /^(?:open-sessions-state|hjk-waiting)\.json$/, read: readStatus },
  },
  credentials: {
    subscription: { env: "COPILOT_GITHUB_TOKEN" },
    "api-key": { env: "COPILOT_PROVIDER_API_KEY" },
  },
  hostEnv: [
    { name: "COPILOT_GITHUB_TOKEN", kind: "subscription" },
    { name: "COPILOT_PROVIDER_API_KEY", kind: "api-key" },
    { name: "GH_TOKEN", kind: "subscription" },
  ],
  // Offline means that it asks nobody but this address: no GitHub sign-in, no telemetry.
  baseUrl: (url) => ({
    env: { COPILOT_PROVIDER_BASE_URL: url, COPILOT_MODEL: defaultModel, COPILOT_OFFLINE: "true" },
  }),
  model: (kind) =>
    kind === "subscription"
      ? // It exchanges the token for another one, and asks several hosts with that.
        { hosts: ["api.github.com", "*.githubcopilot.com"] }
      : {
          // Only with a provider of the user's own, whose address is `base_url`.
          upstream: "",
          paths: [{ method: "POST", path: "/chat/completions" }],
          headers: (value) => ({ authorization: `Bearer ${value}` }),
          check: { path: "/models" },
        },
  authHelp: {
    subscription:
      'Paste a fine-grained personal access token of GitHub with the permission "Copilot Requests" (it begins with github_pat_).',
    "api-key":
      "Paste the key of a model provider of your own, whose address is the setting agents.copilot.base_url.",
  },
};

function hook(bash: string): Json {
  return { type: "command", bash, timeoutSec: 5 };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function readStatus(status: Json): Signal | undefined {
  const { waiting: reason, at } = status;
  if (reason === "permission" || reason === "question")
    return { state: "waiting", reason, ...(typeof at === "number" ? { at } : {}) };
  // One for each conversation that was ever open; the last one that changed is the one at hand.
  const [latest] = Object.values(status)
    .map((value) => ({ working: object(value)["working"], at: moment(object(value)["refreshedAt"]) }))
    .toSorted((one, other) => (other.at ?? 0) - (one.at ?? 0));
  if (typeof latest?.working !== "boolean") return undefined;
  return { state: latest.working ? "working" : "ready", ...(latest.at === null ? {} : { at: latest.at }) };
}
