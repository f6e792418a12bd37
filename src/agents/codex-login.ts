import { join, resolve } from "node:path";
import type { Login, LoginSource } from "./agent.ts";
import type { Json } from "./conversation.ts";
import { moment, name, object, words } from "./fields.ts";

/** Codex itself renews a login that it has not for so long. */
const unrenewedMs = 8 * 24 * 60 * 60 * 1000;

/** `codex login` with a ChatGPT account, as Codex 0.169.0 keeps and renews it. */
export const codexLogin: LoginSource = {
  command: "codex login",
  file: (env, home) => resolve(env["CODEX_HOME"] || join(home, ".codex"), "auth.json"),
  read,
  tokenUrl: "https://auth.openai.com/oauth/token",
  request: (refreshToken) =>
    Promise.resolve({
      type: "application/json",
      body: JSON.stringify({
        client_id: "app_EMoamEEZ73f0CkXaXp7hrann",
        grant_type: "refresh_token",
        refresh_token: refreshToken,
      }),
    }),
  renewed: (content, answer, now) => ({
    ...content,
    tokens: {
      ...object(content["tokens"]),
      ...Object.fromEntries(
        ["id_token", "access_token", "refresh_token"].flatMap((key) =>
          name(answer[key]) === undefined ? [] : [[key, answer[key]]],
        ),
      ),
    },
    last_refresh: new Date(now).toISOString(),
  }),
};

function read(content: Json): Login | undefined {
  const { access_token: token, refresh_token: refreshToken, account_id: account } = object(content["tokens"]);
  if (name(token) === undefined || name(refreshToken) === undefined) return undefined;
  const claims = claimsOf(words(token));
  const { exp } = claims;
  return {
    token: words(token),
    refreshToken: words(refreshToken),
    expiresAt: typeof exp === "number" ? exp * 1000 : (moment(content["last_refresh"]) ?? 0) + unrenewedMs,
    ...(name(account) === undefined ? {} : { account: words(account) }),
  };
}

/** What a token says of itself. Nothing is decided by it that whoever wrote it may not decide. */
function claimsOf(token: string): Json {
  try {
    return object(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()));
  } catch {
    return {};
  }
}
