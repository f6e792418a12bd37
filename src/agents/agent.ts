/** How a credential of one kind reaches the agent's process. */
export interface CredentialDelivery {
  /** Environment variable that carries the value. */
  env: string;
  /** Further arguments of the command that this kind needs. */
  args?: string[];
}

export type CredentialKind = "subscription" | "api-key";

/** A file written into the state folder of a new instance, before the agent first starts. */
export interface SeedFile {
  /** Path below the state folder (`/hjk/state` in the container). */
  path: string;
  content: string;
}

/** What an agent needs to know to build its command line. */
export interface StartRequest {
  /** First prompt; absent for a session that starts idle. */
  prompt?: string;
  /** Text that tells the agent where it runs and what is expected of it. */
  instructions: string;
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
  /** argv inside the container, full autonomy, no dialog in the way. */
  command: (request: StartRequest) => string[];
  /** Environment of the process, beside the credential. */
  env: Record<string, string>;
  /** Files that pre-empt first-run dialogs, in the instance's own state folder. */
  seed: (request: { instructions: string }) => SeedFile[];
  credentials: Partial<Record<CredentialKind, CredentialDelivery>>;
  /** Host variables that hold a credential, first match wins; the kind says how it is delivered. */
  hostEnv: { name: string; kind: CredentialKind }[];
  /** How `agents.<name>.base_url` reaches the agent. */
  baseUrl: (url: string) => { env?: Record<string, string>; args?: string[] };
  /** How the user gets each kind of credential, shown by `hjk auth`. */
  authHelp: Partial<Record<CredentialKind, string>>;
}

/** Where an instance's state folder is mounted in its container. */
export const stateDir = "/hjk/state";
