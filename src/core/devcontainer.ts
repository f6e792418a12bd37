import { posix } from "node:path";
import { HeadjackError } from "../errors.ts";
import { shellQuote } from "../drivers/process.ts";
import { workspaceTarget } from "../drivers/instance-files.ts";
import type { Hooks } from "./set-up.ts";

/** What is taken of a repository's devcontainer.json; all else would reach this machine, or widen what a container may do. */
export interface Devcontainer {
  /** Its path in the repository. */
  file: string;
  from:
    | { image: string }
    /** Paths in the repository. */
    | { dockerfile: string; context: string; target?: string; args: Record<string, string> };
  /** Settings that the CLI of dev containers builds with, where there are features. */
  features?: Record<string, unknown>;
  settings: ContainerSettings;
  /** What is not done, for people. */
  leftOut: string[];
}

/** How its containers are to be set up, all of it inside. */
export interface ContainerSettings {
  hooks: Hooks;
  environment: Record<string, string>;
  /** The user that its author works as. */
  user: string;
}

type Json = Record<string, unknown>;

/** Keys that have an effect outside of the container, or give it more rights: never done, and said so. */
const refused: Record<string, string> = {
  initializeCommand: "initializeCommand, which would run on this machine",
  mounts: "mounts",
  runArgs: "runArgs",
  privileged: "privileged",
  capAdd: "capAdd",
  securityOpt: "securityOpt",
  appPort: "appPort",
  remoteEnv: "remoteEnv",
  postAttachCommand: "postAttachCommand",
};

/**
 * Reads a devcontainer.json of a repository; `read` gives the text of its other files. Whoever wrote it may be
 * hostile: what is not known to stay inside of the container is not taken.
 */
export async function readDevcontainer(
  file: string,
  text: string,
  read: (path: string) => Promise<string | undefined>,
): Promise<Devcontainer> {
  const raw = parse(file, text);
  const leftOut = Object.entries(refused)
    .filter(([key]) => ![undefined, null, false].includes(raw[key] as undefined))
    .map(([, what]) => what);
  const variables = [...text.matchAll(/\$\{(?:localEnv|env):(\w+)/g)].map(([, name = ""]) => name);
  if (variables.length > 0) leftOut.push(`variables of this machine (${[...new Set(variables)].join(", ")})`);
  const config = substituted(raw) as Json;
  const folder = posix.dirname(file);
  const found =
    config["dockerComposeFile"] === undefined
      ? { from: fromOf(file, folder, config), environment: {} }
      : await fromCompose(file, folder, config, read, leftOut);
  const build = isObject(config["build"]) ? config["build"] : {};
  for (const key of ["options", "cacheFrom"]) if (build[key] !== undefined) leftOut.push(`build.${key}`);
  const features = isObject(config["features"]) ? config["features"] : {};
  for (const name of Object.keys(features)) {
    // A folder of the repository's, which the builder gets whole.
    if (name.startsWith(".")) within(file, folder, name);
    else if (name.startsWith("/") || name.startsWith("-"))
      throw new HeadjackError(`${file} names no feature by ${JSON.stringify(name)}.`, { hints: withoutIt });
  }
  const own = settingsOf([config]);
  return {
    file,
    from: found.from,
    ...(Object.keys(features).length === 0 ? {} : { features: featureConfig(config, features) }),
    settings: { ...own, environment: { ...found.environment, ...own.environment } },
    leftOut,
  };
}

function parse(file: string, text: string): Json {
  let value: unknown;
  try {
    value = Bun.JSONC.parse(text);
  } catch (error) {
    throw new HeadjackError(`${file} is no JSON with comments.`, { cause: error, hints: withoutIt });
  }
  if (isObject(value)) return value;
  throw new HeadjackError(`${file} holds no object.`, { hints: withoutIt });
}

const withoutIt = ["Go on without it: --no-devcontainer"];

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** Variables as they are inside. Those of this machine have their default, or are empty. */
function substituted(value: unknown): unknown {
  if (typeof value === "string") {
    return value.replaceAll(
      /\$\{([^}:]+)(?::([^}:]*))?(?::([^}]*))?\}/g,
      (whole, name: string, of: string, or) => {
        if (name === "localEnv" || name === "env") return typeof or === "string" ? or : "";
        if (name === "containerEnv") return `\${${of}}`;
        if (name === "containerWorkspaceFolder" || name === "localWorkspaceFolder") return workspaceTarget;
        if (/^(?:container|local)WorkspaceFolderBasename$/.test(name)) return posix.basename(workspaceTarget);
        return name === "devcontainerId" ? "headjack" : whole;
      },
    );
  }
  if (Array.isArray(value)) return value.map((one) => substituted(one));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, substituted(one)]));
}

function fromOf(file: string, folder: string, config: Json): Devcontainer["from"] {
  const image = text(config["image"]);
  const build = isObject(config["build"]) ? config["build"] : {};
  const dockerfile = text(build["dockerfile"]) ?? text(config["dockerFile"]);
  if (dockerfile !== undefined) {
    return fromBuild(file, folder, {
      ...build,
      dockerfile,
      context: text(build["context"]) ?? text(config["context"]) ?? posix.dirname(dockerfile),
    });
  }
  if (image !== undefined) return { image: checkedImage(file, image) };
  throw new HeadjackError(`${file} names no image, Dockerfile or compose file.`, { hints: withoutIt });
}

/** Of a `build` section. What leads out of the repository is refused: it would be files of this machine. */
function fromBuild(file: string, folder: string, build: Json): Devcontainer["from"] {
  const context = within(file, folder, text(build["context"]) ?? ".");
  const dockerfile = within(file, folder, text(build["dockerfile"]) ?? "Dockerfile");
  const target = text(build["target"]);
  const args = isObject(build["args"]) ? build["args"] : {};
  return {
    dockerfile,
    context,
    args: texts(args),
    ...(target === undefined ? {} : { target: word(file, target) }),
  };
}

function within(file: string, folder: string, path: string): string {
  const joined = posix.normalize(posix.join(folder, path)).replace(/\/+$/, "");
  if (!posix.isAbsolute(path) && !/^[a-z]+:\/\//.test(path) && joined !== ".." && !joined.startsWith("../"))
    return joined;
  throw new HeadjackError(`${file} leads out of the repository: ${JSON.stringify(path)}.`, {
    hints: withoutIt,
  });
}

function word(file: string, name: string): string {
  if (/^\w[\w.-]{0,127}$/.test(name)) return name;
  throw new HeadjackError(`${file} names no stage of a build by ${JSON.stringify(name)}.`, {
    hints: withoutIt,
  });
}

function checkedImage(file: string, image: string): string {
  if (/^[A-Za-z0-9][\w./:@-]{0,511}$/.test(image)) return image;
  throw new HeadjackError(`${file} names no image by ${JSON.stringify(image)}.`, { hints: withoutIt });
}

/** The image of the service that the user works in; its other services are not started. */
async function fromCompose(
  file: string,
  folder: string,
  config: Json,
  read: (path: string) => Promise<string | undefined>,
  leftOut: string[],
): Promise<{ from: Devcontainer["from"]; environment: Record<string, string> }> {
  const { parse: parseYaml } = await import("yaml");
  const files = [config["dockerComposeFile"]].flat().map((path) => within(file, folder, text(path) ?? ""));
  const name = text(config["service"]) ?? "";
  let service: Json = {};
  const others = new Set<string>();
  for (const path of files) {
    const content = await read(path);
    if (content === undefined)
      throw new HeadjackError(`${file} names ${path}, which is not there.`, { hints: withoutIt });
    const parsed: unknown = substitutedCompose(parseYaml(content, { maxAliasCount: 100 }));
    const services = isObject(parsed) && isObject(parsed["services"]) ? parsed["services"] : {};
    for (const [key, value] of Object.entries(services)) {
      if (key !== name) others.add(key);
      else if (isObject(value)) service = { ...service, ...value };
    }
  }
  if (others.size > 0) leftOut.push(`the services ${[...others].join(", ")}`);
  const taken = new Set(["image", "build", "environment", "command", "entrypoint", "working_dir"]);
  const kept = Object.keys(service).filter((key) => !taken.has(key));
  if (kept.length > 0) leftOut.push(`${kept.join(", ")} of the service ${name}`);
  const build = service["build"];
  const base = posix.dirname(files[0] ?? file);
  const section = typeof build === "string" ? { context: build } : isObject(build) ? build : undefined;
  const context = text(section?.["context"]) ?? ".";
  const image = text(service["image"]);
  if (section === undefined && image === undefined) {
    throw new HeadjackError(`${file} names no service with an image: ${JSON.stringify(name)}.`, {
      hints: withoutIt,
    });
  }
  const from =
    section === undefined
      ? { image: checkedImage(file, image ?? "") }
      : fromBuild(file, base, {
          ...section,
          context,
          dockerfile: posix.join(context, text(section["dockerfile"]) ?? "Dockerfile"),
          args: listed(section["args"]),
        });
  return { from, environment: listed(service["environment"]) };
}

/** Variables of a compose file are this machine's: each has its default, or is empty. */
function substitutedCompose(value: unknown): unknown {
  if (typeof value === "string") {
    return value.replaceAll(/\$(?:\$|\{\w+(?::?-([^}]*))?[^}]*\}|\w+)/g, (whole, or) =>
      whole === "$$" ? "$" : typeof or === "string" ? or : "",
    );
  }
  if (Array.isArray(value)) return value.map((one) => substitutedCompose(one));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, substitutedCompose(one)]));
}

/** A section of texts, also as a list of `NAME=value`. */
function listed(value: unknown): Record<string, string> {
  if (!Array.isArray(value)) return isObject(value) ? texts(value) : {};
  const pairs = value.flatMap((one) => {
    const [, name, rest] = /^([^=]+)=([^]*)$/.exec(text(one) ?? "") ?? [];
    return name === undefined ? [] : [[name, rest ?? ""] as const];
  });
  return texts(Object.fromEntries(pairs));
}

/** Those that can be variables of a Dockerfile. */
function texts(values: Json): Record<string, string> {
  const kept = Object.entries(values).flatMap(([name, value]) => {
    const one = ["string", "number", "boolean"].includes(typeof value) ? String(value) : undefined;
    // eslint-disable-next-line no-control-regex -- control characters are what is refused
    return /^[A-Za-z_]\w*$/.test(name) && one !== undefined && !/[\0-\x1f]/.test(one) ? [[name, one]] : [];
  });
  return Object.fromEntries(kept) as Record<string, string>;
}

/** What the CLI of dev containers is given in place of the repository's own file. */
function featureConfig(config: Json, features: Json): Json {
  const keys = ["overrideFeatureInstallOrder", "remoteUser", "containerUser"];
  return {
    ...Object.fromEntries(keys.flatMap((key) => (key in config ? [[key, config[key]]] : []))),
    features,
  };
}

/**
 * What a chain of settings comes to: those that an image and its features carry in their label, then those of the
 * repository. Nothing but what is done inside of the container is read from them.
 */
export function settingsOf(chain: readonly unknown[]): ContainerSettings {
  const all = chain.filter((one) => isObject(one)).map((one) => substituted(one) as Json);
  const lines = (key: string): string[] => all.flatMap((one) => commandLines(one[key]));
  const user = all
    .map((one) => text(one["remoteUser"]) ?? text(one["containerUser"]))
    .findLast((one) => one !== undefined);
  return {
    hooks: {
      create: ["onCreateCommand", "updateContentCommand", "postCreateCommand"].flatMap((key) => lines(key)),
      start: lines("postStartCommand"),
    },
    environment: Object.assign(
      {},
      ...all.map((one) => (isObject(one["containerEnv"]) ? texts(one["containerEnv"]) : {})),
    ),
    // Agents are never root, whatever the author is.
    user: user !== undefined && user !== "root" && /^[a-z_][a-z0-9_-]{0,31}$/.test(user) ? user : "",
  };
}

/** A command of devcontainer.json as lines of shell: a text, the words of one, or several by name. */
function commandLines(value: unknown): string[] {
  if (typeof value === "string") return value.trim() === "" ? [] : [value];
  if (Array.isArray(value)) {
    const words = value.flatMap((one) => text(one) ?? []);
    return words.length === 0 ? [] : [words.map((one) => shellQuote(one)).join(" ")];
  }
  return isObject(value)
    ? Object.values(value).flatMap((one) => (isObject(one) ? [] : commandLines(one)))
    : [];
}
