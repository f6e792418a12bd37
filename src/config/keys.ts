import { isAbsolute, normalize } from "node:path";
import type { Autonomy } from "../agents/agent.ts";
import { findAgent } from "../agents/index.ts";
import { agentVersions } from "../agents/versions.ts";
import { HeadjackError } from "../errors.ts";
import { isolationNames, limitExamples, networkModes, parseLimit, profileNames } from "../hardening.ts";
import { hostName } from "../gateway/rules.ts";
import { didYouMean } from "./nearest.ts";

/** Engines that `runtime.name` accepts; the first is the default. */
export const engineNames = ["docker"] as const;
export type EngineName = (typeof engineNames)[number];

/** What `agents.<name>.autonomy` accepts; the first is the default. */
export const autonomies = ["full", "ask"] as const satisfies readonly Autonomy[];

/** Ways to tell the user of something, for `notify.*`; the first is the default. */
export const notifyWays = ["desktop", "bell", "command"] as const;
export type NotifyWay = (typeof notifyWays)[number];

/** What the rules for values depend on. */
export interface KeyContext {
  /** Those that are built in. */
  agentNames: readonly string[];
  /** Those that the file defines. */
  customAgents?: readonly string[];
  /** The user's home directory, for `~/`. */
  home: string;
  /** Whether it is the file of a repository, which has few keys. */
  ofRepository?: true;
}

export type ConfigValue = string | string[];

/**
 * A value that was understood (`undefined`: given, but as good as absent), or what would have been.
 * `expected` never repeats the value: it may be a secret in the wrong place.
 */
export type Parsed = { value: ConfigValue | undefined } | { expected: string; hint?: string };

/** One key that can have a value. */
export interface KeySpec {
  path: string[];
  /** Environment variable that overrides it. */
  variable?: string;
  /** Whether a YAML list is accepted beside text. */
  list?: true;
  /** Whether numbers and booleans count as the text they are written with. */
  scalars?: true;
  parse: (raw: ConfigValue, context: KeyContext) => Parsed;
}

/** What a path in the file is: a key, a section with keys below, or nothing known. */
export type Lookup =
  | { kind: "key"; spec: KeySpec }
  | { kind: "section" }
  | { kind: "unknown"; known: string[] };

const fixedKeys: KeySpec[] = [
  { path: ["default", "agent"], variable: "HEADJACK_DEFAULT_AGENT", parse: parseAgent },
  { path: ["default", "base_image"], variable: "HEADJACK_BASE_IMAGE", parse: parseImage },
  {
    path: ["image", "agents"],
    variable: "HEADJACK_IMAGE_AGENTS",
    list: true,
    parse: parseAgentList,
  },
  { path: ["storage", "worktrees"], variable: "HEADJACK_WORKTREE_DIR", parse: parseFolder },
  { path: ["storage", "logs"], variable: "HEADJACK_LOG_DIR", parse: parseFolder },
  { path: ["runtime", "name"], variable: "HEADJACK_RUNTIME", parse: parseEngine },
  {
    path: ["runtime", "flags"],
    variable: "HEADJACK_RUNTIME_FLAGS",
    list: true,
    scalars: true,
    parse: parseFlags,
  },
  // No variables: it is the tmux server that sees the events, and its environment is not the user's.
  ...["waiting", "done", "failed"].map((event): KeySpec => ({
    path: ["notify", event],
    list: true,
    parse: parseWays,
  })),
  { path: ["notify", "command"], list: true, scalars: true, parse: parseHostCommand },
  // No variables: a folder's own .envrc must not decide what an agent gets, or what is run.
  { path: ["workspace", "copy"], list: true, parse: parsePatterns },
  { path: ["hooks", "create"], list: true, parse: parseLines },
  { path: ["hooks", "start"], list: true, parse: parseLines },
  { path: ["security", "profile"], parse: (raw) => oneOf(raw, profileNames) },
  { path: ["isolation"], parse: (raw) => oneOf(raw, isolationNames) },
  ...(["memory", "cpus", "pids", "disk"] as const).map((limit): KeySpec => ({
    path: ["limits", limit],
    scalars: true,
    parse: (raw) =>
      typeof raw === "string" && parseLimit(limit, raw) !== undefined
        ? { value: raw }
        : { expected: limitExamples[limit] },
  })),
  { path: ["network", "mode"], parse: (raw) => oneOf(raw, networkModes) },
  { path: ["network", "allow"], list: true, parse: parseHosts },
  { path: ["network", "proxy"], parse: parseProxy },
  { path: ["snapshots", "keep"], variable: "HEADJACK_SNAPSHOTS_KEEP", parse: parseDays },
  { path: ["snapshots", "max"], variable: "HEADJACK_SNAPSHOTS_MAX", scalars: true, parse: parseCount },
  { path: ["snapshots", "max_size"], variable: "HEADJACK_SNAPSHOTS_MAX_SIZE", parse: parseSize },
];

/** Keys of the file in a repository. */
const repositoryKeys: KeySpec[] = [
  { path: ["setup"], list: true, parse: parseLines },
  { path: ["security", "profile"], parse: (raw) => oneOf(raw, profileNames) },
  { path: ["network", "mode"], parse: (raw) => oneOf(raw, networkModes) },
  { path: ["network", "allow"], list: true, parse: parsePublicHosts },
  { path: ["isolation"], parse: (raw) => oneOf(raw, isolationNames) },
];

/** Of a repository: so few that whoever approves them can read them. */
const mostRepositoryHosts = 100;

/** Keys whose names are known beforehand, in the order they are shown: all but `agents.<name>.env.*`. */
export function knownKeys(context: KeyContext): KeySpec[] {
  if (context.ofRepository === true) return repositoryKeys;
  return [
    ...fixedKeys,
    ...context.agentNames.flatMap((agent) => agentKeys(agent)),
    ...(context.customAgents ?? []).flatMap((agent) => customAgentKeys(agent)),
  ];
}

/** Every agent that there is, the built-in ones first. */
export function allAgentNames({ agentNames, customAgents = [] }: KeyContext): string[] {
  return [...agentNames, ...customAgents];
}

/** Finds out what a path is. */
export function lookup(path: readonly string[], context: KeyContext): Lookup {
  const spec = knownKeys(context).find((key) => key.path.join("\0") === path.join("\0"));
  if (spec !== undefined) return { kind: "key", spec };
  const [root, agent, group, variable] = path;
  if (root === "agents" && agent !== undefined) {
    const known = allAgentNames(context).includes(agent);
    if (known && group === "env") {
      if (variable === undefined) return { kind: "section" };
      if (path.length === 4) return { kind: "key", spec: envKey(agent, variable) };
    }
    // What makes a new agent.
    if (!known && group === "command" && path.length === 3 && context.ofRepository !== true)
      return { kind: "key", spec: commandKey(agent) };
  }
  if (childrenOf(path, context).length > 0) return { kind: "section" };
  return { kind: "unknown", known: childrenOf(path.slice(0, -1), context) };
}

/** What a key given as `a.b.c` is; refuses what can have no value, with what was probably meant. */
export function keyNamed(key: string, context: KeyContext): KeySpec {
  const path = key.split(".");
  const found = lookup(path, context);
  if (found.kind === "key") return found.spec;
  if (found.kind === "section") {
    const example = key.endsWith(".env") ? "NAME" : (childrenOf(path, context)[0] ?? "NAME");
    throw new HeadjackError(`"${key}" is a section; a value belongs to a key in it.`, {
      kind: "usage",
      hints: [`For example: ${key}.${example}`],
    });
  }
  throw new HeadjackError(`Unknown configuration key "${key}".`, {
    kind: "usage",
    hints: unknownKeyHints(path, context),
  });
}

/** Hints for a path that is not known: what it was in earlier times, or near names. */
export function unknownKeyHints(path: readonly string[], context: KeyContext): string[] {
  const key = path.join(".");
  if (key === "storage.catalog") {
    return ["Headjack keeps its records in a database of its own now: remove this key."];
  }
  const ofOther = otherAgentHint(path, context);
  if (ofOther !== undefined) return [ofOther];
  const all = knownKeys(context).map((spec) => spec.path.join("."));
  if (context.ofRepository !== true) all.push("agents.<name>.env.NAME");
  const siblings = childrenOf(path.slice(0, -1), context).map((name) =>
    [...path.slice(0, -1), name].join("."),
  );
  const near = didYouMean(key, [...siblings, ...all]);
  const [root, agent] = path;
  const hints = near === undefined ? [] : [`Did you mean "${near}"?`];
  if (
    root === "agents" &&
    agent !== undefined &&
    context.ofRepository !== true &&
    !allAgentNames(context).includes(agent)
  ) {
    hints.push(`An agent of your own needs agents.${agent}.command.`);
  }
  return hints.length === 0 ? [`Known keys: ${all.join(", ")}.`] : hints;
}

/** What to do in place of a key that agents of the other sort have. */
function otherAgentHint(
  path: readonly string[],
  { agentNames, customAgents = [] }: KeyContext,
): string | undefined {
  const [root, agent = "", key = ""] = path;
  if (root !== "agents" || path.length !== 3) return undefined;
  if (agentNames.includes(agent) && (key === "command" || key === "resume")) {
    return `Headjack knows how to start ${agent}; further arguments of it go into agents.${agent}.args.`;
  }
  if (customAgents.includes(agent) && (key === "base_url" || key === "autonomy")) {
    return `How ${agent} is told of that only you know: put it into its command, or into agents.${agent}.env.`;
  }
  return undefined;
}

function childrenOf(path: readonly string[], context: KeyContext): string[] {
  const names = knownKeys(context)
    .filter((spec) => spec.path.length > path.length && path.every((part, i) => spec.path[i] === part))
    .map((spec) => spec.path[path.length] ?? "");
  const [root, agent] = path;
  if (
    path.length === 2 &&
    root === "agents" &&
    agent !== undefined &&
    allAgentNames(context).includes(agent)
  ) {
    names.push("env");
  }
  return [...new Set(names)];
}

function agentKeys(agent: string): KeySpec[] {
  const key = (name: string, parse: KeySpec["parse"]): KeySpec => ({
    path: ["agents", agent, name],
    variable: `HEADJACK_${agent}_${name}`.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_"),
    parse,
  });
  return [
    key("base_url", parseUrl),
    key("autonomy", (raw) => oneOf(raw, autonomies)),
    { ...key("args", parseFlags), list: true, scalars: true },
    // No variable: a folder's own .envrc must not decide who is shown what a login is renewed with.
    ...(findAgent(agent)?.login === undefined
      ? []
      : [{ path: ["agents", agent, "token_url"], parse: parseUrl }]),
    ...(Object.hasOwn(agentVersions, agent) ? [key("version", parseVersion)] : []),
  ];
}

/** An agent of the user's own is known by its command; all else about it is in there or in its `env`. */
function customAgentKeys(agent: string): KeySpec[] {
  const resume: KeySpec = { ...commandKey(agent), path: ["agents", agent, "resume"] };
  return [commandKey(agent), resume, ...agentKeys(agent).filter((spec) => spec.path[2] === "args")];
}

function commandKey(agent: string): KeySpec {
  return {
    path: ["agents", agent, "command"],
    list: true,
    scalars: true,
    parse: (raw) => {
      // The name is a word of commands, a folder in the container, and a session's type.
      if (!/^[a-z][a-z0-9-]{0,31}$/.test(agent) || agent === "shell") {
        return { expected: "an agent's name of lower-case letters, digits and dashes, other than shell" };
      }
      return parseCommand(raw);
    },
  };
}

function envKey(agent: string, variable: string): KeySpec {
  return {
    path: ["agents", agent, "env", variable],
    scalars: true,
    parse: (raw) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
        return { expected: "a variable's name of letters, digits and underscores" };
      }
      if (typeof raw !== "string" || raw.includes("\0")) return { expected: "a text" };
      return { value: raw };
    },
  };
}

function parseAgent(raw: ConfigValue, context: KeyContext): Parsed {
  if (raw === "") return { value: undefined };
  return oneOf(raw, allAgentNames(context));
}

/** In the order in which they are listed, so that the same agents always make the same image. */
function parseAgentList(raw: ConfigValue, { agentNames }: KeyContext): Parsed {
  const names = typeof raw === "string" ? raw.split(/[\s,]+/).filter((name) => name !== "") : raw;
  for (const name of names) {
    const result = oneOf(name, agentNames);
    if ("expected" in result) return { ...result, expected: `a list of agents, each ${result.expected}` };
  }
  return { value: agentNames.filter((name) => names.includes(name)) };
}

/** One version exactly, as npm writes it: a name such as `latest` would mean another one every day. */
function parseVersion(raw: ConfigValue): Parsed {
  if (raw === "") return { value: undefined };
  const exact = /^\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z-]{1,30}(?:\.[0-9A-Za-z-]{1,30}){0,9})?$/;
  if (typeof raw === "string" && exact.test(raw)) return { value: raw };
  return { expected: "one exact version, such as 1.2.3" };
}

function parseEngine(raw: ConfigValue): Parsed {
  return oneOf(raw, engineNames);
}

function oneOf(raw: ConfigValue, names: readonly string[]): Parsed {
  if (typeof raw === "string" && names.includes(raw)) return { value: raw };
  const near = typeof raw === "string" ? didYouMean(raw, names) : undefined;
  const expected = names.length === 1 ? `"${names[0]}"` : `one of ${names.join(", ")}`;
  return { expected, ...(near === undefined ? {} : { hint: `Did you mean "${near}"?` }) };
}

/** An image, or the place to build one from. Strict enough that it can never be taken for an option of the engine's client. */
function parseImage(raw: ConfigValue, context: KeyContext): Parsed {
  if (raw === "") return { value: undefined };
  if (typeof raw === "string" && /^[~/]/.test(raw)) return parseFolder(raw, context);
  if (typeof raw === "string" && /^[A-Za-z0-9][\w./:@-]{0,511}$/.test(raw)) return { value: raw };
  return {
    expected: "the name of an image, such as debian:12 or registry.example.com/team/image:tag",
    hint: "Or the absolute path of a Dockerfile or its folder.",
  };
}

function parseFolder(raw: ConfigValue, { home }: KeyContext): Parsed {
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (typeof raw !== "string" || /[\0-\x1f\x7f]/.test(raw)) return { expected: "the path of a folder" };
  const path = raw === "~" || raw.startsWith("~/") ? home + raw.slice(1) : raw;
  if (isAbsolute(path)) return { value: normalize(path).replace(/(?<=.)\/+$/, "") };
  return { expected: "an absolute path", hint: "`~/` at the start is understood; variables are not." };
}

/**
 * Text is split at white space and not as a shell would; quotes, which would mean something to a
 * shell, are refused rather than passed on as part of a flag.
 */
function parseFlags(raw: ConfigValue): Parsed {
  return parseWords(raw, "flags");
}

function parseWords(raw: ConfigValue, what: "flags" | "words"): Parsed {
  if (typeof raw === "string" && raw.trimStart().startsWith("[")) {
    return {
      expected: `${what} with spaces between them, not a list as one text`,
      hint: 'As in: hjk config runtime.flags -- "--memory 4g". In config.yaml, a list goes without quotes around it.',
    };
  }
  if (typeof raw === "string" && /["']/.test(raw)) {
    return {
      expected: `${what} without quotes, since text is split at every space`,
      hint: 'In config.yaml, write a list, one item a word: ["--label", "note=two words"].',
    };
  }
  const flags = typeof raw === "string" ? raw.split(/\s+/).filter((flag) => flag !== "") : raw;
  if (flags.some((flag) => flag === "" || flag.includes("\0"))) {
    return { expected: `a list of ${what}, none of them empty` };
  }
  return { value: flags };
}

/** A program and its arguments. */
function parseCommand(raw: ConfigValue): Parsed {
  const words = parseWords(raw, "words");
  const program = "value" in words ? words.value?.[0] : "";
  if (program !== undefined && !/^[-{]/.test(program)) return words;
  return { expected: "a list of words, the first of them a program" };
}

/** A command of the host, which is run in no certain folder. */
function parseHostCommand(raw: ConfigValue): Parsed {
  if (raw.length === 0) return { value: [] };
  const words = parseCommand(raw);
  const program = "value" in words ? (words.value?.[0] ?? "") : "";
  if (!program.includes("/") || /^(~?)\//.test(program)) return words;
  return { expected: "a program by its name or its absolute path", hint: "`~/` at its start is understood." };
}

/** Lines of shell; a text is one. */
function parseLines(raw: ConfigValue): Parsed {
  const lines = typeof raw !== "string" ? raw : raw.trim() === "" ? [] : [raw];
  if (lines.every((line) => line.trim() !== "" && !line.includes("\0"))) return { value: lines };
  return { expected: "a command as for a shell, or a list of such, none of them empty" };
}

/** Patterns as in .gitignore. */
function parsePatterns(raw: ConfigValue): Parsed {
  const patterns = typeof raw === "string" ? raw.split(/\s+/).filter((pattern) => pattern !== "") : raw;
  if (patterns.every((pattern) => /^[^\0\n]{1,1000}$/.test(pattern) && !/^!?\/?\.\.?(\/|$)/.test(pattern)))
    return { value: patterns };
  return { expected: "paths or patterns in the repository, as in .gitignore: .env config/*.local.json" };
}

function isHost(text: string): boolean {
  const [, star, name = "", port] = /^(\*\.)?([^:*]+)(?::([1-9]\d{0,4}))?$/.exec(text) ?? [];
  if (hostName(name) === undefined || Number(port ?? 1) > 65_535) return false;
  return star === undefined || name.includes(".");
}

/** Names of hosts, `*.` before one for all below it, `:PORT` behind it for another port than those of the web. */
export function parseHosts(raw: ConfigValue): Parsed {
  const hosts = typeof raw === "string" ? raw.split(/[\s,]+/).filter((host) => host !== "") : raw;
  const clean = hosts.map((host) => host.toLowerCase());
  if (clean.every((host) => isHost(host))) return { value: [...new Set(clean)] };
  return {
    expected: "names of hosts, such as example.com, *.example.com or example.com:8443",
    hint: "A name, not an address: no https:// before it, no path behind it, and no number in place of a name.",
  };
}

/** Hosts of a repository's: none that only a private network knows. */
function parsePublicHosts(raw: ConfigValue): Parsed {
  const parsed = parseHosts(raw);
  if (!("value" in parsed) || !Array.isArray(parsed.value)) return parsed;
  if (parsed.value.length > mostRepositoryHosts) return { expected: `at most ${mostRepositoryHosts} hosts` };
  if (parsed.value.every((host) => host.includes("."))) return parsed;
  return {
    expected: "names of public hosts, which have a dot",
    hint: "What lies in a private network only a user can allow: hjk config network.allow",
  };
}

function parseWays(raw: ConfigValue): Parsed {
  const words = typeof raw === "string" ? raw.split(/\s+/).filter((word) => word !== "") : raw;
  for (const word of words) {
    const way = oneOf(word, notifyWays);
    if ("expected" in way) return { ...way, expected: `a list out of ${notifyWays.join(", ")}` };
  }
  return { value: [...new Set(words)] };
}

/** A number of hours, days or weeks, as `daysToMs` reads it. */
function parseDays(raw: ConfigValue): Parsed {
  if (typeof raw === "string" && daysToMs(raw) !== undefined) return { value: raw };
  return { expected: "a time such as 30d, 2w or 12h" };
}

/** Milliseconds of a time such as `30d`. */
export function daysToMs(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,3})([hdw])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return Number(count) * ({ h: 1, d: 24, w: 168 }[unit] ?? 0) * 3_600_000;
}

function parseCount(raw: ConfigValue): Parsed {
  if (typeof raw === "string" && /^[1-9]\d{0,3}$/.test(raw)) return { value: raw };
  return { expected: "a number from 1 to 9999" };
}

function parseSize(raw: ConfigValue): Parsed {
  if (typeof raw === "string" && sizeToBytes(raw) !== undefined) return { value: raw };
  return { expected: "a size such as 500m or 2g" };
}

/** Bytes of a size such as `500m`. */
export function sizeToBytes(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,4})([mg])$/i.exec(text) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return Number(count) * 1024 ** (unit.toLowerCase() === "g" ? 3 : 2);
}

/** A proxy for the gateways, or `direct` in spite of the variables for one. */
function parseProxy(raw: ConfigValue): Parsed {
  if (raw === "" || raw === "direct") return { value: raw === "" ? undefined : raw };
  const expected = "the address of a proxy such as http://proxy.example.com:3128, or direct";
  if (typeof raw !== "string" || !/^http:\/\/[^\s\\/?#]+\/?$/i.test(raw)) return { expected };
  if (raw.includes("@")) {
    return {
      expected: "an address without a user name or password in it",
      hint: "With these, say it by the variable HTTPS_PROXY before you call hjk: it is kept nowhere.",
    };
  }
  return URL.canParse(raw) ? { value: raw } : { expected };
}

function parseUrl(raw: ConfigValue): Parsed {
  if (raw === "") return { value: undefined };
  const expected = "an address such as https://models.example.com";
  if (typeof raw !== "string" || !/^https?:\/\/[^\s\\]+$/i.test(raw)) return { expected };
  const url = URL.parse(raw);
  if (url === null || url.hostname === "") return { expected };
  if (url.username !== "" || url.password !== "") {
    return {
      expected: "an address without a user name or password in it",
      hint: "Store the credential with `hjk auth`, which keeps it out of files and logs.",
    };
  }
  if (/[?#]/.test(raw)) return { expected: "an address without `?` or `#`" };
  return { value: raw.replace(/\/+$/, "") };
}
