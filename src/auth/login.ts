import { constants } from "node:fs";
import { access, readFile, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Agent, Login, LoginSource } from "../agents/agent.ts";
import type { Json } from "../agents/conversation.ts";
import { object } from "../agents/fields.ts";
import { HeadjackError } from "../errors.ts";
import { writeAtomically } from "../store/atomic-write.ts";

/** An agent whose subscription is a login of its own CLI. */
export type LoginAgent = Pick<Agent, "name" | "title"> & { login: LoginSource };

/** A login that is not there, or that is not good for anything any more. */
export class LoginError extends HeadjackError {
  constructor(message: string, { name, login }: LoginAgent, cause?: unknown) {
    super(message, {
      kind: "auth",
      hints: [`Log in on this machine: ${login.command}`, `Or use an API key: hjk auth ${name} --api-key`],
      cause,
    });
  }
}

/** Milliseconds before its end in which a login is renewed: what it is given to must be told in time. */
export const renewalMarginMs = 10 * 60_000;

/** Milliseconds in which the server that renews has to answer. */
const answerMs = 10_000;

/** Bytes; real files have some ten thousand. */
const maxFileBytes = 1024 * 1024;

/** What lies in a login file. */
interface Found {
  content: Json;
  login: Login;
  /** Unix milliseconds. */
  changedAt: number;
}

/** Reads the login that an agent's CLI keeps in a file of this machine, as it is. */
export async function readLogin(agent: LoginAgent, file: string): Promise<Login> {
  return (await find(agent, file)).login;
}

async function find(agent: LoginAgent, file: string): Promise<Found> {
  let content: Json = {};
  let changedAt = 0;
  try {
    const info = await stat(file);
    changedAt = info.mtimeMs;
    if (info.isFile() && info.size <= maxFileBytes) content = parse(await readFile(file, "utf8"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new LoginError(`${agent.title} has no login on this machine: there is no ${file}.`, agent);
    throw new LoginError(`${file} cannot be read.`, agent, error);
  }
  const login = agent.login.read(content);
  const values = [login?.token ?? "", login?.account ?? "none"];
  if (login === undefined || values.some((value) => !/^[\x21-\x7e]{1,8192}$/.test(value)))
    throw new LoginError(`${file} holds no login with a subscription.`, agent);
  return { content, login, changedAt };
}

export interface RenewalOptions {
  agent: LoginAgent;
  file: string;
  tokenUrl: string;
  /** Where the user's programs are. */
  path: string;
  /** In place of what the environment says. */
  proxy?: string;
  /** When its token was last passed on, if it has been refused since. */
  refusedSince?: number | undefined;
  now: () => number;
  /** Runs one renewal at a time, of all that `hjk` does on this machine. */
  alone: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * The login in a file, renewed if it is about to end or was refused. What the server gives is written back, or the
 * user's own CLI would be logged out: most servers take a refresh token once.
 */
export async function freshLogin(options: RenewalOptions): Promise<Login> {
  const { agent, file, now, refusedSince = -1 } = options;
  const isRefused = (found: Found): boolean => found.changedAt <= refusedSince;
  const isFresh = (found: Found): boolean =>
    !isRefused(found) && found.login.expiresAt - now() > renewalMarginMs;
  const found = await find(agent, file);
  if (isFresh(found)) return found.login;
  return await options.alone(async () => {
    const current = await find(agent, file);
    if (isFresh(current)) return current.login;
    try {
      return await renew(options, current);
    } catch (error) {
      // The CLI may have renewed it at the same moment.
      const after = await find(agent, file);
      if (isFresh(after)) return after.login;
      if (!isRefused(after) && after.login.expiresAt > now()) return after.login;
      throw error;
    }
  });
}

async function renew(options: RenewalOptions, found: Found): Promise<Login> {
  const { agent, file, tokenUrl, path, proxy, now } = options;
  const { login: source } = agent;
  const target = await realpath(file);
  try {
    // Before it is too late: a refresh token is used up by using it.
    await access(dirname(target), constants.W_OK);
  } catch (error) {
    throw new LoginError(`${file} cannot be written, so its login is not renewed.`, agent, error);
  }
  const request = await source.request(found.login.refreshToken, path);
  if (request === undefined) {
    const { title } = agent;
    throw new LoginError(
      `The login of ${title} has to be renewed by ${title} itself: it is not on this machine, or not in a form that is known.`,
      agent,
    );
  }
  const { type, body } = request;
  let status: number;
  let text: string;
  try {
    const response = await fetch(tokenUrl, {
      method: "POST",
      headers: { "content-type": type, accept: "application/json" },
      body,
      redirect: "error",
      signal: AbortSignal.timeout(answerMs),
      ...(proxy === undefined ? {} : { proxy }),
    });
    status = response.status;
    text = response.ok ? await response.text() : "";
  } catch (error) {
    const where = new URL(tokenUrl).host;
    throw new LoginError(
      `The login of ${agent.title} has to be renewed, and ${where} gives no answer.`,
      agent,
      error,
    );
  }
  const answer = parse(text);
  const content = source.renewed(found.content, answer, now());
  const login = source.read(content);
  if (login === undefined || login.token === found.login.token) {
    throw new LoginError(
      `The login of ${agent.title} in ${file} is not good any more: it could not be renewed (${status}).`,
      agent,
    );
  }
  const mode = (await stat(target)).mode & 0o777;
  writeAtomically(target, JSON.stringify(content, undefined, 2), mode);
  return login;
}

/** An object of JSON; what is none is an empty one, without a word of it: what the parser says quotes it. */
function parse(text: string): Json {
  try {
    return object(JSON.parse(text));
  } catch {
    return {};
  }
}
