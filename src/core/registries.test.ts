import { describe, expect, test } from "bun:test";
import { hostsIn } from "./registries.ts";

describe("hosts of package managers", () => {
  test("are found in what tools and files say, each once, with the ports that are not usual", () => {
    const text = `https://registry.example.org/
https://index.example.org/simple https://files.example.org
global.index-url='https://mirror.corp.example:8443/simple'
deb [signed-by=/x] http://deb.example.org/debian bookworm main
deb http://deb.example.org/debian-security bookworm main
URIs: https://a.example.org/x https://b.example.org/y
https://proxy.example.org,direct`;
    expect(hostsIn(text)).toEqual([
      "registry.example.org",
      "index.example.org",
      "files.example.org",
      "mirror.corp.example:8443",
      "deb.example.org",
      "a.example.org",
      "b.example.org",
      "proxy.example.org",
    ]);
  });

  test.each([
    "https://169.254.169.254/latest",
    "https://[::1]/",
    "https://2130706433/",
    "file:///etc/passwd",
    "https://-x/",
    "https://a_b.example.org/",
    "https://",
  ])("%s is none", (text) => {
    expect(hostsIn(text)).toEqual([]);
  });

  test("an image that names very many gets no more than a hundred", () => {
    const text = Array.from({ length: 500 }, (_, index) => `https://h${index}.example.org/`).join("\n");
    expect(hostsIn(text)).toHaveLength(100);
  });
});
