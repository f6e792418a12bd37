import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeadjackError } from "../../errors.ts";
import { findDockerHost } from "./docker-host.ts";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "hjk-docker-"));
});
afterAll(async () => await rm(home, { recursive: true }));

/** A home with a Docker configuration as the CLI writes it. */
async function homeWith(config: string, contexts: Record<string, unknown> = {}): Promise<string> {
  const folder = await mkdtemp(join(home, "home-"));
  await mkdir(join(folder, ".docker"));
  await writeFile(join(folder, ".docker", "config.json"), config);
  for (const [name, meta] of Object.entries(contexts)) {
    const id = createHash("sha256").update(name).digest("hex");
    await mkdir(join(folder, ".docker", "contexts", "meta", id), { recursive: true });
    await writeFile(join(folder, ".docker", "contexts", "meta", id, "meta.json"), JSON.stringify(meta));
  }
  return folder;
}

const endpoint = (host: string): unknown => ({ Name: "x", Endpoints: { docker: { Host: host } } });
const rootless = "unix:///run/user/1000/docker.sock";

test("without any setting it is the default socket", async () => {
  expect(await findDockerHost({ HOME: join(home, "nobody") })).toEqual({
    url: "http://docker",
    unix: "/var/run/docker.sock",
    display: "unix:///var/run/docker.sock",
    source: "default",
  });
});

test("the current context of the configuration", async () => {
  const HOME = await homeWith('{"currentContext":"rootless"}', { rootless: endpoint(rootless) });
  expect(await findDockerHost({ HOME })).toMatchObject({
    unix: "/run/user/1000/docker.sock",
    display: rootless,
    source: "context rootless",
  });
});

test("DOCKER_CONTEXT goes before it, DOCKER_HOST before both, DOCKER_CONFIG says where", async () => {
  const folder = await homeWith('{"currentContext":"rootless"}', {
    rootless: endpoint(rootless),
    desktop: endpoint("unix:///desk.sock"),
  });
  const env = { DOCKER_CONFIG: join(folder, ".docker"), HOME: "/nowhere" };
  expect((await findDockerHost(env)).unix).toBe("/run/user/1000/docker.sock");
  expect((await findDockerHost({ ...env, DOCKER_CONTEXT: "desktop" })).unix).toBe("/desk.sock");
  expect((await findDockerHost({ ...env, DOCKER_CONTEXT: "default" })).source).toBe("default");
  const host = await findDockerHost({
    ...env,
    DOCKER_CONTEXT: "desktop",
    DOCKER_HOST: "tcp://10.0.0.1:2375/",
  });
  expect(host).toEqual({
    url: "http://10.0.0.1:2375",
    display: "tcp://10.0.0.1:2375/",
    source: "DOCKER_HOST",
  });
});

test("a configuration that cannot be read counts as none", async () => {
  for (const text of ["", "{", "[]", '{"currentContext":3}', '{"currentContext":""}', '{"auths":{}}']) {
    expect((await findDockerHost({ HOME: await homeWith(text) })).source).toBe("default");
  }
});

async function refusal(env: Record<string, string>): Promise<string> {
  const error: unknown = await findDockerHost(env).catch((reason: unknown) => reason);
  if (!(error instanceof HeadjackError)) throw new Error("was accepted");
  expect(error.kind).toBe("engine");
  expect(error.hints).not.toBeEmpty();
  return error.message;
}

test("a context that is gone or broken, and hosts that need more than a socket, are refused", async () => {
  const HOME = await homeWith("{}", { broken: { Endpoints: {} } });
  expect(await refusal({ HOME, DOCKER_CONTEXT: "gone" })).toContain('"gone"');
  expect(await refusal({ HOME, DOCKER_CONTEXT: "broken" })).toContain('"broken"');
  expect(await refusal({ HOME, DOCKER_CONTEXT: "../../x" })).toContain("../../x");
  for (const host of ["ssh://me@box", "npipe:////./pipe/docker", "https://box:2376", "nonsense"]) {
    expect(await refusal({ HOME, DOCKER_HOST: host })).toContain(host);
  }
});
