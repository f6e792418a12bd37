import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import type { Autonomy } from "../agents/agent.ts";
import { agentVersions, defaultImageAgents } from "../agents/versions.ts";
import { HeadjackError } from "../errors.ts";
import {
  defaultIsolation,
  defaultProfile,
  type HardeningSettings,
  isolationNames,
  type NetworkMode,
  networkModes,
  parseLimit,
  profileNames,
} from "../hardening.ts";
import type { Paths } from "../store/paths.ts";
import type { FileValue } from "./document.ts";
import {
  allAgentNames,
  autonomies,
  type ConfigValue,
  daysToMs,
  sizeToBytes,
  type EngineName,
  engineNames,
  type KeyContext,
  keyNamed,
  type KeySpec,
  knownKeys,
  type NotifyWay,
  notifyWays,
} from "./keys.ts";

/** What a user can set for one agent. */
export interface AgentConfig {
  /** Environment of its process; may hold secrets. */
  env: Record<string, string>;
  /** Address of the model's API, for a company's gateway or a stand-in; without a slash at its end. */
  baseUrl?: string;
  /** Where its login is renewed, for a stand-in. */
  tokenUrl?: string;
  /** Whether it may do everything unasked. */
  autonomy: Autonomy;
  /** Further arguments of its command. */
  args: string[];
  /** Of an agent of the user's own: how it is started, and how it goes on with its last conversation. */
  custom?: { command: string[]; resume?: string[] };
  /** Version in the base image; absent for an agent that it cannot hold. */
  version?: string;
}

export interface Config {
  default: {
    /** Agent of `--agent` without a name; the first known one unless the user has chosen another. */
    agent?: string;
    /** Image of new instances; absent: Headjack's own. */
    baseImage?: string;
  };
  /** Agents that the base image holds. */
  image: { agents: string[] };
  /** Absolute folders. */
  storage: { worktrees: string; logs: string };
  runtime: { name: EngineName; flags: string[] };
  notify: Record<"waiting" | "done" | "failed", NotifyWay[]> & {
    /** Words of the command that is run; empty for none. */
    command: string[];
  };
  /** Patterns of the files that git does not carry and a new workspace gets. */
  workspace: { copy: string[] };
  /** Lines of shell that set an instance up. */
  hooks: { create: string[]; start: string[] };
  /** What every new container may do and use. */
  hardening: HardeningSettings;
  /** What instances may reach through their gateways, beside what their tools are set to. */
  network: {
    mode: NetworkMode;
    allow: string[];
    /** Proxy that the gateways go out through, or `direct`; absent: as the environment says. */
    proxy?: string;
  };
  /** How long, and how many of each instance, snapshots are kept, and how large one may be. */
  snapshots: { keepMs: number; max: number; maxBytes: number };
  /** One for every agent, those of the user's own last. */
  agents: Record<string, AgentConfig>;
  /** Every value with where it came from, for people: secrets are masked. */
  entries: () => ConfigEntry[];
}

export interface ConfigEntry {
  key: string;
  /** Absent where there is neither a value nor a default. */
  value?: ConfigValue;
  source: "default" | "environment" | "file";
  /** `config.yaml:3:5`, or the variable's name. */
  where?: string;
}

/** What the keys and their defaults depend on. */
export interface ConfigContext {
  /** Those that are built in. */
  agentNames: readonly string[];
  paths: Pick<Paths, "home" | "worktrees" | "logs">;
}

export interface LoadOptions extends ConfigContext {
  file: string;
  env: Record<string, string | undefined>;
}

/** Bytes; anything larger is not a configuration, and YAML of that size takes seconds to parse. */
const maxFileBytes = 1024 * 1024;

/**
 * Reads the configuration: environment before file before default. The YAML parser is loaded only
 * when there is a file, because it costs more than all other start-up work together.
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  let context = keyContext(options);
  const text = await readConfigText(options.file);
  let inFile: ReadonlyMap<string, FileValue> = new Map();
  if (text !== undefined) {
    const { parseConfig, readValues, withCustomAgents } = await import("./document.ts");
    const parsed = parseConfig(text, options.file);
    context = withCustomAgents(parsed, context);
    inFile = readValues(parsed, context);
  }
  const entries = new Map<string, ConfigEntry>();
  const specs = knownKeys(context);
  for (const spec of specs) {
    entries.set(spec.path.join("."), resolveEntry(spec, options, context, inFile.get(spec.path.join("."))));
  }
  for (const [key, found] of inFile) {
    if (entries.has(key)) continue;
    entries.set(key, { key, value: found.value, source: "file", where: placeOf(options.file, found) });
  }
  return typed(entries, context);
}

/** One value of the configuration; refuses a key that does not exist. */
export function getConfig(config: Config, key: string, options: ConfigContext): ConfigEntry {
  const customAgents = Object.keys(config.agents).filter((name) => !options.agentNames.includes(name));
  keyNamed(key, { ...keyContext(options), customAgents });
  return config.entries().find((entry) => entry.key === key) ?? { key, source: "default" };
}

/**
 * Writes one value, after checking it and the file it goes to; comments, order and everything else
 * in the file stay. Text for a list is split at spaces.
 */
export async function setConfig(
  file: string,
  key: string,
  value: string,
  options: ConfigContext,
): Promise<void> {
  const text = (await readConfigText(file)) ?? "";
  const { parseConfig, withCustomAgents } = await import("./document.ts");
  const context = withCustomAgents(parseConfig(text, file), keyContext(options));
  const spec = keyNamed(key, context);
  const parsed = checked(spec, value, context, key);
  const { setInText } = await import("./edit.ts");
  // Folders are kept as typed, so that `~/` goes with the user to another machine.
  const written = spec.list === true && Array.isArray(parsed) ? parsed : value;
  setInText({ file, text, path: spec.path, value: written, context });
}

/**
 * Removes one value; false when it was not in the file. The key need not be a known one, so that a
 * file with a wrong key can be repaired.
 */
export async function unsetConfig(file: string, key: string): Promise<boolean> {
  const text = await readConfigText(file);
  if (text === undefined) return false;
  const { unsetInText } = await import("./edit.ts");
  return unsetInText(file, text, key.split("."));
}

function keyContext(options: ConfigContext): KeyContext {
  return { agentNames: options.agentNames, home: options.paths.home };
}

function resolveEntry(
  spec: KeySpec,
  options: LoadOptions,
  context: KeyContext,
  inFile: FileValue | undefined,
): ConfigEntry {
  const key = spec.path.join(".");
  const fromEnv = spec.variable === undefined ? undefined : options.env[spec.variable];
  if (spec.variable !== undefined && fromEnv !== undefined && fromEnv !== "") {
    const value = checked(spec, fromEnv, context, `${spec.variable} (environment)`);
    return entryOf(key, value, "environment", spec.variable);
  }
  const value = inFile === undefined ? undefined : checked(spec, inFile.value, context, key);
  if (inFile !== undefined && value !== undefined) {
    return entryOf(key, value, "file", placeOf(options.file, inFile));
  }
  return entryOf(key, defaultOf(key, options), "default");
}

function entryOf(
  key: string,
  value: ConfigValue | undefined,
  source: ConfigEntry["source"],
  where?: string,
): ConfigEntry {
  return {
    key,
    ...(value === undefined ? {} : { value }),
    source,
    ...(where === undefined ? {} : { where }),
  };
}

function defaultOf(key: string, { paths, agentNames }: ConfigContext): ConfigValue | undefined {
  if (key === "default.agent") return agentNames[0];
  if (key === "image.agents") return [...defaultImageAgents];
  if (key === "storage.worktrees") return paths.worktrees;
  if (key === "storage.logs") return paths.logs;
  if (key === "runtime.name") return engineNames[0];
  if (key === "security.profile") return defaultProfile;
  if (key === "isolation") return defaultIsolation;
  if (key === "network.mode") return networkModes[0];
  if (key === "snapshots.keep") return "30d";
  if (key === "snapshots.max") return "50";
  if (key === "snapshots.max_size") return "1g";
  if (/^agents\.[^.]+\.autonomy$/.test(key)) return autonomies[0];
  if (/^notify\.(waiting|done|failed)$/.test(key)) return [notifyWays[0]];
  const versionOf = /^agents\.([^.]+)\.version$/.exec(key)?.[1];
  if (versionOf !== undefined)
    return Object.hasOwn(agentVersions, versionOf) ? agentVersions[versionOf] : undefined;
  const empty = [
    "network.allow",
    "runtime.flags",
    "notify.command",
    "workspace.copy",
    "hooks.create",
    "hooks.start",
  ];
  return empty.includes(key) ? [] : undefined;
}

function checked(
  spec: KeySpec,
  raw: ConfigValue,
  context: KeyContext,
  name: string,
): ConfigValue | undefined {
  const result = spec.parse(raw, context);
  if ("value" in result) return result.value;
  const hints = result.hint === undefined ? [] : [result.hint];
  throw new HeadjackError(`${name}: expected ${result.expected}.`, { kind: "usage", hints });
}

function placeOf(file: string, { line, column }: FileValue): string {
  return `${basename(file)}:${line}:${column}`;
}

function typed(entries: ReadonlyMap<string, ConfigEntry>, context: KeyContext): Config {
  const text = (key: string): string | undefined => {
    const value = entries.get(key)?.value;
    return typeof value === "string" ? value : undefined;
  };
  const list = (key: string): string[] => {
    const value = entries.get(key)?.value;
    return Array.isArray(value) ? [...value] : [];
  };
  const ways = (key: string): NotifyWay[] => notifyWays.filter((way) => list(key).includes(way));
  const agent = text("default.agent");
  const proxy = text("network.proxy");
  const baseImage = text("default.base_image");
  const agents = allAgentNames(context).map((name): [string, AgentConfig] => {
    const prefix = `agents.${name}.env.`;
    const variables = [...entries.keys()].filter((key) => key.startsWith(prefix));
    const env = Object.fromEntries(variables.map((key) => [key.slice(prefix.length), text(key) ?? ""]));
    const baseUrl = text(`agents.${name}.base_url`);
    const tokenUrl = text(`agents.${name}.token_url`);
    const command = list(`agents.${name}.command`);
    const resume = list(`agents.${name}.resume`);
    const version = text(`agents.${name}.version`);
    return [
      name,
      {
        env,
        autonomy: autonomies.find((value) => value === text(`agents.${name}.autonomy`)) ?? autonomies[0],
        args: list(`agents.${name}.args`),
        ...(baseUrl === undefined ? {} : { baseUrl }),
        ...(tokenUrl === undefined ? {} : { tokenUrl }),
        ...(command.length === 0 ? {} : { custom: { command, ...(resume.length === 0 ? {} : { resume }) } }),
        ...(version === undefined ? {} : { version }),
      },
    ];
  });
  return {
    default: { ...(agent === undefined ? {} : { agent }), ...(baseImage === undefined ? {} : { baseImage }) },
    image: { agents: list("image.agents") },
    storage: { worktrees: text("storage.worktrees") ?? "", logs: text("storage.logs") ?? "" },
    runtime: {
      name: engineNames.find((name) => name === text("runtime.name")) ?? engineNames[0],
      flags: list("runtime.flags"),
    },
    notify: {
      waiting: ways("notify.waiting"),
      done: ways("notify.done"),
      failed: ways("notify.failed"),
      command: list("notify.command").map((word, index) =>
        index === 0 && word.startsWith("~/") ? context.home + word.slice(1) : word,
      ),
    },
    workspace: { copy: list("workspace.copy") },
    hooks: { create: list("hooks.create"), start: list("hooks.start") },
    hardening: hardeningOf(text),
    network: {
      mode: networkModes.find((mode) => mode === text("network.mode")) ?? networkModes[0],
      allow: list("network.allow"),
      ...(proxy === undefined ? {} : { proxy }),
    },
    snapshots: {
      keepMs: daysToMs(text("snapshots.keep") ?? "") ?? 0,
      max: Number(text("snapshots.max")),
      maxBytes: sizeToBytes(text("snapshots.max_size") ?? "") ?? 0,
    },
    agents: Object.fromEntries(agents),
    entries: () => [...entries.values()].map(masked),
  };
}

function hardeningOf(text: (key: string) => string | undefined): HardeningSettings {
  const profile = profileNames.find((name) => name === text("security.profile"));
  const limits = (["memory", "cpus", "pids", "disk"] as const).flatMap((limit) => {
    const value = parseLimit(limit, text(`limits.${limit}`) ?? "");
    return value === undefined ? [] : [[limit, value] as const];
  });
  const isolation = isolationNames.find((name) => name === text("isolation"));
  return {
    ...(profile === undefined ? {} : { profile }),
    ...(isolation === undefined ? {} : { isolation }),
    ...Object.fromEntries(limits),
  };
}

const mask = "********";
const secretName = /KEY|TOKEN|SECRET|PASSWORD/i;

function masked(entry: ConfigEntry): ConfigEntry {
  const { key, value } = entry;
  if (typeof value === "string" && /^agents\.[^.]+\.env\./.test(key)) {
    return secretName.test(key.split(".").slice(3).join(".")) ? { ...entry, value: mask } : { ...entry };
  }
  if (!Array.isArray(value)) return { ...entry };
  // Flags such as `--env API_KEY=value`.
  const hidden = /(\w*(?:KEY|TOKEN|SECRET|PASSWORD)\w*=).+$/i;
  return { ...entry, value: value.map((flag) => flag.replace(hidden, `$1${mask}`)) };
}

/** The text of the file; `undefined` when there is none. */
async function readConfigText(file: string): Promise<string | undefined> {
  const bytes = await readLimited(file);
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new HeadjackError(`${file} is not valid UTF-8 text.`, { kind: "usage" });
  }
}

async function readLimited(file: string): Promise<Uint8Array | undefined> {
  let what = "cannot be read";
  try {
    // Not to wait for a writer if somebody put a named pipe there.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const info = await handle.stat();
    if (!info.isFile()) what = "is not a file";
    else if (info.size > maxFileBytes) what = "is larger than 1 MB, so it is not a configuration";
    else return await handle.readFile();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "EACCES" || code === "EPERM") what = "cannot be read: permission denied";
    else if (code !== "") what = `cannot be read (${code})`;
    const hints = [`Look at it with: ls -l ${file}`];
    throw new HeadjackError(`${file} ${what}.`, { kind: "usage", hints, cause: error });
  }
  throw new HeadjackError(`${file} ${what}.`, { kind: "usage", hints: ["Move it away and start again."] });
}
