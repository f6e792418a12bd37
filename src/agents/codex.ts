import type { Signal } from "./activity.ts";
import type { Agent } from "./agent.ts";
import { codexConversation } from "./codex-conversation.ts";
import { codexLogin } from "./codex-login.ts";

/**
 * Seeded as the user's own layer, not as /etc/codex: it must work with any image.
 * The provider of its own is what makes the sign-in screen go away: the built-in one does not take
 * a key from the environment in the interactive CLI, and ignores OPENAI_BASE_URL.
 */
const config = `check_for_update_on_startup = false
# Keys that arrive fast are taken for a paste, in which Enter does not submit: tmux types fast.
disable_paste_burst = true
model_provider = "headjack"

[features]
# The daemon copies 400 MB into CODEX_HOME, outlives the session, and gives later sessions the
# environment of the first one.
daemon_auto_start = false
# They are looked for on github.com and chatgpt.com at every start.
plugins = false
# It writes the whole environment into CODEX_HOME, and with it the key.
shell_snapshot = false

# The commands that Codex runs have no use for its key.
[shell_environment_policy]
exclude = ["HJK_*"]

[analytics]
enabled = false

[model_providers.headjack]
name = "OpenAI"
base_url = "https://api.openai.com/v1"
env_key = "HJK_OPENAI_API_KEY"
wire_api = "responses"

[projects."/workspace"]
trust_level = "trusted"
`;

/** Codex, seen with 0.169.0. */
export const codex: Agent = {
  name: "codex",
  title: "Codex",
  // --yolo: its own sandbox cannot make a namespace in a container, and every command would fail.
  // Without full autonomy that is what makes it ask: it may run a command without the sandbox then.
  // --no-alt-screen: the log is to hold what scrolled by. `--` lets a prompt begin with a dash.
  command: ({ prompt, resume, autonomy, args = [] }) => [
    "codex",
    ...(resume === undefined ? [] : ["resume", resume]),
    ...(autonomy === "full"
      ? ["--yolo"]
      : ["--ask-for-approval", "on-request", "--sandbox", "workspace-write"]),
    "--no-alt-screen",
    ...args,
    ...(prompt === undefined ? [] : ["--", prompt]),
  ],
  env: (home) => ({ CODEX_HOME: home }),
  seed: ({ instructions }) => [
    { path: "config.toml", content: config },
    { path: "AGENTS.md", content: `${instructions}\n` },
  ],
  conversation: codexConversation,
  signals: { title: readTitle, questionTools: ["request_user_input"] },
  // A name of our own: OPENAI_API_KEY would also be used by the programs of the user's project.
  credentials: { "api-key": { env: "HJK_OPENAI_API_KEY" }, subscription: { env: "HJK_OPENAI_API_KEY" } },
  login: codexLogin,
  hostEnv: [
    { name: "OPENAI_API_KEY", kind: "api-key" },
    { name: "CODEX_API_KEY", kind: "api-key" },
  ],
  // JSON's quoting is also TOML's.
  baseUrl: (url) => ({ args: ["-c", `model_providers.headjack.base_url=${JSON.stringify(url)}`] }),
  // With a ChatGPT login it sends the same requests to another address, with one more header: it need not know of it.
  model: (kind) => ({
    upstream: kind === "api-key" ? "https://api.openai.com/v1" : "https://chatgpt.com/backend-api/codex",
    paths: [
      { method: "POST", path: "/responses" },
      { method: "POST", path: "/responses/compact" },
      { method: "GET", path: "/models" },
    ],
    headers: (value, account) => ({
      authorization: `Bearer ${value}`,
      ...(account === undefined ? {} : { "chatgpt-account-id": account }),
    }),
    check: { path: "/models" },
  }),
  authHelp: {
    subscription: "The ChatGPT plan that you have logged in to with `codex login` on this machine.",
    "api-key": "Paste an API key of your OpenAI project (it begins with sk-).",
  },
};

/** A braille spinner runs before its title while it works. */
function readTitle(title: string): Signal | undefined {
  if (/^\[ [!.] \] Action Required/.test(title)) return { state: "waiting" };
  return { state: /^[\u2800-\u28ff] /.test(title) ? "working" : "ready" };
}
