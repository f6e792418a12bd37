import type { IncomingHttpHeaders } from "node:http";
import { randomUUID } from "node:crypto";
import { type Json, text } from "./json.ts";

/*
 * The logins with ChatGPT and with Google: which token is good at the moment, and the server that renews it. As at
 * OpenAI, a refresh token is good once.
 */

export interface StubLogin {
  token: string;
  refreshToken: string;
  /** Of the next token, in seconds. */
  lifetime: number;
  /** How often it was renewed, and how often that was refused. */
  renewed: number;
  refused: number;
}

/** Whom ChatGPT's requests must name. */
const account = "account-of-ann";

const logins: Record<string, StubLogin> = { chatgpt: newLogin(), google: newLogin() };

function newLogin(): StubLogin {
  return { token: "", refreshToken: "", lifetime: 3600, renewed: 0, refused: 0 };
}

/** GET or POST /_logins: shows them, or changes what is said. */
export function changeLogins(change: Json): Record<string, StubLogin> {
  for (const [name, fields] of Object.entries(change)) Object.assign(logins[name] ?? {}, fields);
  return logins;
}

/** Whether a request to this path shows the login's token, where one is called for. */
export function mayAsk(path: string, headers: IncomingHttpHeaders): boolean {
  const { authorization } = headers;
  if (path.startsWith("/backend-api/"))
    return (
      authorization === `Bearer ${logins["chatgpt"]?.token}` && headers["chatgpt-account-id"] === account
    );
  if (path.startsWith("/v1internal")) return authorization === `Bearer ${logins["google"]?.token}`;
  return true;
}

/** POST /_token/<login>: a new token for a refresh token, as the two servers give it. */
export function renew(path: string, body: Json): { status: number; body: Json } {
  const name = path.split("/").at(-1) ?? "";
  const login = logins[name];
  const isGood =
    login !== undefined &&
    body["grant_type"] === "refresh_token" &&
    text(body["client_id"]) !== "" &&
    text(body["refresh_token"]) === login.refreshToken;
  if (!isGood) {
    if (login !== undefined) login.refused++;
    return { status: 400, body: { error: "invalid_grant" } };
  }
  login.renewed++;
  login.refreshToken = `refresh-${randomUUID()}`;
  const answer = { refresh_token: login.refreshToken, id_token: "id", expires_in: login.lifetime };
  if (name === "google") {
    login.token = `ya29.${randomUUID()}`;
    return { status: 200, body: { ...answer, access_token: login.token, token_type: "Bearer" } };
  }
  login.token = `e30.${claims({ exp: Math.floor(Date.now() / 1000) + login.lifetime })}.${randomUUID()}`;
  return { status: 200, body: { ...answer, access_token: login.token } };
}

function claims(of: Json): string {
  return Buffer.from(JSON.stringify(of)).toString("base64url");
}
