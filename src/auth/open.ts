import { existsSync } from "node:fs";
import { HeadjackError } from "../errors.ts";
import type { Paths } from "../store/paths.ts";
import type { CredentialStore } from "./credentials.ts";
import { type KeychainCall, KeychainError, openKeychain, systemKeychain } from "./keychain.ts";

type Variables = Record<string, string | undefined>;

/**
 * The store of this machine: the system's keychain, and an encrypted file where that does not work.
 * Costs nothing until it is asked something. `HEADJACK_CREDENTIALS=keychain|file` forces one, and
 * with `HEADJACK_HOME` the file is the default.
 */
export async function openCredentials(
  paths: Pick<Paths, "credentialsFile" | "credentialsKey">,
  env: Variables,
  call: KeychainCall = systemKeychain(env),
): Promise<CredentialStore> {
  const given = env["HEADJACK_CREDENTIALS"] ?? "";
  // A folder for everything, as tests have, means that nothing goes anywhere else.
  const forced = given === "" && (env["HEADJACK_HOME"] ?? "") !== "" ? "file" : given;
  if (forced === "keychain") return openKeychain(call);
  const { openCredentialsFile } = await import("./file.ts");
  const file = openCredentialsFile(paths);
  if (forced === "file") return file;
  if (forced !== "") {
    throw new HeadjackError('HEADJACK_CREDENTIALS must be "keychain" or "file".', { kind: "usage" });
  }
  return keychainThenFile(openKeychain(call), file, () => existsSync(paths.credentialsFile));
}

/**
 * The same user may have a keychain at the desk and none over SSH. What the keychain takes is
 * removed from the file, so what the file holds is always the newer one and is looked for first.
 */
function keychainThenFile(
  keychain: CredentialStore,
  file: CredentialStore,
  fileExists: () => boolean,
): CredentialStore {
  let used: CredentialStore | undefined;
  return {
    get name() {
      return (used ?? keychain).name;
    },
    get: async (agent) => {
      const inFile = fileExists() ? await file.get(agent) : undefined;
      if (inFile !== undefined) return inFile;
      try {
        return await keychain.get(agent);
      } catch (error) {
        if (isUnavailable(error)) return undefined;
        throw error;
      }
    },
    set: async (agent, credential) => {
      try {
        await keychain.set(agent, credential);
        used = keychain;
      } catch (error) {
        // A locked one too, which nobody can unlock over SSH; but not one that is asking the user.
        if (!(error instanceof KeychainError) || error.reason === "timeout") throw error;
        await file.set(agent, credential);
        used = file;
        return;
      }
      if (fileExists()) await file.remove(agent);
    },
    remove: async (agent) => {
      const fromFile = fileExists() && (await file.remove(agent));
      try {
        return (await keychain.remove(agent)) || fromFile;
      } catch (error) {
        if (isUnavailable(error)) return fromFile;
        throw error;
      }
    },
    where: () => used?.where() ?? `${keychain.where()}, or where there is none: ${file.where()}`,
  };
}

function isUnavailable(error: unknown): boolean {
  return error instanceof KeychainError && error.reason === "unavailable";
}
