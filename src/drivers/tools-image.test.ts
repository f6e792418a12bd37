import { expect, test } from "bun:test";
import { readLacks, toolsFiles, toolsImage } from "./tools-image.ts";

test("what an image says that it lacks is read, and nothing else", () => {
  expect(readLacks("lacks git\nlacks agent:claude\nlooked\n")).toEqual(["git", "agent:claude"]);
  expect(readLacks("looked\n")).toEqual([]);
  expect(readLacks("lacks git\n")).toBeUndefined();
  expect(readLacks('lacks git"]\nlacks $(id)\nlacks -x\nlacks agent:../x\nlacks git x\nlooked\n')).toEqual(
    [],
  );
});

const from = { image: "alpine:3", base: "headjack-base:1", certificates: "" };
const image = toolsImage("alpine:3", "sha256:1", {
  user: "501:20",
  store: "12345678-9",
  agents: { claude: "1.2.3" },
});

test("the layer has the agents, and their C library where there is none", () => {
  const { Dockerfile = "" } = toolsFiles(image, from, ["git", "agent:claude", "user", "glibc"]);
  expect(Dockerfile).toContain("FROM headjack-base:1 AS base\n");
  expect(Dockerfile).toContain("FROM alpine:3\nUSER 0:0\n");
  expect(Dockerfile).toContain("COPY --from=base /glibc /opt/headjack/glibc\n");
  expect(Dockerfile).toContain(
    `RUN ["/bin/sh","-eu","/opt/headjack/add.sh","501","20","","git","agent:claude","user","glibc"]\n`,
  );
});

test("without agents to add it takes nothing from the base image", () => {
  const { Dockerfile = "" } = toolsFiles(image, { ...from, base: "alpine:3" }, ["git", "glibc"]);
  expect(Dockerfile).not.toContain("COPY --from");
});

test("another content of the image, user or version of an agent makes another layer", () => {
  const need = { user: "501:20", store: "12345678-9", agents: { claude: "1.2.3" } };
  const tags = [
    image,
    toolsImage("alpine:3", "sha256:2", need),
    toolsImage("alpine:3", "sha256:1", { ...need, user: "502:20" }),
    toolsImage("alpine:3", "sha256:1", { ...need, agents: { claude: "1.2.4" } }),
    toolsImage("alpine:3", "sha256:1", {
      ...need,
      settings: { replaces: "vscode", environment: {}, hooks: "" },
    }),
  ].map(({ tag }) => tag);
  expect(new Set(tags).size).toBe(tags.length);
});

test("variables of a dev container are texts, but for those that the image has", () => {
  const settings = { replaces: "", environment: { A: 'x "$(id)" \\ $B', P: "/x:${PATH}" }, hooks: "" };
  const layer = toolsImage("alpine:3", "sha256:1", {
    user: "501:20",
    store: "12345678-9",
    agents: {},
    settings,
  });
  const { Dockerfile = "" } = toolsFiles(layer, from, []);
  expect(Dockerfile).toContain(String.raw`ENV A="x \"\$(id)\" \\ \$B"` + '\nENV P="/x:${PATH}"\n');
});
