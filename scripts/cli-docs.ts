/**
 * Writes docs/cli.md from the commands themselves, so that it cannot say anything else than `hjk --help`.
 * With `--check` it writes nothing and fails when the page is not current.
 *
 *     npm run docs:cli [-- --check]
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Argument, CommandUnknownOpts as Command, Option } from "@commander-js/extra-typings";
import { agents } from "../src/agents/index.ts";
import { buildProgram } from "../src/cli/app.ts";
import type { Context } from "../src/cli/context.ts";
import { loadConfig } from "../src/config/config.ts";
import { knownKeys } from "../src/config/keys.ts";
import { type ErrorKind, exitCodes } from "../src/errors.ts";
import { resolvePaths } from "../src/store/paths.ts";

const page = join(import.meta.dir, "..", "docs", "cli.md");

/** A home directory that is replaced by `~` on the page. */
const home = "/home/somebody";

/** The whole page. */
export async function cliDocs(): Promise<string> {
  const program: Command = await buildProgram(unusedContext());
  const help = program.createHelp();
  const commands = help.visibleCommands(program).filter((command) => command.name() !== "help");
  const groups = Map.groupBy(commands, (command) => command.helpGroup().replace(/:$/, ""));
  const parts = [
    "# Commands of hjk",
    "<!-- Made from the commands by `npm run docs:cli`. Do not edit. -->",
    escaped(program.description()),
    "Every command explains itself: `hjk <command> --help`. Results go to standard output, everything else to " +
      "standard error. In a pipe, tables are separated by tabs, times are ISO 8601 in UTC, and nothing is coloured.",
    table(["Before the command", ""], optionRows(program)),
    ...[...groups].map(([name, members]) => `- ${name}: ${members.map(link).join(", ")}`),
    "- More: [exit codes](#exit-codes), [configuration](#configuration), " +
      "[environment variables](#environment-variables), [JSON](#json), [files](#files)",
    ...[...groups].flatMap(([name, members]) => [`## ${name}`, ...members.flatMap(commandParts)]),
    ...exitCodeParts(),
    ...(await configurationParts(commands)),
    ...environmentParts(),
    ...jsonParts,
    ...fileParts(),
  ];
  return `${parts.reduce((text, part) => text + (isItem(text, part) ? "\n" : "\n\n") + part)}\n`;
}

/** Whether a part goes on the list that the text ends with. */
function isItem(text: string, part: string): boolean {
  return part.startsWith("- ") && (text.split("\n").at(-1) ?? "").startsWith("- ");
}

/** The commands use their context only when they run, and none does here. */
function unusedContext(): Context {
  return new Proxy({} as Context, {
    get: (_, name) => {
      throw new Error(`a command uses context.${String(name)} while it is only being described`);
    },
  });
}

const link = (command: Command): string => `[${command.name()}](#hjk-${command.name()})`;

function commandParts(command: Command): string[] {
  const help = command.createHelp();
  const parts = [`### hjk ${command.name()}`, fenced(`hjk ${command.name()} ${command.usage()}`)];
  if (command.aliases().length > 0) {
    parts.push(
      `Also: ${command
        .aliases()
        .map((alias) => `\`hjk ${alias}\``)
        .join(", ")}`,
    );
  }
  parts.push(escaped(command.description()));
  const args = help.visibleArguments(command);
  if (args.length > 0) parts.push(table(["Argument", ""], args.map(argumentRow)));
  const options = optionRows(command);
  if (options.length > 0) parts.push(table(["Option", ""], options));
  return [...parts, ...helpTextParts(helpText(command))];
}

function argumentRow(argument: Argument): string[] {
  const dots = argument.variadic ? "..." : "";
  const name = argument.required ? `<${argument.name()}${dots}>` : `[${argument.name()}${dots}]`;
  return [`\`${name}\``, escaped(argument.description)];
}

function optionRows(command: Command): string[][] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .filter((option: Option) => option.long !== "--help")
    .map((option) => [`\`${help.optionTerm(option)}\``, escaped(help.optionDescription(option))]);
}

/** What `addHelpText` has put below a command's help. */
function helpText(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text.slice(command.helpInformation().length);
}

/** Paragraphs as they are; `Title:` with indented lines below it becomes a block of text. */
function helpTextParts(text: string): string[] {
  const blocks = text.split(/\n{2,}/).map((block) => block.replace(/^\n+|\s+$/g, ""));
  return blocks
    .filter((block) => block !== "")
    .flatMap((block) => {
      const [title = "", ...lines] = block.split("\n");
      if (!title.endsWith(":") || !lines.every((line) => line.startsWith("  "))) return [escaped(block)];
      return [title, fenced(lines.map((line) => line.slice(2)).join("\n"))];
    });
}

const meanings: Record<ErrorKind, string> = {
  failed: "It failed; the message says why and what state things were left in.",
  usage: "The command was called in a way that cannot work; nothing was done.",
  "not-found": "There is no such branch, session, image or commit.",
  auth: "The agent has no credential, or one that cannot be used.",
  engine: "The container engine is not installed, does not answer or refuses.",
  timeout: "It took too long.",
  interrupted: "Ended by Ctrl+C.",
};

function exitCodeParts(): string[] {
  const kinds = Object.entries(exitCodes) as [ErrorKind, number][];
  const rows = kinds.map(([kind, code]) => [`\`${code}\``, meanings[kind]]);
  return [
    "## Exit codes",
    table(["Code", ""], [["`0`", "It worked."], ...rows]),
    "`129` and `143` say that `hjk` itself was ended by SIGHUP or SIGTERM. `hjk exec`, `hjk git` and a session that " +
      "ends while you are attached to it pass on the exit code of the program inside. With several branches " +
      "(`stop`, `start`, `rm`) it is the code of the first failure.",
    "An error is one line `error: ...` on standard error, followed by `hint: ...` lines that say what to do.",
  ];
}

async function configurationParts(commands: Command[]): Promise<string[]> {
  const config = commands.find((command) => command.name() === "config");
  if (config === undefined) throw new Error("there is no command `config`");
  const known = settingsIn(helpText(config));
  const agentNames = agents.map((agent) => agent.name);
  const paths = resolvePaths({}, "linux", 1000, home);
  const defaults = await loadConfig({ file: "/nonexistent", env: {}, agentNames, paths });
  const valueOf = new Map(defaults.entries().map((entry) => [entry.key, entry.value ?? ""]));
  const rows = knownKeys({ agentNames, home }).map((spec) => {
    const key = spec.path.join(".");
    const general = key.replace(/^agents\.\w+\./, "agents.<name>.");
    const meaning = known.get(general);
    if (meaning === undefined) throw new Error(`\`hjk config --help\` does not explain ${general}`);
    const value = [valueOf.get(key) ?? ""].flat().join(" ").replace(home, "~");
    return [
      `\`${key}\``,
      escaped(meaning),
      value === "" ? "" : `\`${value}\``,
      spec.variable === undefined ? "" : `\`${spec.variable}\``,
    ];
  });
  const more = ["env.<VAR>", "command", "resume"].map((name) => {
    const key = `agents.<name>.${name}`;
    const meaning = known.get(key);
    if (meaning === undefined) throw new Error(`\`hjk config --help\` does not explain ${key}`);
    return [`\`${key}\``, escaped(meaning), "", ""];
  });
  return [
    "## Configuration",
    `In \`${paths.configFile.replace(home, "~")}\`; change it with \`hjk config\`, which keeps your comments, or by hand. ` +
      "An environment variable wins over the file, the file over the default. Unknown keys and bad values are " +
      "refused with their place in the file.",
    table(["Key", "", "Default", "Variable"], [...rows, ...more]),
    "For example:",
    fenced(
      [
        "default:",
        "  agent: claude",
        "runtime:",
        '  flags: ["--memory", "4g"]',
        "agents:",
        "  claude:",
        "    env:",
        "      ANTHROPIC_MODEL: opus",
      ].join("\n"),
      "yaml",
    ),
  ];
}

/** The lines `key  meaning  VARIABLE` below "Settings:" in the help of `config`. */
function settingsIn(text: string): Map<string, string> {
  const block = /^Settings:\n((?: {2}.*\n)+)/m.exec(text)?.[1] ?? "";
  const lines = block.split("\n").map((line) => /^ {2}(\S+) +(.*?)(?: +HEADJACK_\S+)?$/.exec(line));
  return new Map(lines.filter((found) => found !== null).map(([, key = "", meaning = ""]) => [key, meaning]));
}

function environmentParts(): string[] {
  const variables = agents.flatMap(({ title, hostEnv }) => hostEnv.map((given) => ({ ...given, title })));
  // Some agents take the same one.
  const credentials = [...Map.groupBy(variables, ({ name }) => name)].map(([name, taken]) => {
    const kind = taken.every((given) => given.kind === "api-key") ? "API key" : "Subscription token";
    return [`\`${name}\``, `${kind} of ${taken.map(({ title }) => title).join(" or ")}`];
  });
  return [
    "## Environment variables",
    "Beside those of the configuration above:",
    table(
      ["Variable", ""],
      [
        [
          "`HEADJACK_HOME`",
          "One folder for everything Headjack keeps, in place of the folders [below](#files)",
        ],
        [
          "`HEADJACK_CREDENTIALS`",
          "`keychain` or `file`: where `hjk auth` stores credentials (default: the keychain where there is one; " +
            "`file` with `HEADJACK_HOME`)",
        ],
        ...credentials,
        [
          "`DOCKER_HOST`, `DOCKER_CONTEXT`, `DOCKER_CONFIG`",
          "Which Docker engine is used, as for `docker` itself",
        ],
        [
          "`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`",
          "Certificates of a proxy that opens TLS; built into the base image",
        ],
        [
          "`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`",
          "Proxy for building the base image, and for gateways; kept in neither",
        ],
        ["`NPM_CONFIG_REGISTRY`", "Package registry for building the base image, and inside instances"],
        [
          "`PIP_INDEX_URL`, `UV_DEFAULT_INDEX`, `GOPROXY` and their like",
          "Package registries inside instances, [without credentials](security.md#the-network-and-your-credentials)",
        ],
        ["`VISUAL`, `EDITOR`", "Editor of `hjk config --edit`"],
        ["`NO_COLOR`", "Not empty: nothing is coloured"],
        ["`XDG_CONFIG_HOME`, `XDG_DATA_HOME`", "Change the folders [below](#files)"],
      ],
    ),
    "A credential in `agents.<name>.env` comes first, then one of these variables, then what `hjk auth` stored.",
    "Inside an instance `HEADJACK_BRANCH` is its branch, and each session has its own `HJK_SESSION`.",
  ];
}

const jsonParts = [
  "## JSON",
  "`--json` prints one object with `version`, the version of its shape: fields may be added under the same " +
    "version, but none changes or goes. Times are ISO 8601 in UTC. What is not known is `null`.",
  "`hjk ps --json`:",
  fenced(
    `{
  "version": 1,
  "instances": [
    {
      "id": "abc123",
      "branch": "feat/login",
      "status": "running",
      "repository": "/home/somebody/my-app/.git",
      "container": "hjk-feat-login-1a2b3c-abc123",
      "image": "headjack-base:0123456789ab",
      "profile": "strict",
      "isolation": "container",
      "workspace": "/home/somebody/.local/share/headjack/worktrees/my-app-4d5e6f-789abc/feat-login-1a2b3c-abc123",
      "createdAt": "2027-01-31T12:00:00Z",
      "notice": "",
      "activity": { "...": "that of the session to look at first, or null" },
      "base": { "branch": "main", "ahead": 2, "behind": 1 },
      "uncommitted": { "files": 3, "at": "2027-01-31T12:02:40Z" },
      "conflicts": [{ "branch": "main", "isBase": true, "count": 1, "files": ["README.md"] }],
      "sessions": [
        {
          "name": "happy-panda",
          "type": "claude",
          "status": "detached",
          "createdAt": "2027-01-31T12:00:01Z",
          "accessedAt": "2027-01-31T12:03:00Z",
          "endedAt": null,
          "exitCode": null,
          "end": null,
          "protection": "gateway",
          "activity": {
            "state": "waiting",
            "reason": "question",
            "source": "agent",
            "since": "2027-01-31T12:02:40Z",
            "ageSeconds": 20,
            "message": "Postgres or SQLite?"
          },
          "resumable": false
        }
      ]
    }
  ]
}`,
    "json",
  ),
  table(
    ["Field", "", "Values"],
    [
      ["`status` of an instance", "", "`running`, `stopped`, `creating`, `removing`, `missing`"],
      ["`profile`", "what its container may do", "`strict`, `sudo`"],
      ["`isolation`", "how strong its wall is", "`container`, `gvisor`, `vm`"],
      [
        "`notice`",
        "what you should know of it, such as why commits could not be put on the branch",
        "often empty",
      ],
      ["`base`", "the branch it began at, and how many commits each has that the other lacks", "or `null`"],
      ["`uncommitted`", "files in no commit, as of a moment", "or `null`"],
      [
        "`conflicts`",
        "branches it cannot be put together with; `count` of files, the first of them in `files`",
        "a list",
      ],
      [
        "`type`",
        "what runs in the session",
        `\`shell\`, ${agents.map(({ name }) => `\`${name}\``).join(", ")}, the name of an agent of your own`,
      ],
      ["`status` of a session", "", "`attached`, `detached`, `exited`"],
      ["`end`", "why it is over", "`exited`, `killed`, `stopped`, `limit`, `lost`; `null` while it lives"],
      [
        "`activity`",
        "what the agent is doing; `null` for a shell, and for an agent that was ended",
        "`state`: `starting`, `working`, `waiting`, `idle`, `done`, `failed`, `unknown`",
      ],
      [
        "`reason`",
        "what a waiting agent waits for",
        "`permission`, `question`, `login`, `rate-limit`, or `null`",
      ],
      ["`source`", "who says so", "`agent`, its `process`, its `screen`"],
      ["`message`", "its question, last words or error", "at most 2000 characters"],
      [
        "`protection`",
        "where the credential is",
        "`gateway`; `weak`: in the session itself; `null` for a shell",
      ],
      ["`resumable`", "`hjk attach` would bring the agent back", "`true`, `false`"],
      ["`exitCode`", "of a program that ended by itself", "a number, or `null`"],
    ],
  ),
  "`hjk ps <branch> --json`: `{ version, branch, sessions }`, the sessions as above.",
  "`hjk wait --json`: `{ version, sessions }`, each session `{ branch, session, status, end, exitCode, activity, reached }`; " +
    "`reached` is `false` for one that cannot get there any more.",
  "`hjk transcript --json`: `{ version, branch, session, agent, entries }`, each entry " +
    "`{ role, at, text, tool, model, tokens, costUsd, error, retrying, queued, interrupted }`. `role` is `user`, " +
    "`assistant`, `tool` or `agent`; `tool` is `{ name, input }` of a call, or `null`; `tokens` is " +
    "`{ input, output, cacheRead, cacheWrite }` on one entry of each of the model's answers, or `null`; `error` is " +
    "`login`, `rate-limit`, `other` or `null`. `--jsonl` prints the entries alone, one a line.",
  "`hjk df --json`: `{ version, instances, shared, total, complete }`, all in bytes. Each instance has `id`, `branch`, `repository`, " +
    "`worktree`, `container`, `git`, `homes`, `recordings`, `snapshots` and `total`; `shared` is `{ baseImages, " +
    "setupImages, hubs, removedSnapshots }`. `complete` is false where some of it could not be read, or not in time.",
  "`hjk usage --json`: `{ version, by, since, rows }`, each row `{ repository, branch, session, agent, day, turns, " +
    "seconds, tokens, costUsd }`; `null` for what `by` does not keep apart, and for a cost that no agent recorded.",
  "`hjk diff --json`: `{ version, branch, base, head, snapshot, uncommitted, files }`: the commits it began with and is at, " +
    "the number of the snapshot with what is in no commit or `null`, the paths of that, and each file that differs " +
    "`{ path, oldPath, status, binary, additions, deletions, oldMode, mode }`. `status` is `added`, `deleted`, " +
    "`modified`, `renamed` or `type changed`; lines are `null` for a binary file.",
  "`hjk review --json`: the same, and `commits`, at most 1000, each `{ oid, author, at, subject }`; `commitCount`, of all; " +
    "`autorun`, each `{ path, reason }`; `links`, each `{ path, target, escapes }`; `large`, each `{ path, bytes }`; " +
    "`submodules`, `executables` and `binary`, paths.",
  "`hjk agents --json`: `{ version, agents }`, each agent `{ name, title, version, inImage, credential, supports }`. " +
    "`version` is `null` for an agent of your own. `credential` is `{ source, kind, where }`; `source` is " +
    "`configuration`, `environment`, `stored`, `unusable` or `none`. `supports` is `{ resume, transcript, activity, " +
    "questions, permissions }`, all `true` or `false` but `activity`: `status-file`, `title` or `null`.",
  "`hjk config --json`: `{ version, file, settings }`, each setting `{ key, value, source, where }`; `source` is " +
    "`default`, `file` or `environment`, `where` the line in the file or the variable's name. With a key: " +
    "`{ version, key, value, source, where }`. Secrets are masked.",
  "`hjk setup --json`: `{ version, commit, setup, profile, isolation, network, dockerfile, devcontainer, approved }`; `profile` and " +
    "`isolation` are `null` where none is asked for that is weaker than your own, `network` is `{ mode, allow }` of what is " +
    "beyond your own, `dockerfile` and `devcontainer` are their texts, or `null`.",
  "`hjk history --json`: `{ version, branch, snapshots }`, each snapshot `{ name, instance, number, takenAt, reason, commit, " +
    "parent, files, leftOut }`; `parent` is the commit that the workspace was at, or `null`.",
  "`hjk net log --json`: `{ version, branch, entries }`, each entry `{ at, event, target, method, path, why, status, bytes, times }`; " +
    "`event` is `allow`, `deny`, `api` or `api-deny`; `status` and `bytes` may be absent.",
  "`hjk ports --json`: `{ version, ports }`, each port `{ port, address, forwarded }`; `address` is `loopback`, `any` or `other`, " +
    "`forwarded` the ports of this machine that lead there. `hjk forward --json`: `{ version, port, hostPort }`, in one line.",
  "`hjk doctor --json`: `{ version, findings }`, each finding `{ what, state, detail, hint }`; `state` is `ok`, " +
    "`warning` or `problem`, and `hint` may be absent.",
  "`hjk version --json`: `{ version, hjk, git, tmux, engine }`; `null` for what was not found.",
];

function fileParts(): string[] {
  const paths = resolvePaths({}, "linux", 1000, home);
  const rows = [
    [paths.configFile, "the configuration"],
    [paths.database, "the store: instances, sessions, locks"],
    [paths.worktrees, "workspaces (`storage.worktrees`)"],
    [paths.logs, "recordings of sessions (`storage.logs`)"],
    [paths.instances, "private git directories and state of the agents, one folder an instance"],
    [paths.hubs, "hubs, one bare repository for each of yours"],
    [paths.runtimeDir, "sockets and pipes of the running sessions"],
    [paths.credentialsFile, "credentials, encrypted, where there is no keychain"],
    [paths.credentialsKey, "their key"],
  ];
  return [
    "## Files",
    table(
      ["Place", ""],
      rows.map(([path = "", what = ""]) => [`\`${path.replace(home, "~")}\``, what]),
    ),
  ];
}

function table(header: string[], rows: string[][]): string {
  return [header, header.map(() => "---"), ...rows].map(tableLine).join("\n");
}

function tableLine(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function fenced(text: string, language = "text"): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

/** Keeps `<branch>` from being taken for HTML, except where it is code. */
function escaped(text: string): string {
  return text.replaceAll(/`[^`]*`|</g, (found) => (found === "<" ? "\\<" : found));
}

if (import.meta.main) {
  const text = await cliDocs();
  if (!process.argv.includes("--check")) await writeFile(page, text);
  else if ((await readFile(page, "utf8").catch(() => "")) !== text) {
    process.stderr.write("error: docs/cli.md is not current\nhint: npm run docs:cli\n");
    process.exitCode = 1;
  }
}
