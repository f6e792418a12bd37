import { existsSync } from "node:fs";
import { childEnvironment, runUnchecked } from "../drivers/process.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import { cleanValue, type Credential, type CredentialStore, toCredential, unusable } from "./credentials.ts";

/** One call of the system's keychain; the value is `null` where there is none. */
export interface KeychainRequest {
  op: "get" | "set" | "delete";
  service: string;
  name: string;
  value?: string;
}
export type KeychainCall = (request: KeychainRequest) => Promise<string | boolean | null>;

/**
 * The keychain could not do it. `unavailable`: this machine or login has none that works, as on a
 * server; `refused`: it is there but locked or said no; `timeout`: it did not answer, most likely
 * because it is asking the user something.
 */
export class KeychainError extends HeadjackError {
  readonly reason: "unavailable" | "refused" | "timeout";

  constructor(reason: KeychainError["reason"], detail: string) {
    const said = {
      unavailable: `The system keychain cannot be used here: ${detail}.`,
      refused: `The system keychain refused: ${detail}.`,
      timeout: `The system keychain did not answer in ${detail}.`,
    }[reason];
    super(said, {
      kind: "auth",
      hints: [
        ...(reason === "unavailable"
          ? []
          : ["Unlock it, answer the question it may be asking, and try again."]),
        "To use an encrypted file in its place, set HEADJACK_CREDENTIALS=file.",
      ],
    });
    this.name = "KeychainError";
    this.reason = reason;
  }
}

const service = "headjack";

/** The system's keychain, one item an agent; `call` is replaced in tests. */
export function openKeychain(call: KeychainCall): CredentialStore {
  return {
    name: "keychain",
    get: async (agent) => {
      const text = await call({ op: "get", service, name: agent });
      if (typeof text !== "string") return undefined;
      const credential = toCredential(parseJson(text));
      if (credential === undefined) {
        throw unusable(`What the system keychain holds for ${agent} is damaged.`, agent);
      }
      return { ...credential, from: "keychain" };
    },
    set: async (agent, { kind, value }) => {
      const clean: Credential = { kind, value: cleanValue(value) };
      await call({ op: "set", service, name: agent, value: JSON.stringify(clean) });
    },
    remove: async (agent) => (await call({ op: "delete", service, name: agent })) === true,
    where: () => (process.platform === "darwin" ? "macOS Keychain" : "Secret Service"),
  };
}

/** Milliseconds. */
const limitMs = 3000;

/** Runs in the child: reads the request from stdin, so that no value is ever in a process list. */
const childScript = `
const { op, ...item } = JSON.parse(await Bun.stdin.text());
let answer;
try { answer = { value: (await Bun.secrets[op](item)) ?? null }; }
catch (error) { answer = { error: String(error.message) }; }
await Bun.write(Bun.stdout, JSON.stringify(answer));
`;

/**
 * Calls the keychain from a child process. Not from this one: a call that nobody answers (a dead
 * message bus, a question on a screen that nobody sees) cannot be cancelled, blocks every later
 * call and keeps the process from ending; a child can be killed. It costs some 8 ms.
 */
export function systemKeychain(env: Record<string, string | undefined>, timeoutMs = limitMs): KeychainCall {
  return async (request) => {
    if (!messageBusExpected(env)) throw new KeychainError("unavailable", "there is no session message bus");
    // This very program is Bun; nothing of the current directory may be loaded into it.
    const command = [process.execPath, "--config=/dev/null", "--no-env-file", "-e", childScript];
    const childEnv = { ...childEnvironment(env), BUN_BE_BUN: "1", LC_ALL: "C" };
    let output: string;
    try {
      const result = await runUnchecked(command, {
        cwd: "/",
        env: childEnv,
        input: JSON.stringify(request),
        timeoutMs,
        maxOutputBytes: 1024 * 1024,
      });
      output = result.stdout;
    } catch (error) {
      if (error instanceof Error && "reason" in error && error.reason === "timeout") {
        throw new KeychainError("timeout", `${timeoutMs / 1000} seconds`);
      }
      throw new KeychainError("unavailable", messageOf(error));
    }
    return readAnswer(output);
  };
}

function readAnswer(output: string): string | boolean | null {
  const answer = parseJson(output);
  if (typeof answer === "object" && answer !== null) {
    if ("error" in answer) {
      const detail = String(answer.error)
        .replaceAll(/\p{Cc}+/gu, " ")
        .slice(0, 300);
      throw new KeychainError(isUnavailable(detail) ? "unavailable" : "refused", detail);
    }
    if ("value" in answer) {
      const { value } = answer;
      if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    }
  }
  throw new KeychainError("unavailable", "its helper process failed");
}

/**
 * Whether Linux has a message bus to ask, by the same rule as its libraries. Without this they start
 * a bus of their own on a graphical screen, which would stay for ever.
 */
function messageBusExpected(env: Record<string, string | undefined>): boolean {
  if (process.platform !== "linux") return true;
  const given = env["DBUS_SESSION_BUS_ADDRESS"];
  if (given !== undefined && given !== "") return true;
  const runtime = env["XDG_RUNTIME_DIR"];
  return runtime !== undefined && runtime !== "" && existsSync(`${runtime}/bus`);
}

/** Seen from libsecret and GLib; all errors have one and the same code, so the words must do. */
function isUnavailable(detail: string): boolean {
  const words = [
    "libsecret not available",
    "Cannot autolaunch D-Bus",
    "Could not connect",
    "Connection refused",
    "not provided by any .service files",
    "was not provided",
    "/collection/login",
    "StartServiceByName",
    "ServiceUnknown",
    "connection is closed",
    "Error spawning",
  ];
  return words.some((word) => detail.includes(word));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
