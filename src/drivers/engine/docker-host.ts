import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { HeadjackError } from "../../errors.ts";
import type { Environment } from "../process.ts";

/** Where the Docker engine listens, and who said so. */
export interface DockerHost {
  /** Fetch options and base URL for its API. */
  url: string;
  unix?: string;
  /** As the user would write it, for messages. */
  display: string;
  source: string;
}

const defaultSocket = "unix:///var/run/docker.sock";

/**
 * Finds the engine the way the `docker` CLI does: DOCKER_HOST, then DOCKER_CONTEXT, then the current
 * context of its configuration, then the default socket. Asking the CLI itself would cost 25 ms a call.
 */
export async function findDockerHost(env: Environment): Promise<DockerHost> {
  if (env["DOCKER_HOST"]) return parseHost(env["DOCKER_HOST"], "DOCKER_HOST");
  const folder = env["DOCKER_CONFIG"] ?? join(env["HOME"] ?? "/", ".docker");
  const context = env["DOCKER_CONTEXT"] ?? (await currentContext(join(folder, "config.json")));
  if (context === undefined || context === "" || context === "default")
    return parseHost(defaultSocket, "default");
  // The CLI names the folder of a context by the hash of its name.
  const id = new Bun.CryptoHasher("sha256").update(context).digest("hex");
  const meta = await readJson(join(folder, "contexts", "meta", id, "meta.json"));
  const host = stringAt(meta, "Endpoints", "docker", "Host");
  if (host === undefined) {
    throw new HeadjackError(`The Docker context "${context}" has no endpoint that can be read.`, {
      kind: "engine",
      hints: ["`docker context ls` lists the contexts; `docker context use NAME` chooses one."],
    });
  }
  return parseHost(host, `context ${context}`);
}

function parseHost(host: string, source: string): DockerHost {
  const display = host;
  if (host.startsWith("unix://")) {
    return { url: "http://docker", unix: host.slice("unix://".length), display, source };
  }
  if (host.startsWith("tcp://") || host.startsWith("http://")) {
    return { url: `http://${host.slice(host.indexOf("://") + 3).replace(/\/$/, "")}`, display, source };
  }
  throw new HeadjackError(
    `The Docker engine at ${host} (from ${source}) cannot be used: only unix:// and tcp:// can.`,
    {
      kind: "engine",
      hints: ["Choose a local engine: `docker context use default`, or unset DOCKER_HOST."],
    },
  );
}

async function currentContext(file: string): Promise<string | undefined> {
  return stringAt(await readJson(file), "currentContext");
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    return undefined;
  }
}

function stringAt(value: unknown, ...path: string[]): string | undefined {
  let current = value;
  for (const name of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return typeof current === "string" ? current : undefined;
}
