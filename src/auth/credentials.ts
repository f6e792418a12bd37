import type { Agent, CredentialKind } from "../agents/agent.ts";
import { HeadjackError } from "../errors.ts";

export interface Credential {
  kind: CredentialKind;
  value: string;
}

export type StoreName = "keychain" | "file";

/** A credential and the store that held it. */
export interface StoredCredential extends Credential {
  from: StoreName;
}

/** Keeps one credential for each agent. */
export interface CredentialStore {
  readonly name: StoreName;
  get: (agent: string) => Promise<StoredCredential | undefined>;
  /** Checks the value with `cleanValue` and replaces what was there. */
  set: (agent: string, credential: Credential) => Promise<void>;
  /** False when there was none. */
  remove: (agent: string) => Promise<boolean>;
  /** Where credentials are kept, for people; after `set`, where that one went. */
  where: () => string;
}

export type ResolvedCredential =
  /** From `agents.<name>.env` of the configuration or from the host's environment, in the variable of this name. */
  | { source: "config" | "environment"; name: string; credential: Credential }
  | { source: StoreName; credential: Credential };

export interface ResolveOptions {
  agent: Pick<Agent, "name" | "credentials" | "hostEnv">;
  /** The host's environment. */
  env: Record<string, string | undefined>;
  store: Pick<CredentialStore, "get">;
  /** `agents.<name>.env` of the configuration. */
  configEnv: Record<string, string>;
}

/** Finds the agent's credential: configuration before the host's environment before what is stored. */
export async function resolveCredential(options: ResolveOptions): Promise<ResolvedCredential | undefined> {
  const { agent, env, store, configEnv } = options;
  const places = [
    { source: "config", variables: configEnv, what: `agents.${agent.name}.env.` },
    { source: "environment", variables: env, what: "The environment variable " },
  ] as const;
  for (const { source, variables, what } of places) {
    for (const { name, kind } of agent.hostEnv) {
      const given = Object.hasOwn(variables, name) ? variables[name] : undefined;
      if (given === undefined || given.trim() === "") continue;
      const value = cleanValue(given, `${what}${name}`);
      checkShape(agent.name, kind, value);
      return { source, name, credential: { kind, value } };
    }
  }
  const stored = await store.get(agent.name);
  if (stored === undefined) return undefined;
  return { source: stored.from, credential: { kind: stored.kind, value: stored.value } };
}

/** Bytes; real keys and tokens have at most a few hundred. */
const maxValueBytes = 8 * 1024;

/** The value without white space around it; refuses what can be no key or token. Never repeats it. */
export function cleanValue(raw: string, what = "The credential"): string {
  const value = raw.trim();
  const refuse = (why: string, hint: string): HeadjackError =>
    new HeadjackError(`${what} ${why}.`, { kind: "usage", hints: [hint] });
  if (value === "") throw refuse("is empty", "Paste the key or token itself.");
  if (Buffer.byteLength(value) > maxValueBytes) {
    throw refuse("is longer than 8 KB", "Paste only the key or token.");
  }
  // Also invisible format characters, which come along when copying from a web page.
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value)) {
    throw refuse(
      "holds a line break or another invisible character",
      "Copy it again, in one piece and on one line.",
    );
  }
  return value;
}

/** Catches Claude's two kinds being mistaken for one another; every other shape is accepted. */
export function checkShape(agent: string, kind: CredentialKind, value: string): void {
  if (agent !== "claude") return;
  if (kind === "api-key" && value.startsWith("sk-ant-oat")) {
    throw new HeadjackError("This is a subscription token of Claude, not an API key.", {
      kind: "usage",
      hints: [
        "Choose the subscription in `hjk auth claude`; as a host variable it is CLAUDE_CODE_OAUTH_TOKEN.",
      ],
    });
  }
  if (kind === "subscription" && value.startsWith("sk-ant-api")) {
    throw new HeadjackError("This is an API key of Anthropic, not a subscription token.", {
      kind: "usage",
      hints: ["Choose the API key in `hjk auth claude`; as a host variable it is ANTHROPIC_API_KEY."],
    });
  }
}

/** A credential that was read back from a store; `undefined` when it is not one. */
export function toCredential(data: unknown): Credential | undefined {
  if (typeof data !== "object" || data === null || !("kind" in data) || !("value" in data)) return undefined;
  const { kind, value } = data;
  if ((kind !== "subscription" && kind !== "api-key") || typeof value !== "string") return undefined;
  return { kind, value };
}

/** What a store says that holds something it cannot use. */
export function unusable(what: string, agent: string, cause?: unknown): HeadjackError {
  return new HeadjackError(what, {
    kind: "auth",
    hints: [`Store the credential again: hjk auth ${agent}`],
    cause,
  });
}
