import { hostName, isPlainPath } from "./rules.ts";

/** A host that may be reached through the proxy. */
export interface AllowedHost {
  /** `registry.example.org`, or `*.example.org` for every name below. */
  host: string;
  ports: number[];
  /** It may lie in a private network (RFC 1918, ULA, 100.64/10). Loopback and link-local stay out of reach. */
  private?: boolean;
  /** For plain HTTP; both, if left out. What is in TLS cannot be seen. */
  methods?: ("GET" | "HEAD")[];
}

/** A model API, reached at `http://<gateway>:8080/<name>/...`. */
export interface ModelApi {
  /** `https://api.example.org` or `http://...`, with or without a path before those that are asked for. May lie anywhere: the user named it. */
  upstream: string;
  /** Put into each request in place of what the client sent: the credential. */
  headers: Record<string, string>;
  /** What may be asked for; a path is exact, or with `*` at its end a beginning. */
  paths: { method: string; path: string }[];
}

/** A proxy as HTTP knows them, which is spoken to without TLS. */
export interface ProxyServer {
  /** A name or an address. May lie anywhere: the user named it. */
  host: string;
  port: number;
  /** Value of `proxy-authorization`. */
  authorization?: string;
}

/** What the gateway itself has to go through to leave the user's network. */
export interface UpstreamProxy {
  /** For connections with TLS, by CONNECT. */
  https?: ProxyServer;
  /** For plain requests, which it gets whole. */
  http?: ProxyServer;
  /** Hosts that are reached without: as in NO_PROXY. */
  except: string[];
}

/** Everything that a gateway is told: one line of JSON on its standard input. */
export interface GatewayConfiguration {
  /** Given back when the configuration is in force. */
  id: string;
  /** What the instance's agents show in place of a credential. */
  token: string;
  /** `all`: every public host, on every port. */
  allow: "all" | AllowedHost[];
  apis: Record<string, ModelApi>;
  /** Without it, everything is reached directly. */
  proxy?: UpstreamProxy;
  /** Whether APIs that are there already and are not named stay: whoever adds a host need not have their credentials. */
  keepApis?: boolean;
  /** Whether the proxy, or that there is none, stays as it is: what runs in the background has not the user's environment. */
  keepProxy?: boolean;
  limits: {
    /** To the model APIs. */
    requestsPerMinute: number;
    /** Of one request to a model API. */
    bodyBytes: number;
    /** From the instance, to each of the two ports. */
    connections: number;
  };
}

/** Longest line that is read. */
export const longestConfiguration = 1024 * 1024;

/** A line that is no configuration. The message names keys and never a value: values are secrets. */
export class ConfigurationError extends Error {
  /** Of the refused configuration, if so much could be read. */
  readonly id: string | undefined;

  constructor(message: string, id?: string) {
    super(message);
    this.id = id;
  }
}

/** Reads a configuration. Anything unknown, missing or of a wrong kind is an error. */
export function parseConfiguration(line: string): GatewayConfiguration {
  if (line.length > longestConfiguration) throw new ConfigurationError("the line is too long");
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // The parser's own message quotes the line.
    throw new ConfigurationError("not JSON");
  }
  const id = isObject(value) && isId(value["id"]) ? value["id"] : undefined;
  try {
    return configuration(value);
  } catch (error) {
    throw new ConfigurationError(error instanceof Wrong ? error.message : "cannot be read", id);
  }
}

/** What is wrong, and at which key. */
class Wrong extends Error {}

type Fields = Record<string, unknown>;

function configuration(value: unknown): GatewayConfiguration {
  const fields = object(
    "the configuration",
    value,
    ["id", "token", "allow", "apis", "limits"],
    ["keepApis", "keepProxy", "proxy"],
  );
  const { id, token, keepApis, keepProxy, proxy } = fields;
  if (!isId(id)) throw new Wrong("id: 1 to 64 letters, digits, dots, hyphens and underscores");
  if (typeof token !== "string" || !/^[\x21-\x7e]{16,256}$/.test(token))
    throw new Wrong("token: 16 to 256 printable characters without spaces");
  if (keepApis !== undefined && typeof keepApis !== "boolean") throw new Wrong("keepApis: true or false");
  if (keepProxy !== undefined && typeof keepProxy !== "boolean") throw new Wrong("keepProxy: true or false");
  const limits = object("limits", fields["limits"], ["requestsPerMinute", "bodyBytes", "connections"]);
  return {
    id,
    token,
    allow: fields["allow"] === "all" ? "all" : list("allow", fields["allow"], allowedHost),
    apis: entries("apis", fields["apis"], /^[a-z][a-z0-9-]{0,31}$/, modelApi),
    ...(keepApis === undefined ? {} : { keepApis }),
    ...(keepProxy === undefined ? {} : { keepProxy }),
    ...(proxy === undefined ? {} : { proxy: upstreamProxy("proxy", proxy) }),
    limits: {
      requestsPerMinute: integer("limits.requestsPerMinute", limits["requestsPerMinute"], 100_000),
      bodyBytes: integer("limits.bodyBytes", limits["bodyBytes"], 1024 ** 3),
      connections: integer("limits.connections", limits["connections"], 10_000),
    },
  };
}

function allowedHost(at: string, value: unknown): AllowedHost {
  const fields = object(at, value, ["host", "ports"], ["private", "methods"]);
  const { host, private: isPrivate } = fields;
  const name = typeof host === "string" ? hostName(host.replace(/^\*\./, "")) : undefined;
  if (name === undefined || name !== String(host).replace(/^\*\./, ""))
    throw new Wrong(`${at}.host: a host name in lower case, or *. and a host name`);
  // A wildcard for a whole top-level domain is a mistake, and a name without a dot is one of the local network.
  if (!name.includes(".") && (isPrivate !== true || name !== host))
    throw new Wrong(`${at}.host: a name without a dot only with private, and not after *.`);
  if (isPrivate !== undefined && typeof isPrivate !== "boolean")
    throw new Wrong(`${at}.private: true or false`);
  const ports = list(`${at}.ports`, fields["ports"], (at, port) => integer(at, port, 65_535));
  if (ports.length === 0) throw new Wrong(`${at}.ports: at least one`);
  const methods =
    fields["methods"] === undefined ? undefined : list(`${at}.methods`, fields["methods"], plainMethod);
  return {
    host: String(host),
    ports,
    ...(isPrivate === undefined ? {} : { private: isPrivate }),
    ...(methods === undefined ? {} : { methods }),
  };
}

function plainMethod(at: string, value: unknown): "GET" | "HEAD" {
  if (value !== "GET" && value !== "HEAD") throw new Wrong(`${at}: GET or HEAD`);
  return value;
}

/** Headers that belong to the connection; injected they would change where a request ends or goes. */
const reserved =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|expect|accept-encoding|proxy-.*)$/;

function modelApi(at: string, value: unknown): ModelApi {
  const fields = object(at, value, ["upstream", "headers", "paths"]);
  const headers = entries(`${at}.headers`, fields["headers"], /^[a-z0-9-]{1,64}$/, (at, value) => {
    if (typeof value !== "string" || !/^[\x21-\x7e](?:[\x20-\x7e]{0,16382}[\x21-\x7e])?$/.test(value))
      throw new Wrong(`${at}: printable characters in one line`);
    return value;
  });
  for (const name of Object.keys(headers))
    if (reserved.test(name)) throw new Wrong(`${at}.headers.${name}: belongs to the connection`);
  return {
    upstream: upstream(`${at}.upstream`, fields["upstream"]),
    headers,
    paths: list(`${at}.paths`, fields["paths"], allowedPath),
  };
}

function upstream(at: string, value: unknown): string {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw new Wrong(`${at}: a URL with https or http`);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw new Wrong(`${at}: no user, query or fragment`);
  if (!isPlainPath(url.pathname)) throw new Wrong(`${at}: a plain path`);
  return url.href;
}

function upstreamProxy(at: string, value: unknown): UpstreamProxy {
  const { https, http, except } = object(at, value, ["except"], ["https", "http"]);
  return {
    ...(https === undefined ? {} : { https: proxyServer(`${at}.https`, https) }),
    ...(http === undefined ? {} : { http: proxyServer(`${at}.http`, http) }),
    except: list(`${at}.except`, except, (at, entry) => {
      if (typeof entry !== "string" || !/^[\x21-\x7e]{1,300}$/.test(entry))
        throw new Wrong(`${at}: printable characters without spaces`);
      return entry;
    }),
  };
}

function proxyServer(at: string, value: unknown): ProxyServer {
  const { host, port, authorization } = object(at, value, ["host", "port"], ["authorization"]);
  if (typeof host !== "string" || !/^[\w.:-]{1,253}$/.test(host))
    throw new Wrong(`${at}.host: a name or an address`);
  if (
    authorization !== undefined &&
    (typeof authorization !== "string" || !/^[\x21-\x7e][\x20-\x7e]{0,4096}$/.test(authorization))
  )
    throw new Wrong(`${at}.authorization: printable characters in one line`);
  return {
    host,
    port: integer(`${at}.port`, port, 65_535),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

function allowedPath(at: string, value: unknown): { method: string; path: string } {
  const { method, path } = object(at, value, ["method", "path"]);
  if (typeof method !== "string" || !/^(?:GET|HEAD|POST|PUT|PATCH|DELETE)$/.test(method))
    throw new Wrong(`${at}.method: GET, HEAD, POST, PUT, PATCH or DELETE`);
  if (typeof path !== "string" || !isPlainPath(path) || path.slice(0, -1).includes("*"))
    throw new Wrong(`${at}.path: begins with a slash, plain, with * at its end only`);
  return { method, path };
}

/** A key as a message may show it: one that looks like a word. In a mangled line a secret may stand where a key belongs. */
function nameOf(key: string): string {
  return /^[A-Za-z][a-z]{0,15}(?:[A-Z][a-z]{1,15}){0,3}$/.test(key) ? ` ${key}` : "";
}

function isId(value: unknown): value is string {
  return typeof value === "string" && /^[\w.-]{1,64}$/.test(value);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(at: string, value: unknown, required: string[], optional: string[] = []): Fields {
  if (!isObject(value)) throw new Wrong(`${at}: an object`);
  for (const key of required) if (!Object.hasOwn(value, key)) throw new Wrong(`${at}: ${key} is missing`);
  for (const key of Object.keys(value))
    if (!required.includes(key) && !optional.includes(key))
      throw new Wrong(`${at}: unknown key${nameOf(key)}`);
  return value;
}

/** An object whose keys are names. `fromEntries` makes own properties of all of them, `__proto__` too. */
function entries<Value>(
  at: string,
  value: unknown,
  syntax: RegExp,
  read: (at: string, value: unknown) => Value,
): Record<string, Value> {
  if (!isObject(value)) throw new Wrong(`${at}: an object`);
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => {
      if (!syntax.test(name)) throw new Wrong(`${at}: no name there can be${nameOf(name) || " so"}`);
      return [name, read(`${at}.${name}`, entry)];
    }),
  );
}

function list<Item>(at: string, value: unknown, read: (at: string, value: unknown) => Item): Item[] {
  if (!Array.isArray(value)) throw new Wrong(`${at}: a list`);
  if (value.length > 5000) throw new Wrong(`${at}: too many entries`);
  return value.map((item, index) => read(`${at}[${index}]`, item));
}

function integer(at: string, value: unknown, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most)
    throw new Wrong(`${at}: a whole number from 1 to ${most}`);
  return value;
}
