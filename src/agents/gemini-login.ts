import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { LoginSource } from "./agent.ts";
import { count, name, words } from "./fields.ts";

/** The login with Google of Gemini CLI 0.61.0, as it keeps and renews it. */
export const geminiLogin: LoginSource = {
  command: "gemini",
  file: (env, home) => resolve(env["GEMINI_CLI_HOME"] || home, ".gemini", "oauth_creds.json"),
  read: ({ access_token: token, refresh_token: refreshToken, expiry_date: expiresAt }) =>
    name(token) === undefined || name(refreshToken) === undefined
      ? undefined
      : {
          token: words(token),
          refreshToken: words(refreshToken),
          expiresAt: typeof expiresAt === "number" ? expiresAt : 0,
        },
  tokenUrl: "https://oauth2.googleapis.com/token",
  request: async (refreshToken, path) => {
    const client = await clientOf(path);
    if (client === undefined) return undefined;
    const form = { ...client, grant_type: "refresh_token", refresh_token: refreshToken };
    return { type: "application/x-www-form-urlencoded", body: new URLSearchParams(form).toString() };
  },
  renewed: (content, { expires_in: seconds, ...answer }, now) => ({
    ...content,
    ...answer,
    // An hour is what Google gives, if it should not say so.
    expiry_date: now + (count(seconds) || 3600) * 1000,
  }),
};

/** Bytes of a file of the CLI that is looked through; the largest has 17 million. */
const mostBytes = 64 * 1024 ** 2;

/**
 * By what the CLI itself asks for a new token: an id, and beside it what Google calls a secret, though it is in every
 * copy of the CLI. It is read from the user's copy, so that nothing in the shape of a secret is in ours. Undefined
 * where there is none, or none of that form.
 */
async function clientOf(path: string): Promise<Record<"client_id" | "client_secret", string> | undefined> {
  const program = Bun.which("gemini", { PATH: path });
  if (program === null) return undefined;
  try {
    const folder = dirname(await realpath(program));
    for (const entry of await readdir(folder)) {
      const file = join(folder, entry);
      const info = entry.endsWith(".js") ? await stat(file).catch(() => undefined) : undefined;
      if (info?.isFile() !== true || info.size > mostBytes) continue;
      const [, id, secret] = clientPattern.exec(await readFile(file, "utf8")) ?? [];
      if (id !== undefined && secret !== undefined) return { client_id: id, client_secret: secret };
    }
  } catch {
    // What cannot be read is as good as not there.
  }
  return undefined;
}

/** Another id may stand before it, of a library's; the one that belongs to the secret is the last. */
const clientPattern =
  /(\d+-[a-z0-9]+\.apps\.googleusercontent\.com)(?:(?!\.apps\.)[^]){0,2000}?"(GOCSPX-[\w-]+)"/;
