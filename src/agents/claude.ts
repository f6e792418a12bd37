import type { Signal } from "./activity.ts";
import type { Agent } from "./agent.ts";
import type { Json } from "./conversation.ts";
import { claudeConversation } from "./claude-conversation.ts";

/**
 * Claude Code, seen with 2.1.330. Each thing below answers a screen that would otherwise wait for a
 * key press, or a fault that was seen.
 */
export const claude: Agent = {
  name: "claude",
  title: "Claude Code",
  // The flag rather than `permissions.defaultMode` in the settings: that one raises "Make auto mode
  // your default?" after the first turn. `--` lets a prompt begin with a dash.
  command: ({ prompt, instructions, resume, autonomy, args = [] }) => [
    "claude",
    ...(autonomy === "full" ? ["--dangerously-skip-permissions"] : ["--permission-mode", "default"]),
    "--append-system-prompt",
    instructions,
    ...(resume === undefined ? [] : ["--resume", resume]),
    ...args,
    ...(prompt === undefined ? [] : ["--", prompt]),
  ],
  env: (home) => ({
    // Takes .claude.json along too, so that one folder is all of its state.
    CLAUDE_CONFIG_DIR: home,
    // Counts every folder as trusted. The other way names each folder in .claude.json.
    CLAUDE_CODE_SANDBOXED: "1",
    DISABLE_AUTOUPDATER: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    // The one request that the switch above leaves.
    CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL: "1",
    // On the alternate screen nothing scrolls by: the log would hold repaints only.
    CLAUDE_CODE_DISABLE_ALTERNATE_SCREEN: "1",
    // An image that has root as its user: without this the flag above is refused there.
    IS_SANDBOX: "1",
  }),
  seed: () => [
    { path: ".claude.json", content: json({ hasCompletedOnboarding: true }) },
    { path: "settings.json", content: json({ skipDangerousModePermissionPrompt: true }) },
  ],
  conversation: claudeConversation,
  signals: { status: { folder: "sessions", file: /^\d+\.json$/, read: readStatus } },
  credentials: {
    subscription: { env: "CLAUDE_CODE_OAUTH_TOKEN" },
    // ANTHROPIC_API_KEY raises "Detected a custom API key", and the way to pre-empt that writes a
    // part of the key to disk. A helper that prints another variable does neither.
    "api-key": {
      env: "HJK_ANTHROPIC_API_KEY",
      args: ["--settings", JSON.stringify({ apiKeyHelper: "printenv HJK_ANTHROPIC_API_KEY" })],
    },
  },
  hostEnv: [
    { name: "CLAUDE_CODE_OAUTH_TOKEN", kind: "subscription" },
    { name: "ANTHROPIC_API_KEY", kind: "api-key" },
  ],
  baseUrl: (url) => ({ env: { ANTHROPIC_BASE_URL: url } }),
  model: (kind) => ({
    upstream: "https://api.anthropic.com",
    paths: [
      { method: "POST", path: "/v1/messages" },
      { method: "POST", path: "/v1/messages/count_tokens" },
      { method: "GET", path: "/v1/models*" },
      { method: "HEAD", path: "/api/hello" },
    ],
    // The header that says that it is a subscription's, the client sends itself.
    headers: (value): Record<string, string> =>
      kind === "api-key" ? { "x-api-key": value } : { authorization: `Bearer ${value}` },
    check: {
      path: "/v1/models?limit=1",
      headers: {
        "anthropic-version": "2023-06-01",
        ...(kind === "subscription" ? { "anthropic-beta": "oauth-2025-04-20" } : {}),
      },
    },
  }),
  authHelp: {
    subscription: "Run `claude setup-token` where you are logged in, and paste the token that it prints.",
    "api-key": "Paste an API key of your Anthropic Console organisation (it begins with sk-ant-).",
  },
};

/** Right even after Esc and errors, when no hook fires. A killed process leaves its file behind. */
function readStatus({ status, waitingFor, statusUpdatedAt }: Json): Signal | undefined {
  const at = typeof statusUpdatedAt === "number" ? { at: statusUpdatedAt } : {};
  if (status === "busy") return { state: "working", ...at };
  if (status === "idle") return { state: "ready", ...at };
  // It listens, while a command that it has put into the background runs.
  if (status === "shell") return { state: "background", ...at };
  if (status !== "waiting") return undefined;
  const reason = { "permission prompt": "permission", "input needed": "question" } as const;
  if (waitingFor === "permission prompt" || waitingFor === "input needed") {
    return { state: "waiting", reason: reason[waitingFor], ...at };
  }
  return { state: "waiting", ...at };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
