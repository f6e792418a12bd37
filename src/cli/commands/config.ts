import type { Command } from "@commander-js/extra-typings";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { agents } from "../../agents/index.ts";
import { getConfig, setConfig, unsetConfig, type ConfigEntry } from "../../config/config.ts";
import { runInteractive } from "../../drivers/process.ts";
import { HeadjackError } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import type { Context } from "../context.ts";

export function addConfig(program: Command, context: Context): void {
  program
    .command("config")
    .summary("show or change the configuration")
    .description(
      "Shows every setting with where its value comes from, shows one, or changes one in the configuration file.",
    )
    .argument("[key]", "a setting, as default.agent")
    .argument("[value]", "its new value")
    .option("--edit", "open the configuration file in $EDITOR")
    .option("--unset", "remove the setting from the file")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Settings:
  default.agent            agent of --agent without a name          HEADJACK_DEFAULT_AGENT
  default.base_image       image of new instances, or a path to it  HEADJACK_BASE_IMAGE
  image.agents             agents that Headjack's own image holds   HEADJACK_IMAGE_AGENTS
  storage.worktrees        folder of the workspaces                 HEADJACK_WORKTREE_DIR
  storage.logs             folder of the recordings                 HEADJACK_LOG_DIR
  runtime.name             engine that runs the containers          HEADJACK_RUNTIME
  runtime.flags            its flags for every new container        HEADJACK_RUNTIME_FLAGS
  notify.waiting           how you are told that an agent waits: desktop, bell, command
  notify.done              how you are told that an agent is done
  notify.failed            how you are told that an agent has failed
  notify.command           what is run for command, see below
  workspace.copy           files that git does not carry, for every new workspace; see below
  hooks.create             what is run in a new container before its first session
  hooks.start              what is run each time a container was started
  isolation                how strong the wall around a container is: container, gvisor or vm; see docs/security.md
  security.profile         what a container may do: strict, or sudo to become root inside; see docs/security.md
  limits.memory            memory of a container (default: half of the machine's, at most 8g)
  limits.cpus              its processors (default: one less than there are)
  limits.pids              its processes and threads (default: 2048)
  limits.disk              what a container writes beside its workspace (default: no limit; see docs/security.md)
  network.mode             what instances reach: allowlist, open (every public host) or none (the models only); see below
  network.allow            hosts that they reach beside the usual ones
  network.proxy            proxy that their gateways go out through, or direct (default: HTTPS_PROXY, HTTP_PROXY)
  snapshots.keep           how long hjk gc keeps snapshots          HEADJACK_SNAPSHOTS_KEEP
  snapshots.max            how many of each instance                HEADJACK_SNAPSHOTS_MAX
  snapshots.max_size       how large one may be: 1g, 500m           HEADJACK_SNAPSHOTS_MAX_SIZE
  agents.<name>.env.<VAR>  variable of an agent's environment
  agents.<name>.base_url   model API to use, as seen in a container HEADJACK_<NAME>_BASE_URL
  agents.<name>.autonomy   full, or ask before it does something    HEADJACK_<NAME>_AUTONOMY
  agents.<name>.args       further arguments of its command         HEADJACK_<NAME>_ARGS
  agents.<name>.version    its version in Headjack's own image      HEADJACK_<NAME>_VERSION
  agents.<name>.token_url  where the login of codex or gemini is renewed, if not at its maker's
  agents.<name>.command    starts an agent of your own, see below
  agents.<name>.resume     goes on with its last conversation

An agent of your own, by a program that the image has:
  agents:
    qwen:
      command: [qwen, --yolo, -i, "{prompt}"]
      resume: [qwen, --yolo, --continue]
      env: { HOME: "{home}", OPENAI_API_KEY: "..." }

{prompt} is the first task; without one its word is left out, and an option just before it. {instructions} is what
Headjack tells every agent, {home} a folder of the session's own that lasts as long as the instance.

notify.command is run on your machine, for five seconds at most, with the event in HJK_EVENT (waiting, done, failed),
HJK_BRANCH, HJK_SESSION_NAME, HJK_AGENT, HJK_REASON, HJK_MESSAGE, HJK_INSTANCE and HJK_REPOSITORY. An empty list of ways
is none.

workspace.copy names files of your main worktree, written as in .gitignore: .env, /config/*.local.json, !node_modules/. A
file .worktreeinclude there does the same for one repository. Only files that git does not track are copied, links that
lead out and other worktrees never, and hjk run says which. The agent can read them.

network decides what instances reach through their gateways. allowlist: the model of their agents, the hosts that the
package managers of their image use, those that the repository comes from, and network.allow; open: every public host;
none: the models only. A change takes effect when a gateway starts or hjk net allow is used. See: hjk net

hooks are lists of shell commands, run in /workspace as the container's user. Where one fails no session is started. What
is to go on running must let go of its output: redis-server >/dev/null 2>&1 &
  hooks:
    create: [npm ci, npm run build]
    start: ["docker-entrypoint.sh >/dev/null 2>&1 &"]

Examples:
  $ hjk config
  $ hjk config default.agent claude
  $ hjk config agents.claude.base_url https://models.example.com
  $ hjk config image.agents "claude opencode"
  $ hjk config runtime.flags -- "--publish 3000"
  $ hjk config limits.memory 4g
  $ hjk config notify.waiting "desktop bell"
  $ hjk config network.allow "example.com *.example.org db.example.com:5432"
  $ hjk config workspace.copy ".env .env.local"
  $ hjk config hooks.create "npm ci"`,
    )
    .action(async (key, value, options) => {
      const { paths, io } = context;
      const known = { agentNames: agents.map((agent) => agent.name), paths };
      if (options.edit === true) return await edit(context);
      if (options.unset === true) {
        if (key === undefined) throw new HeadjackError("Name the setting to remove.", { kind: "usage" });
        const removed = await unsetConfig(paths.configFile, key);
        io.note(removed ? `Removed ${key} from ${paths.configFile}` : `${key} is not in ${paths.configFile}`);
        return;
      }
      if (key !== undefined && value !== undefined) {
        await setConfig(paths.configFile, key, value, known);
        io.note(`Set ${key} in ${paths.configFile}`);
        return;
      }
      const config = await context.config();
      if (key !== undefined) {
        const entry = getConfig(config, key, known);
        if (options.json === true) io.out(formatJson({ version: 1, ...toJson(entry) }));
        else io.out(shown(entry));
        return;
      }
      const entries = config.entries();
      if (options.json === true) {
        io.out(formatJson({ version: 1, file: paths.configFile, settings: entries.map(toJson) }));
        return;
      }
      const rows = entries.map((entry) => [entry.key, shown(entry), entry.where ?? entry.source]);
      io.out(formatTable(["KEY", "VALUE", "SOURCE"], rows, { tty: io.stdoutIsTerminal }));
    });
}

function shown(entry: ConfigEntry): string {
  return Array.isArray(entry.value) ? entry.value.join(" ") : (entry.value ?? "");
}

function toJson(entry: ConfigEntry): object {
  return { key: entry.key, value: entry.value ?? null, source: entry.source, where: entry.where ?? null };
}

async function edit(context: Context): Promise<void> {
  const editor = context.env["VISUAL"] || context.env["EDITOR"] || "vi";
  const file = context.paths.configFile;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // The variable may hold arguments, as in EDITOR="code --wait".
  const code = await runInteractive(["sh", "-c", `${editor} "$1"`, "sh", file], { env: context.deps().env });
  if (code !== 0) throw new HeadjackError(`The editor (${editor}) exited with code ${code}.`);
  await context.config();
}
