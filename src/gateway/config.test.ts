import { describe, expect, test } from "bun:test";
import { ConfigurationError, parseConfiguration, type GatewayConfiguration } from "./config.ts";

const good: GatewayConfiguration = {
  id: "c-1",
  token: "a-token-of-an-instance",
  allow: [
    { host: "registry.example.org", ports: [443] },
    { host: "*.example.org", ports: [80, 8443], methods: ["GET"] },
    { host: "nas", ports: [443], private: true },
  ],
  apis: {
    anthropic: {
      upstream: "https://api.example.org/",
      headers: { "x-api-key": "SECRET-0123456789" },
      paths: [
        { method: "POST", path: "/v1/messages" },
        { method: "GET", path: "/v1/models*" },
      ],
    },
  },
  proxy: {
    https: { host: "proxy.example.org", port: 3128, authorization: "Basic SECRET-basic" },
    except: [".corp.example"],
  },
  limits: { requestsPerMinute: 60, bodyBytes: 1000, connections: 10 },
};

/** The reason why a configuration is refused, with one value replaced. */
function reason(path: string, value: unknown): string {
  const copy = structuredClone(good) as unknown as Record<string, unknown>;
  const keys = path.split("/");
  let place = copy;
  for (const key of keys.slice(0, -1)) place = place[key] as Record<string, unknown>;
  const last = keys.at(-1) ?? "";
  if (value === undefined) delete place[last];
  else place[last] = value;
  return refusal(JSON.stringify(copy));
}

function refusal(line: string): string {
  try {
    parseConfiguration(line);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  return "accepted";
}

test("a good configuration is taken as it is", () => {
  expect(parseConfiguration(JSON.stringify(good))).toEqual(good);
  expect(parseConfiguration(JSON.stringify({ ...good, allow: "all", apis: {} })).allow).toBe("all");
});

describe("refused, with the reason", () => {
  const api = "apis/anthropic";
  test.each([
    ["id", "", "id: 1 to 64"],
    ["id", undefined, "id is missing"],
    ["token", "short", "token: 16 to 256"],
    ["token", "with spaces in it, and long", "token: 16 to 256"],
    ["extra", 1, "unknown key extra"],
    ["allow", "everything", "allow: a list"],
    ["allow/0/host", "Registry.example.org", "allow[0].host"],
    ["allow/0/host", "127.0.0.1", "allow[0].host"],
    ["allow/0/host", "[::1]", "allow[0].host"],
    ["allow/0/host", "example.org.", "allow[0].host"],
    ["allow/0/host", "*", "allow[0].host"],
    ["allow/0/host", "*.org", "name without a dot"],
    ["allow/0/host", "*.*.org", "allow[0].host"],
    ["allow/0/host", "a*.example.org", "allow[0].host"],
    ["allow/0/host", "localhost", "name without a dot"],
    ["allow/0/ports", [], "allow[0].ports"],
    ["allow/0/ports", ["443"], "allow[0].ports[0]"],
    ["allow/0/ports", [0], "allow[0].ports[0]"],
    ["allow/0/ports", [65_536], "allow[0].ports[0]"],
    ["allow/0/private", "yes", "allow[0].private"],
    ["allow/0/methods", ["POST"], "allow[0].methods[0]"],
    ["allow/0/port", 443, "unknown key port"],
    ["apis/Bad", {}, "apis: no name there can be Bad"],
    [`${api}/upstream`, "ftp://api.example.org", "upstream: a URL"],
    [`${api}/upstream`, "https://user:pass@api.example.org", "no user"],
    [`${api}/upstream`, "https://api.example.org/?a", "no user, query"],
    [`${api}/headers/host`, "x", "belongs to the connection"],
    [`${api}/headers/transfer-encoding`, "chunked", "belongs to the connection"],
    [`${api}/headers/x-key`, "two\r\nlines", "printable characters"],
    [`${api}/headers/x-key`, "", "printable characters"],
    [`${api}/headers/X-Key`, "upper", "no name there can be so"],
    [`${api}/paths/0/method`, "CONNECT", "method"],
    [`${api}/paths/0/path`, "v1", "path"],
    [`${api}/paths/0/path`, "/v1/../x", "path"],
    [`${api}/paths/0/path`, "/v1/*/x", "path"],
    ["limits/connections", 0, "limits.connections"],
    ["limits/bodyBytes", 1.5, "limits.bodyBytes"],
    ["limits/other", 1, "unknown key other"],
    ["proxy/except", "*", "proxy.except: a list"],
    ["proxy/except/0", "two words", "proxy.except[0]: printable"],
    ["proxy/https/host", "http://proxy.example.org", "proxy.https.host: a name"],
    ["proxy/https/port", "3128", "proxy.https.port"],
    ["proxy/https/authorization", "Basic x\r\nhost: evil", "proxy.https.authorization: printable"],
    ["proxy/socks", {}, "unknown key socks"],
  ])("%s = %p", (path, value, expected) => {
    expect(reason(path, value)).toContain(expected);
  });

  test("no reason holds a secret, not even of a line that is no JSON", () => {
    const line = JSON.stringify(good);
    for (const text of [
      line.slice(0, -1),
      line.replace('"id"', '"id2"'),
      `[${line}]`,
      '"x"',
      "null",
      "",
      "{}",
    ])
      expect(refusal(text)).not.toMatch(/SECRET|a-token|^accepted/);
  });

  test("a name that every object has opens nothing", () => {
    expect(refusal(JSON.stringify(good).replace('"anthropic"', '"__proto__"'))).toContain(
      "no name there can be so",
    );
  });
});
