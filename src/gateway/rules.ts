import type { AllowedHost, GatewayConfiguration, ModelApi } from "./config.ts";

/*
 * What may be asked for, as pure functions over text. Everything here refuses what it does not know.
 */

/** Where a gateway listens: as a proxy, and for what goes to the model APIs. */
export const gatewayPorts = { proxy: 3128, api: 8080 } as const;

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
/**
 * A name of letters, digits and hyphens whose last label begins with a letter. So no spelling of an IP address
 * is one: not 127.1, 0x7f.1, 2130706433, 0177.0.0.1 or [::1]. No dot at the end: it would be a second spelling.
 */
const hostSyntax = new RegExp(`^(?=.{1,253}$)(?:${label}\\.)*(?=[a-z])${label}$`);

/** A host as it is compared everywhere: lower case. Undefined if it is not a plain name. */
export function hostName(text: string): string | undefined {
  // Before anything is folded: `toLowerCase` makes ASCII of a few other characters (the Kelvin sign).
  if (text.length > 253 || !/^[\x21-\x7e]+$/.test(text)) return undefined;
  const host = text.toLowerCase();
  return hostSyntax.test(host) ? host : undefined;
}

/** A port in its one usual spelling; undefined for 0, 0443, +443 and what is too large. */
export function portNumber(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

/** What stands after CONNECT: `host:port`. */
export function parseAuthority(target: string): { host: string; port: number } | undefined {
  const at = target.indexOf(":");
  const host = hostName(target.slice(0, Math.max(at, 0)));
  const port = portNumber(target.slice(at + 1));
  return host === undefined || port === undefined ? undefined : { host, port };
}

/** What a proxy is asked for without CONNECT: `http://host[:port]/path`. */
export function parseAbsolute(target: string): { host: string; port: number; path: string } | undefined {
  const parts = /^http:\/\/([^/?#\\@]+)((?:\/|\?)[\x21-\x7e]*)?$/i.exec(target);
  const [authority = "", path = "/"] = parts?.slice(1) ?? [];
  if (parts === null || /[#\\]/.test(path)) return undefined;
  const place = parseAuthority(authority.includes(":") ? authority : `${authority}:80`);
  return place === undefined ? undefined : { ...place, path: path.startsWith("/") ? path : `/${path}` };
}

/** The entry that lets this host and port through; `private` is false where all public hosts may be reached. */
export function allowed(
  configuration: GatewayConfiguration | undefined,
  host: string,
  port: number,
): AllowedHost | undefined {
  if (configuration === undefined) return undefined;
  if (configuration.allow === "all") return host.includes(".") ? { host, ports: [port] } : undefined;
  const entries = configuration.allow.filter(
    (entry) => entry.ports.includes(port) && covers(entry.host, host),
  );
  // Of two entries for one host the one that says more counts, in whatever order they were written.
  return entries.find((entry) => entry.private === true) ?? entries[0];
}

/** `*.example.org` covers every name below, and not example.org itself. */
function covers(pattern: string, host: string): boolean {
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : pattern === host;
}

/**
 * Ways to write one path so that two programs read it differently: a step up, an empty or dotted segment, an escaped slash,
 * dot, backslash, percent sign or NUL.
 */
const ambiguous = /\.\.|\/\/|\/\.(?:\/|$)|\\|%(?:2f|2e|5c|25|00)|%(?![0-9a-f]{2})|[^\x21-\x7e]|[#?]/i;

/** Whether a path has one reading only. */
export function isPlainPath(path: string): boolean {
  return path.startsWith("/") && path.length <= 2048 && !ambiguous.test(path);
}

/** Names of query parameters that carry a credential, or that make Google's servers read another request. */
const refusedParameters =
  /^(?:\$.*|key|api[-_]?key|access[-_]?token|oauth[-_]?token|bearer[-_]?token|token|authorization)$/i;

/** What is asked of a model API, taken apart: `/<name>/<path>?<query>`. */
export function parseApiTarget(target: string): { name: string; path: string; query: string } | undefined {
  const parts = /^\/([a-z][a-z0-9-]{0,31})(\/[^?#]*)(\?[^#]*)?$/.exec(target);
  const [name = "", path = "", query = ""] = parts?.slice(1) ?? [];
  if (parts === null || !isPlainPath(path) || !/^[\x21-\x7e]{0,4096}$/.test(query)) return undefined;
  return { name, path, query };
}

/** Whether a query names a credential of its own; then the whole request is refused. */
export function carriesCredential(query: string): boolean {
  // Some servers also part a query at semicolons.
  return [...new URLSearchParams(query.slice(1).replaceAll(";", "&")).keys()].some((name) =>
    refusedParameters.test(name.trim()),
  );
}

/** Whether an API may be asked for this. */
export function allowedPath(api: ModelApi, method: string, path: string): boolean {
  return api.paths.some(
    (entry) =>
      entry.method === method &&
      (entry.path.endsWith("*") ? path.startsWith(entry.path.slice(0, -1)) : path === entry.path),
  );
}
