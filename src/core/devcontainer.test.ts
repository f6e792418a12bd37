import { expect, test } from "bun:test";
import { readDevcontainer, settingsOf } from "./devcontainer.ts";

const file = ".devcontainer/devcontainer.json";
const read = async (config: object | string, files: Record<string, string> = {}) =>
  await readDevcontainer(file, typeof config === "string" ? config : JSON.stringify(config), (path) =>
    Promise.resolve(files[path]),
  );

test("an image, with comments around it", async () => {
  const found = await read('{ // which\n "image": "debian:12", /* x */ "postCreateCommand": "make", }');
  expect(found).toMatchObject({ from: { image: "debian:12" }, leftOut: [] });
  expect(found.features).toBeUndefined();
  expect(found.settings.hooks).toEqual({ create: ["make"], start: [] });
});

test("what would reach this machine, or widen what the container may do, is left out and told", async () => {
  const found = await read({
    image: "debian:12",
    build: { options: ["--network=host"] },
    initializeCommand: "touch /tmp/x",
    mounts: ["source=/,target=/host,type=bind"],
    runArgs: ["--privileged"],
    privileged: true,
    capAdd: ["SYS_ADMIN"],
    securityOpt: ["seccomp=unconfined"],
    containerEnv: { A: "${localEnv:SECRET}", B: "${localEnv:HOME:none}", "C D": "x", E: "a\nb" },
  });
  expect(found.leftOut.join("\n")).toMatch(
    /initializeCommand[^]*mounts[^]*runArgs[^]*privileged[^]*capAdd[^]*securityOpt[^]*SECRET, HOME[^]*build\.options/,
  );
  expect(found.settings.environment).toEqual({ A: "", B: "none" });
  expect(JSON.stringify({ ...found, leftOut: [] })).not.toContain("privileged");
});

test("what its CLI is given is made of known keys", async () => {
  const found = await read({ image: "x", features: { "./tool": {} }, runArgs: ["-v"], remoteUser: "app" });
  expect(found.features).toEqual({ features: { "./tool": {} }, remoteUser: "app" });
});

test.each([
  { build: { dockerfile: "../../Dockerfile" } },
  { build: { dockerfile: "Dockerfile", context: "../.." } },
  { build: { dockerfile: "Dockerfile", context: "/home" } },
  { build: { dockerfile: "Dockerfile", context: "https://example.com/x.git" } },
  { build: { dockerfile: "Dockerfile", target: "--x" } },
  { image: "--privileged" },
  { image: "x", features: { "../../x": {} } },
  { image: "x", features: { "/etc": {} } },
  { dockerComposeFile: "../../compose.yml", service: "app" },
  {},
  "[]",
  "{",
])("%j is refused", async (config) => {
  const failed = await read(config).catch((error: unknown) => error);
  expect(failed).toMatchObject({ name: "HeadjackError" });
});

test("of compose the image of its service, built or not; no other service, no volume, no variable of this machine", async () => {
  const compose = `
services:
  app:
    build: { context: .., dockerfile: dev/Dockerfile, args: [A=1] }
    environment: { DB: "db:\${PORT:-5432}", KEY: "\${SECRET}" }
    volumes: ["/:/host"]
    privileged: true
  db: { image: postgres }
`;
  const found = await read(
    { dockerComposeFile: "compose.yml", service: "app" },
    { ".devcontainer/compose.yml": compose },
  );
  expect(found.from).toEqual({ dockerfile: "dev/Dockerfile", context: ".", args: { A: "1" } });
  expect(found.settings.environment).toEqual({ DB: "db:5432", KEY: "" });
  expect(found.leftOut).toEqual(["the services db", "volumes, privileged of the service app"]);
});

test("commands are in the order of dev containers, as lines of shell; no user is root", () => {
  const settings = settingsOf([
    { postCreateCommand: "base", remoteUser: "vscode", privileged: true },
    { onCreateCommand: ["echo", "two words"], postCreateCommand: { a: "x", b: ["y", "z"] } },
    { postStartCommand: "start ${containerWorkspaceFolder}", remoteUser: "root" },
    "not an object",
  ]);
  expect(settings).toEqual({
    hooks: { create: ["echo 'two words'", "base", "x", "y z"], start: ["start /workspace"] },
    environment: {},
    user: "",
  });
});
