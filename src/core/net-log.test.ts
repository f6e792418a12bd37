import { describe, expect, test } from "bun:test";
import { parseEntry } from "./net-log.ts";

describe("lines of a gateway", () => {
  test("become entries", () => {
    const line = {
      t: "2027-01-31T10:00:00.000Z",
      event: "deny",
      method: "CONNECT",
      host: "x.example.org",
      port: 443,
    };
    expect(parseEntry(JSON.stringify({ ...line, why: "not-allowed", times: 7 }))).toEqual({
      at: new Date("2027-01-31T10:00:00Z"),
      event: "deny",
      target: "x.example.org:443",
      method: "CONNECT",
      path: "",
      why: "not-allowed",
      times: 7,
    });
    expect(parseEntry('{"event":"configured","id":"x"}')).toBeUndefined();
  });

  test.each(["", "x", "null", "[]", "7", '{"t":"x","event":"deny"}', '{"t":[],"event":{}}'])(
    "%p is none",
    (line) => {
      expect(parseEntry(line)).toBeUndefined();
    },
  );
});
