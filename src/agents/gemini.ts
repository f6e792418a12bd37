import type { Signal } from "./activity.ts";
import type { Agent, ModelAccess } from "./agent.ts";
import type { Json } from "./conversation.ts";
import { geminiConversation } from "./gemini-conversation.ts";
import { geminiLogin } from "./gemini-login.ts";

/** With a key in the environment and no type selected, it still asks how to log in. It fills variables in. */
const settings = {
  security: { auth: { selectedType: "${HJK_GEMINI_AUTH}" }, folderTrust: { enabled: false } },
  general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
  // Its title says that it waits, and not for what.
  hooks: {
    Notification: [
      { hooks: [{ type: "command", command: 'cat > "$GEMINI_CLI_HOME/notification.json"', timeout: 5000 }] },
    ],
  },
  privacy: { usageStatisticsEnabled: false },
};

/** Gemini CLI, seen with 0.61.0. */
export const gemini: Agent = {
  name: "gemini",
  title: "Gemini CLI",
  // "=" lets a prompt begin with a dash. Without the word "interactive" it would answer and exit.
  command: ({ prompt, resume, autonomy, args = [] }) => [
    "gemini",
    ...(autonomy === "full" ? ["--yolo"] : ["--approval-mode=default"]),
    ...(resume === undefined ? [] : ["--resume", resume]),
    ...args,
    ...(prompt === undefined ? [] : [`--prompt-interactive=${prompt}`]),
  ],
  env: (home) => ({
    // It keeps its state in the folder .gemini below this one.
    GEMINI_CLI_HOME: home,
    // In a folder that is not trusted, --yolo is dropped without a word.
    GEMINI_CLI_TRUST_WORKSPACE: "true",
    // It starts itself again with a larger heap: half as much memory again, and a slower start.
    GEMINI_CLI_NO_RELAUNCH: "1",
    // Of the settings above, unless a login changes it.
    HJK_GEMINI_AUTH: "gemini-api-key",
  }),
  seed: ({ instructions }) => [
    { path: ".gemini/settings.json", content: `${JSON.stringify(settings, undefined, 2)}\n` },
    { path: ".gemini/GEMINI.md", content: `${instructions}\n` },
  ],
  conversation: geminiConversation,
  signals: {
    title: readTitle,
    status: { folder: ".", file: /^notification\.json$/, read: readNotification },
  },
  credentials: {
    "api-key": { env: "GEMINI_API_KEY" },
    // With these it takes a token for a login, and neither looks for a file of one nor writes it.
    subscription: {
      env: "GOOGLE_CLOUD_ACCESS_TOKEN",
      settings: { HJK_GEMINI_AUTH: "oauth-personal", GOOGLE_GENAI_USE_GCA: "true" },
    },
  },
  login: geminiLogin,
  hostEnv: [{ name: "GEMINI_API_KEY", kind: "api-key" }],
  baseUrl: (url) => ({ env: { GOOGLE_GEMINI_BASE_URL: url, CODE_ASSIST_ENDPOINT: url } }),
  model: (kind) => (kind === "api-key" ? keyAccess : loginAccess),
  authHelp: {
    subscription: "The Google account that you have logged in to with `gemini` on this machine.",
    "api-key": "Paste an API key of Google AI Studio (it begins with AIza).",
  },
};

const keyAccess: ModelAccess = {
  upstream: "https://generativelanguage.googleapis.com",
  paths: [
    { method: "POST", path: "/v1beta/models/*" },
    { method: "GET", path: "/v1beta/models*" },
  ],
  headers: (value) => ({ "x-goog-api-key": value }),
  check: { path: "/v1beta/models?pageSize=1" },
};

/** With a login it speaks to another server, in other words. Its metrics are left out: it goes on without. */
const loginAccess: ModelAccess = {
  upstream: "https://cloudcode-pa.googleapis.com",
  paths: [
    "loadCodeAssist",
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "retrieveUserQuota",
    "listExperiments",
    "fetchAdminControls",
  ].map((method) => ({ method: "POST", path: `/v1internal:${method}` })),
  headers: (value) => ({ authorization: `Bearer ${value}` }),
};

/** What it asks for: the newest notification, which is only looked at while its title says that it waits. */
function readNotification({ timestamp, details }: Json): Signal | undefined {
  const at = typeof timestamp === "string" ? Date.parse(timestamp) : NaN;
  if (Number.isNaN(at) || typeof details !== "object" || details === null || !("type" in details))
    return undefined;
  return { state: "waiting", reason: details.type === "ask_user" ? "question" : "permission", at };
}

/** By the sign that it begins with: the words are in the user's language. */
function readTitle(title: string): Signal | undefined {
  if (title.startsWith("\u25c7")) return { state: "ready" };
  // While it is silent for long, the sign becomes a clock.
  if (/^[\u2726\u23f2]/.test(title)) return { state: "working" };
  return title.startsWith("\u270b") ? { state: "waiting" } : undefined;
}
