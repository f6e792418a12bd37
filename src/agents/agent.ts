import type { SignalSource } from "./activity.ts";
import type { ConversationSource, Json } from "./conversation.ts";

/** How a credential of one kind reaches the agent's process. */
export interface CredentialDelivery {
  /** Environment variable that carries the value. */
  env: string;
  /** Further arguments of the command that this kind needs. */
  args?: string[];
  /** Further variables that this kind needs; none of them is a secret. */
  settings?: Record<string, string>;
}

export type CredentialKind = "subscription" | "api-key";

/** The requests that an agent makes to its model, where a gateway can put the credential into them. */
export interface ModelAccess {
  /** Where the model is, unless `agents.<name>.base_url` says otherwise; what follows is below the same path. */
  upstream: string;
  /** A path is exact, or with `*` at its end a beginning. */
  paths: { method: string; path: string }[];
  /** Headers that carry the credential; `account` is that of a login which names one. */
  headers: (credential: string, account?: string) => Record<string, string>;
  /** A small thing to ask for, which is answered to whoever has a good credential: the models that there are. */
  check?: { path: string; headers?: Record<string, string> };
}

/** What the login file of a CLI holds. */
export interface Login {
  /** What its requests carry; good until `expiresAt`, in Unix milliseconds. */
  token: string;
  expiresAt: number;
  refreshToken: string;
  account?: string;
}

/** The login that a CLI keeps on this machine, for a subscription that has no token to paste. */
export interface LoginSource {
  /** What the user runs here to log in. */
  command: string;
  /** Where the CLI keeps it. */
  file: (env: Record<string, string | undefined>, home: string) => string;
  /** Reads the file; undefined where it holds no such login. */
  read: (content: Json) => Login | undefined;
  /** Where and how the token is renewed, unless `agents.<name>.token_url` says otherwise. */
  tokenUrl: string;
  /** `path`: where the user's programs are. Undefined where the CLI is not, and what is to be said is its own. */
  request: (refreshToken: string, path: string) => Promise<{ type: string; body: string } | undefined>;
  /** The file's content with what the server has answered, all else as it was. */
  renewed: (content: Json, answer: Json, now: number) => Json;
}

/** A file that is in a session's home before the agent first starts there. */
export interface SeedFile {
  /** Path below the home. */
  path: string;
  content: string;
}

export type Autonomy = "full" | "ask";

/** What an agent needs to know to build its command line. */
export interface StartRequest {
  /** First prompt; absent for a session that starts idle. */
  prompt?: string;
  /** Text that tells the agent where it runs and what is expected of it. */
  instructions: string;
  /** The session's own folder in the container. */
  home: string;
  /** Conversation to go on with, by the agent's own name for it. */
  resume?: string;
  /** Whether it may do everything unasked, or asks the user as its maker thinks fit. */
  autonomy: Autonomy;
  /**
   * Arguments that the credential and `baseUrl` call for. The agent puts them where its options go:
   * behind the prompt (and its `--`) they would be taken for words of it.
   */
  args?: readonly string[];
}

/**
 * A coding CLI described as data: how to start it unattended, give it its credential and keep its
 * state. Facts about each CLI come from running the pinned version; the comments say which.
 */
export interface Agent {
  /** Name on the command line and in the TYPE column. */
  name: string;
  /** Name as its maker writes it. */
  title: string;
  /** argv inside the container, with no first-run dialog in the way. */
  command: (request: StartRequest) => string[];
  /** It cannot be given a prompt when it is started. */
  promptless?: true;
  /** It finds the last conversation in its home by itself: `resume` only says that it should. */
  resumesLast?: true;
  /**
   * Environment of the process, beside the credential. `home` is the session's own folder in the
   * container, which survives the container: everything that the agent keeps goes there, and two
   * sessions never share it.
   */
  env: (home: string) => Record<string, string>;
  /** Files that pre-empt first-run dialogs. */
  seed: (request: { instructions: string }) => SeedFile[];
  /** Its record of the conversation, in the home. */
  conversation?: ConversationSource;
  /** Where else it says what it is doing. */
  signals: SignalSource;
  credentials: Partial<Record<CredentialKind, CredentialDelivery>>;
  /** Its subscription is a login of its own on this machine. */
  login?: LoginSource;
  /**
   * Host variables that hold a credential, first match wins; the kind says how it is delivered, unless
   * `env` names another variable of the agent's process.
   */
  hostEnv: { name: string; kind: CredentialKind; env?: string }[];
  /** How `agents.<name>.base_url` reaches the agent. */
  baseUrl: (url: string) => { env?: Record<string, string>; args?: string[] };
  /**
   * How it reaches its model with a credential of this kind, from the host variable of this name if it came from
   * one. Only hosts, where it has to hold the credential itself.
   */
  model: (kind: CredentialKind, variable?: string) => ModelAccess | { hosts: string[] };
  /** How the user gets each kind of credential, shown by `hjk auth`. */
  authHelp: Partial<Record<CredentialKind, string>>;
}

/** Where the homes of an instance's sessions are in its container, and what a new one begins with. */
export const stateDir = "/hjk/state";
export const seedDir = "/hjk/seed";
