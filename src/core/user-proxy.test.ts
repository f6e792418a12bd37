import { describe, expect, test } from "bun:test";
import { userProxy } from "./user-proxy.ts";

describe("the user's proxy", () => {
  test("is what the variables say, small letters first, with the exceptions", () => {
    const env = {
      HTTPS_PROXY: "http://ann:p%40ss%20word@proxy.example:3128/",
      https_proxy: "",
      http_proxy: "10.1.2.3:8080",
      HTTP_PROXY: "http://wrong.example",
      NO_PROXY: "localhost, .corp.example 10.0.0.0/8,,",
    };
    expect(userProxy(env, undefined)).toEqual({
      proxy: {
        https: { host: "proxy.example", port: 3128, authorization: `Basic ${btoa("ann:p@ss word")}` },
        http: { host: "10.1.2.3", port: 8080 },
        except: ["localhost", ".corp.example", "10.0.0.0/8"],
      },
    });
    const all = { host: "all.example", port: 80 };
    expect(userProxy({ ALL_PROXY: "http://all.example" }, undefined)).toEqual({
      proxy: { https: all, http: all, except: [] },
    });
    expect(userProxy({ NO_PROXY: "*" }, undefined)).toEqual({});
  });

  test("is that of the setting, and none where that says so", () => {
    const env = { HTTPS_PROXY: "http://ann:secret@other.example" };
    const server = { host: "proxy.example", port: 3128 };
    expect(userProxy(env, "http://proxy.example:3128")).toEqual({
      proxy: { https: server, http: server, except: [] },
    });
    expect(userProxy(env, "direct")).toEqual({});
  });

  test.each([
    ["socks5://ann:secret@proxy.example", "they know http:// only"],
    ["https://ann:secret@proxy.example", "they know http:// only"],
    ["http://localhost:3128", "leads to this machine itself"],
    ["127.0.0.1:3128", "leads to this machine itself"],
    ["http://[::1]:3128", "leads to this machine itself"],
    ["http://ann:secret@", "is no address"],
  ])("%s cannot be used, and is not repeated", (value, why) => {
    const { proxy, note } = userProxy({ HTTPS_PROXY: value }, undefined);
    expect(proxy).toBeUndefined();
    expect(note).toStartWith("HTTPS_PROXY ");
    expect(note).toContain(why);
    expect(note).not.toMatch(/ann|secret|example/);
  });
});
