import { describe, expect, test } from "bun:test";
import { proxyFor } from "./upstream-proxy.ts";

const https = { host: "one.example", port: 3128 };
const http = { host: "two.example", port: 3128 };

describe("the proxy for a host", () => {
  test("is that of the scheme, and none where there is none", () => {
    expect(proxyFor({ https, http, except: [] }, "https", "a.test", 443)).toBe(https);
    expect(proxyFor({ https, http, except: [] }, "http", "a.test", 80)).toBe(http);
    expect(proxyFor({ https, except: [] }, "http", "a.test", 80)).toBeUndefined();
    expect(proxyFor(undefined, "https", "a.test", 443)).toBeUndefined();
  });

  test.each([
    ["corp.test", "corp.test", true],
    ["corp.test", "a.b.corp.test", true],
    [".corp.test", "a.corp.test", true],
    [".corp.test", "corp.test", true],
    ["*.Corp.test", "a.corp.test", true],
    ["corp.test:443", "corp.test", true],
    ["corp.test:8443", "corp.test", false],
    ["*", "anything.test", true],
    ["10.1.2.3", "10.1.2.3", true],
    ["corp.test", "evilcorp.test", false],
    ["a.corp.test", "corp.test", false],
    ["10.0.0.0/8", "10.1.2.3", true],
    ["10.0.0.0/8", "11.1.2.3", false],
    ["10.0.0.0/99", "10.1.2.3", false],
    ["10.0.0.0/8", "corp.test", false],
    ["corp.*", "corp.test", false],
  ])("by the exception %s, %s is reached without: %p", (entry, host, without) => {
    expect(proxyFor({ https, except: ["other.test", entry] }, "https", host, 443) === undefined).toBe(
      without,
    );
  });
});
