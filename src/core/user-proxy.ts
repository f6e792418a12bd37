import type { Environment } from "../drivers/process.ts";
import type { ProxyServer, UpstreamProxy } from "../gateway/config.ts";

/** `network.proxy` where the variables of the environment are not to count. */
export const directly = "direct";

/**
 * The proxy that the user needs to get out: the setting, or what their environment says. `note`: what of the
 * environment cannot be used, and why, without the value, which may hold a password.
 */
export function userProxy(
  env: Environment,
  setting: string | undefined,
): { proxy?: UpstreamProxy; note?: string } {
  if (setting === directly) return {};
  const except = (env["no_proxy"] ?? env["NO_PROXY"] ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
  const notes: string[] = [];
  const server = (...names: string[]): ProxyServer | undefined => {
    const name = names.find((one) => (env[one] ?? "").trim() !== "");
    const value = setting ?? (name === undefined ? undefined : env[name]?.trim());
    if (value === undefined) return undefined;
    const read = proxyServer(value);
    if (!("refused" in read)) return read;
    notes.push(`${setting === undefined ? name : "network.proxy"} ${read.refused}`);
    return undefined;
  };
  const https = server("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY");
  const http = server("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY");
  return {
    ...(https === undefined && http === undefined
      ? {}
      : { proxy: { ...(https && { https }), ...(http && { http }), except: except.slice(0, 500) } }),
    ...(notes[0] === undefined ? {} : { note: `${notes[0]}; gateways go out without it.` }),
  };
}

/** The proxy of a request of our own: that of the setting; else Bun goes by the environment. */
export function ownProxy(setting: string | undefined): { proxy?: string } {
  return setting === undefined || setting === directly ? {} : { proxy: setting };
}

/** Reads the address of a proxy; `http://` may be left out. */
export function proxyServer(text: string): ProxyServer | { refused: string } {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || url.hostname === "") return { refused: "is no address of a proxy" };
  if (url.protocol !== "http:")
    return { refused: "is a proxy of a kind that gateways do not speak to: they know http:// only" };
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (/^(?:localhost|127\..*|::1|0\.0\.0\.0)$/.test(host))
    return { refused: "leads to this machine itself, where gateways do not get" };
  const { username, password } = url;
  if (username === "" && password === "") return { host, port: Number(url.port) || 80 };
  const credential = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64");
  return { host, port: Number(url.port) || 80, authorization: `Basic ${credential}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
