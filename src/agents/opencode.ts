import type { Signal } from "./activity.ts";
import type { Agent } from "./agent.ts";
import type { Json } from "./conversation.ts";
import { opencodeConversation, recordFolder } from "./opencode-conversation.ts";
// @ts-expect-error -- TypeScript does not know that it is imported as text
// oxlint-disable-next-line import/default -- and text has no exports
import pluginText from "./opencode-plugin.js" with { type: "text" };

/** Our recorder, which runs inside OpenCode. */
const plugin: string = pluginText;

/** `--auto` grants what would be asked; without it, this is asked. By itself it asks almost nothing. */
const config = {
  $schema: "https://opencode.ai/config.json",
  autoupdate: false,
  share: "disabled",
  permission: { edit: "ask", bash: "ask", webfetch: "ask" },
};

/**
 * With a plugin it installs a package of npm's before it starts, and shows a black screen for minutes
 * where the registry does not answer. It takes this for the trace of an installation.
 */
const lock = { packages: { "": { dependencies: { "@opencode-ai/plugin": "*" } } } };

/** Variables of the providers whose keys are looked for on the host; OpenCode reads them itself. */
const keys = [
  "ANTHROPIC_API_KEY",
  "OPENAI_API_KEY",
  "GEMINI_API_KEY",
  "OPENROUTER_API_KEY",
  "OPENCODE_API_KEY",
];

/** OpenCode, seen with 1.18.33. */
export const opencode: Agent = {
  name: "opencode",
  title: "OpenCode",
  // "=" lets a prompt begin with a dash. With --session it drops the prompt.
  command: ({ prompt, resume, autonomy, args = [] }) => [
    "opencode",
    ...(autonomy === "full" ? ["--auto"] : []),
    ...(resume === undefined ? [] : [`--session=${resume}`]),
    ...args,
    ...(prompt === undefined ? [] : [`--prompt=${prompt}`]),
  ],
  // The cache is left where it is: what it holds can be had again.
  env: (home) => ({
    XDG_CONFIG_HOME: `${home}/config`,
    XDG_DATA_HOME: `${home}/data`,
    XDG_STATE_HOME: `${home}/state`,
    OPENCODE_DISABLE_AUTOUPDATE: "1",
    // Its list of models is looked for at every start; the one it brings is as new as it is.
    OPENCODE_DISABLE_MODELS_FETCH: "1",
    OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
  }),
  seed: ({ instructions }) => [
    { path: "config/opencode/opencode.json", content: json(config) },
    { path: "config/opencode/AGENTS.md", content: `${instructions}\n` },
    { path: "config/opencode/plugin/headjack.js", content: plugin },
    { path: "config/opencode/package-lock.json", content: json(lock) },
    { path: "config/opencode/node_modules/.package-lock.json", content: json(lock) },
  ],
  conversation: opencodeConversation,
  signals: {
    questionTools: ["question"],
    status: { folder: recordFolder, file: /^status\.json$/, read: readStatus },
  },
  // One for all providers: a stored key is taken for one of Anthropic's, a variable says whose it is.
  credentials: { "api-key": { env: "ANTHROPIC_API_KEY" } },
  hostEnv: keys.map((name) => ({ name, kind: "api-key", env: name })),
  baseUrl: (url) => {
    const options = { baseURL: url };
    const provider = { anthropic: { options }, openai: { options } };
    return { env: { OPENCODE_CONFIG_CONTENT: JSON.stringify({ provider }) } };
  },
  model: (_, variable = "ANTHROPIC_API_KEY") => {
    if (variable === "ANTHROPIC_API_KEY") {
      return {
        upstream: "https://api.anthropic.com/v1",
        paths: [{ method: "POST", path: "/messages" }],
        headers: (value) => ({ "x-api-key": value }),
        check: { path: "/models?limit=1", headers: { "anthropic-version": "2023-06-01" } },
      };
    }
    if (variable === "OPENAI_API_KEY") {
      return {
        upstream: "https://api.openai.com/v1",
        paths: [
          { method: "POST", path: "/responses" },
          { method: "POST", path: "/chat/completions" },
        ],
        headers: (value) => ({ authorization: `Bearer ${value}` }),
        check: { path: "/models" },
      };
    }
    // Their addresses it knows by itself, and takes no other.
    const hosts: Record<string, string> = {
      GEMINI_API_KEY: "generativelanguage.googleapis.com",
      OPENROUTER_API_KEY: "openrouter.ai",
      OPENCODE_API_KEY: "opencode.ai",
    };
    return { hosts: Object.hasOwn(hosts, variable) ? [hosts[variable] ?? ""] : [] };
  },
  authHelp: {
    "api-key":
      "Paste an API key of your Anthropic Console organisation (it begins with sk-ant-). " +
      "A key of another provider goes by its variable, such as OPENAI_API_KEY, on the host or in agents.opencode.env.",
  },
};

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function readStatus({ state, reason, at }: Json): Signal | undefined {
  const since = typeof at === "number" && Number.isFinite(at) ? { at } : {};
  if (state === "working" || state === "ready") return { state, ...since };
  if (state !== "waiting") return undefined;
  if (reason === "permission" || reason === "question") return { state, reason, ...since };
  return { state, ...since };
}
