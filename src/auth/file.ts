import { Database } from "bun:sqlite";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, fsyncSync, linkSync, mkdirSync, openSync } from "node:fs";
import { readSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { HeadjackError, messageOf } from "../errors.ts";
import { writeAtomically } from "../store/atomic-write.ts";
import type { Paths } from "../store/paths.ts";
import { cleanValue, type Credential, type CredentialStore, toCredential, unusable } from "./credentials.ts";

type FilePaths = Pick<Paths, "credentialsFile" | "credentialsKey">;

const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;
/** Bytes. */
const maxFileBytes = 1024 * 1024;
/** Milliseconds to wait for another `hjk` that is writing. */
const lockWaitMs = 10_000;
/** First bytes of the file, and authenticated with the rest. */
const magic = Buffer.from("headjack credentials 1\n");

/** What is in the file cannot be opened with the key: damaged, or from elsewhere. */
class UnreadableError extends Error {}

/**
 * Credentials of all agents in one file, AES-256-GCM, the random key in another folder. This keeps
 * them out of backups and synchronised folders of the data, not from a program running as the user.
 */
export function openCredentialsFile(paths: FilePaths): CredentialStore {
  return {
    name: "file",
    get: async (agent) => {
      const credential = await Promise.resolve().then(() => readFor(paths, agent).get(agent));
      return credential === undefined ? undefined : { ...credential, from: "file" };
    },
    set: async (agent, { kind, value }) => {
      const clean: Credential = { kind, value: cleanValue(value) };
      await Promise.resolve().then(() => change(paths, (all) => all.set(agent, clean)));
    },
    remove: async (agent) => {
      let found = false;
      await Promise.resolve().then(() =>
        change(paths, (all) => {
          found = all.delete(agent);
        }),
      );
      return found;
    },
    where: () => `encrypted file ${paths.credentialsFile} (key in ${paths.credentialsKey})`,
  };
}

function readFor(paths: FilePaths, agent: string): Map<string, Credential> {
  try {
    return readAll(paths);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    throw unusable(`${paths.credentialsFile} cannot be opened: ${error.message}.`, agent, error);
  }
}

/** Reads, changes and writes back while no other process does; everything in it is synchronous. */
function change(paths: FilePaths, edit: (all: Map<string, Credential>) => void): void {
  withLock(`${paths.credentialsFile}.lock`, () => {
    let all: Map<string, Credential>;
    try {
      all = readAll(paths);
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      // Kept, in case that its key comes back; but it must not be in the way of a new one for ever.
      renameSync(paths.credentialsFile, `${paths.credentialsFile}.unreadable`);
      all = new Map();
    }
    edit(all);
    if (all.size === 0) {
      rmSync(paths.credentialsFile, { force: true });
      return;
    }
    writeAtomically(paths.credentialsFile, encrypt(readKey(paths) ?? makeKey(paths), all));
  });
}

function readAll(paths: FilePaths): Map<string, Credential> {
  const data = readPrivate(paths.credentialsFile);
  if (data === undefined) return new Map();
  const key = readKey(paths);
  if (key === undefined) throw new UnreadableError(`its key ${paths.credentialsKey} is missing`);
  return decrypt(key, data);
}

function encrypt(key: Uint8Array, all: ReadonlyMap<string, Credential>): Buffer {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv("aes-256-gcm", key, iv, { authTagLength: tagBytes }).setAAD(magic);
  const body = Buffer.concat([
    cipher.update(JSON.stringify(Object.fromEntries(all)), "utf8"),
    cipher.final(),
  ]);
  return Buffer.concat([magic, iv, cipher.getAuthTag(), body]);
}

function decrypt(key: Uint8Array, data: Buffer): Map<string, Credential> {
  const bodyStart = magic.byteLength + ivBytes + tagBytes;
  if (data.byteLength < bodyStart || !data.subarray(0, magic.byteLength).equals(magic)) {
    throw new UnreadableError("it is damaged, or not a file of this version of Headjack");
  }
  const iv = data.subarray(magic.byteLength, magic.byteLength + ivBytes);
  const tag = data.subarray(magic.byteLength + ivBytes, bodyStart);
  let content: unknown;
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: tagBytes });
    decipher.setAAD(magic).setAuthTag(tag);
    content = JSON.parse(
      Buffer.concat([decipher.update(data.subarray(bodyStart)), decipher.final()]).toString(),
    );
  } catch {
    // The cause would add nothing, and could repeat what was decrypted.
    throw new UnreadableError("it is damaged, or its key is another one");
  }
  const all = new Map<string, Credential>();
  for (const [agent, entry] of Object.entries(content ?? {})) {
    const credential = toCredential(entry);
    if (credential !== undefined) all.set(agent, credential);
  }
  return all;
}

function readKey(paths: FilePaths): Buffer | undefined {
  const key = readPrivate(paths.credentialsKey);
  if (key === undefined || key.byteLength === keyBytes) return key;
  throw new HeadjackError(`${paths.credentialsKey} is damaged: it is not a key of ${keyBytes} bytes.`, {
    kind: "auth",
    hints: [`Remove it with: rm ${paths.credentialsKey}`, "Then run `hjk auth` again for each agent."],
  });
}

/**
 * Makes the key, or returns the one that another process made first: a link to a complete file
 * fails where there is one already, and nobody can ever read half a key.
 */
function makeKey(paths: FilePaths): Uint8Array {
  const key = randomBytes(keyBytes);
  mkdirSync(dirname(paths.credentialsKey), { recursive: true, mode: 0o700 });
  const temporary = `${paths.credentialsKey}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    const handle = openSync(temporary, "wx", 0o600);
    try {
      writeSync(handle, key);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    linkSync(temporary, paths.credentialsKey);
    return key;
  } catch (error) {
    const made = codeOf(error) === "EEXIST" ? readKey(paths) : undefined;
    if (made !== undefined) return made;
    throw new HeadjackError(`${paths.credentialsKey} could not be made: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** The bytes of a file that only its owner, this user, can read; `undefined` when there is none. */
function readPrivate(file: string): Buffer | undefined {
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "ELOOP")
      throw unsafe(file, "it is a symbolic link", `Replace it by the file itself: ls -l ${file}`);
    throw unsafe(file, `it cannot be read (${code})`, `Look at it with: ls -l ${file}`);
  }
  try {
    const info = fstatSync(handle);
    const hint = `Look at it with: ls -l ${file}`;
    if (!info.isFile()) throw unsafe(file, "it is not a regular file", hint);
    if (info.uid !== process.getuid?.()) throw unsafe(file, "it belongs to another user", hint);
    if ((info.mode & 0o077) !== 0) throw unsafe(file, "other users can open it", `Run: chmod 600 ${file}`);
    if (info.size > maxFileBytes) throw unsafe(file, "it is larger than 1 MB", hint);
    const data = Buffer.alloc(info.size);
    let read = 0;
    while (read < data.byteLength) {
      const part = readSync(handle, data, read, data.byteLength - read, read);
      if (part === 0) break;
      read += part;
    }
    return data.subarray(0, read);
  } finally {
    closeSync(handle);
  }
}

function unsafe(file: string, why: string, hint: string): HeadjackError {
  return new HeadjackError(`${file} is refused: ${why}.`, { kind: "auth", hints: [hint] });
}

/**
 * SQLite's lock, because the system lets go of it when its holder dies, however that happens; the
 * database itself stays empty.
 */
function withLock(file: string, work: () => void): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  closeSync(openSync(file, constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW, 0o600));
  const lock = new Database(file);
  try {
    lock.run(`PRAGMA busy_timeout = ${lockWaitMs}`);
    try {
      lock.run("BEGIN IMMEDIATE");
    } catch (error) {
      throw new HeadjackError(`The credentials are locked by another \`hjk\`: ${messageOf(error)}.`, {
        hints: ["Nothing was changed. Try again when it has finished."],
        cause: error,
      });
    }
    work();
  } finally {
    lock.close();
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
