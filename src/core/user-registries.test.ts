import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { addresses, userRegistries } from "./user-registries.ts";

const folder = mkdtempSync(join(tmpdir(), "hjk-registries-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A home with these files. */
function homeWith(files: Record<string, string>): string {
  const home = mkdtempSync(join(folder, "home-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), text);
  }
  return home;
}

/** A machine may have one of its own, which is read last. */
const nowhere = { PIP_INDEX_URL: "https://pip.corp.example/simple" };

describe("addresses of registries", () => {
  test.each([
    "https://mirror.corp.example/npm/",
    "http://mirror:8081/simple",
    "https://a.example/x,https://b.example|direct",
    "corp=https://a.example/simple https://b.example/simple",
    "sparse+https://cargo.corp.example/index/",
    "off",
    "sum.example.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
  ])("%s stays as it is", (value) => {
    expect(addresses(value)).toEqual({ value });
  });

  test.each([
    ["https://ann:secret@mirror.corp.example/npm/", "https://mirror.corp.example/npm/"],
    ["https://secret@mirror.corp.example", "https://mirror.corp.example"],
    [
      "https://ann:secret@a.example|https://x:secret@b.example,off",
      "https://a.example|https://b.example,off",
    ],
    ["sparse+https://ann:se@cret@a.example/x/", "sparse+https://a.example/x/"],
    ["corp=https://ann:$secret@a.example/x", "corp=https://a.example/x"],
  ])("%s loses its credential", (value, bare) => {
    expect(addresses(value)).toEqual({ value: bare, stripped: true });
  });

  // Whatever could leave a part of a credential behind, or lead nowhere.
  test.each([
    "https://ann:sec,ret@mirror.example/",
    "https://ann:12,secret@mirror.example/",
    "https://ann:sec/ret@mirror.example/",
    "https://ann:12/secret@mirror.example/",
    "https://ann:sec?ret@mirror.example/",
    "https://ann:sec#ret@mirror.example/",
    "https://ann:sec\\ret@mirror.example/",
    "https://ann:sec ret@mirror.example/",
    "https://mirror.example/?token=secret",
    "https://mirror.example/${TOKEN}/",
    "secret",
    "git+ssh://git@mirror.example/x",
    "file:///srv/secret",
    "/srv/secret",
    "https://10.1.2.3/simple",
    "https://[fd00::1]/simple",
    "http://localhost:4873/",
    "https://",
  ])("%s is refused, and not repeated", (value) => {
    const read = addresses(value);
    expect(read).toEqual({ refused: expect.any(String) as string });
    expect(JSON.stringify(read)).not.toMatch(/sec|ret|ann|10\.1|srv/);
  });
});

describe("the user's registries", () => {
  test("come from the environment, with names beside them; nothing else of it does", async () => {
    const variables = {
      npm_config_registry: "https://npm.corp.example/",
      UV_DEFAULT_INDEX: "https://pip.corp.example/simple",
      GOPROXY: "https://go.corp.example,direct",
      GOPRIVATE: "*.corp.example,git.example/team",
      CARGO_REGISTRIES_CORP_INDEX: "sparse+https://cargo.corp.example/",
      ...nowhere,
    };
    const more = { CARGO_REGISTRIES_CORP_TOKEN: "secret", NPM_TOKEN: "secret", UV_INDEX: " ", PATH: "/bin" };
    const home = homeWith({ ".npmrc": "registry=https://other.example/\n" });
    expect(await userRegistries({ ...variables, ...more }, home)).toEqual({ variables, notes: [] });
  });

  test("come from the files of npm, pip and Go, without the lines for credentials", async () => {
    const home = homeWith({
      ".npmrc":
        "; mine\n//npm.corp.example/:_authToken=secret\n@team:registry=https://team.example/\n" +
        "registry = https://npm.corp.example/\n_auth=secret\n",
      ".config/pip/pip.conf":
        "[install]\nindex-url = https://wrong.example\n[global]\ntimeout = 60\nindex-url = https://pip.corp.example/simple\n" +
        "extra-index-url =\n    https://ann:secret@one.example/simple\n    https://two.example/simple\n\n[list]\nformat = json\n",
      ".config/go/env": "GOFLAGS=-mod=mod\nGOPROXY=https://go.corp.example\n",
    });
    const { variables, notes } = await userRegistries({}, home);
    expect(variables).toEqual({
      NPM_CONFIG_REGISTRY: "https://npm.corp.example/",
      PIP_INDEX_URL: "https://pip.corp.example/simple",
      PIP_EXTRA_INDEX_URL: "https://one.example/simple https://two.example/simple",
      GOPROXY: "https://go.corp.example",
    });
    expect(notes).toEqual([
      `extra-index-url in ${home}/.config/pip/pip.conf holds a credential, which stays outside: what needs it cannot be had inside.`,
    ]);
  });

  test("what is left out is told by its name alone", async () => {
    const env = {
      ...nowhere,
      NPM_CONFIG_REGISTRY: "https://mirror.example/?token=secret",
      GOPRIVATE: "a b@c:d",
    };
    const { variables, notes } = await userRegistries(env, homeWith({}));
    expect(variables).toEqual(nowhere);
    expect(notes).toEqual([
      "NPM_CONFIG_REGISTRY stays outside: it is no plain address.",
      "GOPRIVATE stays outside: it is no list of names.",
    ]);
  });
});
