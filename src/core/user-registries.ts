import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { Environment } from "../drivers/process.ts";
import { hostName } from "../gateway/rules.ts";

/** What of the user's own settings for package registries holds inside, too. */
export interface UserRegistries {
  /** Environment of containers; in nothing of it is a credential. */
  variables: Record<string, string>;
  /** For the user: what of their settings stays outside, and why. Without the values, which may be secret. */
  notes: string[];
}

/** Variables whose values are addresses, or lists of such. */
const addressVariables = [
  "NPM_CONFIG_REGISTRY",
  "npm_config_registry",
  "COREPACK_NPM_REGISTRY",
  "YARN_REGISTRY",
  "YARN_NPM_REGISTRY_SERVER",
  "BUN_CONFIG_REGISTRY",
  "PIP_INDEX_URL",
  "PIP_EXTRA_INDEX_URL",
  "PIPENV_PYPI_MIRROR",
  "UV_DEFAULT_INDEX",
  "UV_INDEX",
  "UV_INDEX_URL",
  "UV_EXTRA_INDEX_URL",
  "GOPROXY",
  "GOSUMDB",
  "RUSTUP_DIST_SERVER",
  "RUSTUP_UPDATE_ROOT",
];
const cargoIndex = /^CARGO_REGISTRIES_[A-Z0-9_]+_INDEX$/;

/** Variables that say beside these which names or hosts they are for. */
const nameVariables = [
  "CARGO_REGISTRY_DEFAULT",
  "GOPRIVATE",
  "GONOPROXY",
  "GONOSUMDB",
  "PIP_TRUSTED_HOST",
  "UV_INSECURE_HOST",
];

function isKnown(name: string): boolean {
  return addressVariables.includes(name) || nameVariables.includes(name) || cargoIndex.test(name);
}

/** Go's words in the place of an address, and the name and key of a checksum database. */
const plainWord = /^(?:direct|off|[\w.-]+\+[0-9a-f]+\+[\w+/=]+)$/;

/** The settings of the host's environment, then those of the files of npm, pip and Go that have an easy form. */
export async function userRegistries(env: Environment, home: string): Promise<UserRegistries> {
  const found = new Map<string, { value: string; what: string }>();
  for (const [name, value = ""] of Object.entries(env))
    if (isKnown(name) && value.trim() !== "") found.set(name, { value: value.trim(), what: name });
  for (const { name, value, what } of await fileSettings(env, home))
    if (isKnown(name) && !found.has(name) && !found.has(name.toLowerCase())) found.set(name, { value, what });

  const variables: Record<string, string> = {};
  const notes: string[] = [];
  for (const [name, { value, what }] of found) {
    const read = nameVariables.includes(name) ? names(value) : addresses(value);
    if ("refused" in read) notes.push(`${what} stays outside: ${read.refused}.`);
    else {
      variables[name] = read.value;
      if (read.stripped === true)
        notes.push(`${what} holds a credential, which stays outside: what needs it cannot be had inside.`);
    }
  }
  return { variables, notes };
}

type Read = { value: string; stripped?: boolean } | { refused: string };

function names(value: string): Read {
  return /^[\w.*,/ -]{1,2000}$/.test(value) ? { value } : { refused: "it is no list of names" };
}

/** A list of addresses without the user names and passwords in them. Refuses whatever has a second reading. */
export function addresses(value: string): Read {
  let stripped = false;
  let refused: string | undefined;
  const clean = value.replaceAll(/[^\s,|]+/g, (word) => {
    const [, before = "", address] = /^((?:[\w.-]+=)?(?:sparse\+)?)(https?:\/\/.+)$/i.exec(word) ?? [];
    if (address === undefined) {
      if (!plainWord.test(word)) refused ??= "it is no address that begins with https:// or http://";
      return word;
    }
    const bare = address.replace(/^(https?:\/\/)[^/?#\\]*@/i, "$1");
    stripped ||= bare !== address;
    refused ??= whyNot(bare);
    return before + bare;
  });
  if (value.length > 4000) return { refused: "it is too long" };
  return refused === undefined ? { value: clean, ...(stripped ? { stripped } : {}) } : { refused };
}

/** Why an address whose user and password have been taken off is not passed on. */
function whyNot(address: string): string | undefined {
  const url = URL.parse(address);
  // A query may be a token, and an `@` behind the host the end of a password with a slash in it.
  if (url === null || !/^[\w.~:/%+=&!()-]+$/.test(address)) return "it is no plain address";
  if (hostName(url.hostname) === undefined) return "its host is no name, and gateways take names only";
  if (/(?:^|\.)localhost$/.test(url.hostname)) return "it is this machine, which instances do not reach";
  return undefined;
}

interface FileSetting {
  /** The variable that says the same. */
  name: string;
  value: string;
  /** The setting, for messages. */
  what: string;
}

/** What the user's files say. Of lines for credentials nothing is read. */
async function fileSettings(env: Environment, home: string): Promise<FileSetting[]> {
  const config = env["XDG_CONFIG_HOME"] ?? `${home}/.config`;
  const [npm, go, ...pip] = await Promise.all(
    [
      env["NPM_CONFIG_USERCONFIG"] ?? env["npm_config_userconfig"] ?? `${home}/.npmrc`,
      env["GOENV"] ?? `${config}/go/env`,
      env["PIP_CONFIG_FILE"] ?? "",
      `${home}/Library/Application Support/pip/pip.conf`,
      `${config}/pip/pip.conf`,
      `${home}/.pip/pip.conf`,
      "/etc/pip.conf",
    ].map(async (file) => ({ file, text: await textOf(file) })),
  );
  return [
    ...(npm === undefined ? [] : npmSettings(npm.text, npm.file)),
    ...(go === undefined ? [] : goSettings(go.text, go.file)),
    ...pip.flatMap(({ file, text }) => pipSettings(text, file)),
  ];
}

/** `registry=https://...`, and not what is for a scope or a host. */
export function npmSettings(text: string, file: string): FileSetting[] {
  const value = /^registry[ \t]*=[ \t]*"?([^\s";#]+)/m.exec(text)?.[1];
  return value === undefined ? [] : [{ name: "NPM_CONFIG_REGISTRY", value, what: `registry in ${file}` }];
}

function goSettings(text: string, file: string): FileSetting[] {
  return [...text.matchAll(/^(GO[A-Z]+)=(.+)$/gm)].map(([, name = "", value = ""]) => ({
    name,
    value: value.trim(),
    what: `${name} in ${file}`,
  }));
}

/** Of the section for all commands; a list goes on in lines that are indented. */
export function pipSettings(text: string, file: string): FileSetting[] {
  const section = /^\[global\][^\n]*\n((?:(?!\[).*(?:\n|$))*)/m.exec(text)?.[1] ?? "";
  return ["index-url", "extra-index-url", "trusted-host"].flatMap((key) => {
    const line = new RegExp(`^${key.replaceAll("-", "[-_]")}[ \\t]*[=:](.*(?:\\n[ \\t]+\\S.*)*)`, "m");
    const value = line.exec(section)?.[1]?.trim().replaceAll(/\s+/g, " ") ?? "";
    const name = `PIP_${key.replaceAll("-", "_").toUpperCase()}`;
    return value === "" ? [] : [{ name, value, what: `${key} in ${file}` }];
  });
}

/** Bytes; such files have a few lines. */
const mostBytes = 64 * 1024;

/** The text of a plain file of the user's; empty if there is none. */
async function textOf(file: string): Promise<string> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const info = await handle.stat();
    return info.isFile() && info.size <= mostBytes ? await handle.readFile("utf8") : "";
  } catch {
    return "";
  }
}
