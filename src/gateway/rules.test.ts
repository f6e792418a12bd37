import { expect, test } from "bun:test";
import type { GatewayConfiguration } from "./config.ts";
import { allowed, allowedPath, parseAbsolute, parseApiTarget, parseAuthority } from "./rules.ts";

const configuration = (allow: GatewayConfiguration["allow"]): GatewayConfiguration => ({
  id: "x",
  token: "0123456789abcdef",
  allow,
  apis: {},
  limits: { requestsPerMinute: 1, bodyBytes: 1, connections: 1 },
});

test("hosts and ports are allowed together, and of two entries the private one counts", () => {
  const some = configuration([
    { host: "a.example.org", ports: [443] },
    { host: "*.example.org", ports: [80] },
    { host: "*.example.org", ports: [443], private: true },
  ]);
  expect(allowed(some, "a.example.org", 443)?.private).toBe(true);
  expect(allowed(some, "b.c.example.org", 80)?.host).toBe("*.example.org");
  expect(allowed(some, "example.org", 80)).toBeUndefined();
  expect(allowed(some, "a.example.org", 8443)).toBeUndefined();
  expect(allowed(undefined, "a.example.org", 443)).toBeUndefined();
  expect(allowed(configuration("all"), "anything.example", 22)).toBeDefined();
  expect(allowed(configuration("all"), "localhost", 80)).toBeUndefined();
});

test("targets are taken apart", () => {
  expect(parseAuthority("Example.ORG:8443")).toEqual({ host: "example.org", port: 8443 });
  expect(parseAbsolute("http://example.org")).toEqual({ host: "example.org", port: 80, path: "/" });
  expect(parseAbsolute("http://example.org:81?x=1")).toEqual({
    host: "example.org",
    port: 81,
    path: "/?x=1",
  });
  expect(parseApiTarget("/gemini/v1beta/models/x:streamGenerateContent?alt=sse")).toEqual({
    name: "gemini",
    path: "/v1beta/models/x:streamGenerateContent",
    query: "?alt=sse",
  });
});

test("a path is exact, or a beginning", () => {
  const api = {
    upstream: "https://api.example.org/",
    headers: {},
    paths: [
      { method: "POST", path: "/v1/messages" },
      { method: "GET", path: "/v1/models/*" },
    ],
  };
  expect(allowedPath(api, "POST", "/v1/messages")).toBe(true);
  expect(allowedPath(api, "POST", "/v1/messages/batches")).toBe(false);
  expect(allowedPath(api, "GET", "/v1/models/x")).toBe(true);
  expect(allowedPath(api, "GET", "/v1/models")).toBe(false);
  expect(allowedPath(api, "HEAD", "/v1/models/x")).toBe(false);
});
