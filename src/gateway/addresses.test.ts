import { describe, expect, test } from "bun:test";
import { addressKind, sameAddress } from "./addresses.ts";

describe("addressKind", () => {
  test.each([
    "93.184.216.34",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.169.0.1",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
  ])("%s is public", (address) => {
    expect(addressKind(address)).toBe("public");
  });

  test.each([
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "203.0.113.80",
    "fd12:3456::1",
    "::ffff:10.1.2.3",
  ])("%s is private", (address) => {
    expect(addressKind(address)).toBe("private");
  });

  test.each([
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "2001:0:1::1",
    "2001:db8::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "2130706433",
    "0177.0.0.1",
    "127.1",
    "",
    "example.org",
  ])("%p is never reached", (address) => {
    expect(addressKind(address)).toBe("never");
  });
});

test("sameAddress knows each spelling", () => {
  expect(sameAddress("::ffff:10.1.2.3", "10.1.2.3")).toBe(true);
  expect(sameAddress("fd00:0:0::1", "fd00::1")).toBe(true);
  expect(sameAddress("fe80::1%eth0", "fe80::1")).toBe(true);
  expect(sameAddress("10.1.2.3", "10.1.2.4")).toBe(false);
});
