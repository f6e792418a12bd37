import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import dpkgModes from "../../images/base/dpkg-modes.c" with { type: "text" };
import dockerfile from "../../images/base/Dockerfile" with { type: "text" };
import versions from "../../images/base/versions.json";
import { HeadjackError, type ErrorKind } from "../errors.ts";
import { gatewayNodeOptions, gatewayProgram } from "../gateway/program.ts";
import { labels, type Engine, type ImageBuild } from "./engine/engine.ts";
import { runStreaming, type Environment } from "./process.ts";

/** Repository name of the base image; alone it means the newest one, for `FROM` in a user's Dockerfile. */
export const baseImageName = "headjack-base";

/** Everything that decides what the base image is; its tag is the hash of it. */
export interface BaseImage {
  tag: string;
  args: Record<string, string>;
  agents: ImageAgents;
  /** Certificates that the host trusts beside the usual ones (a company's proxy); often empty. */
  certificates: string;
}

/** Variables by which a user says that programs must trust further certificates. */
const certificateVariables = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];

/** Agents of the image and their versions. */
export type ImageAgents = Readonly<Record<string, string>>;

/** Which base image this machine needs: for the container's user, with the host's own certificates. */
export async function baseImage(env: Environment, user: string, agents: ImageAgents): Promise<BaseImage> {
  const [uid = "", gid = ""] = user.split(":");
  const args: Record<string, string> = {
    USER_ID: uid,
    GROUP_ID: gid,
    ...nodeArgs(env),
    ...Object.fromEntries(
      Object.entries(agents).map(([agent, version]) => [`${agent.toUpperCase()}_VERSION`, version]),
    ),
  };
  const certificates = await extraCertificates(env);
  const hash = new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([dockerfile, dpkgModes, args, certificates]))
    .digest("hex");
  return { tag: `${baseImageName}:${hash.slice(0, 12)}`, args, agents, certificates };
}

/** Arguments of the stage that fetches Node. */
function nodeArgs(env: Environment): Record<string, string> {
  // Not npm_config_registry: npm sets that for its scripts, and the image would differ from that of a plain `hjk`.
  // Without a password in it: what a builder is given as an argument stands in the image's history.
  const registry = env["NPM_CONFIG_REGISTRY"]?.replace(/^(https?:\/\/)[^/?#\\]*@/i, "$1");
  return {
    NODE_VERSION: versions.node,
    NPM_VERSION: versions.npm,
    ...(registry === undefined ? {} : { NPM_CONFIG_REGISTRY: registry }),
  };
}

/** Certificates that the host trusts beside the usual ones; empty where there are none. */
export async function extraCertificates(env: Environment): Promise<string> {
  for (const name of certificateVariables) {
    const file = env[name];
    if (file === undefined || file === "") continue;
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      throw new HeadjackError(`The certificates at ${file} (from ${name}) cannot be read.`, {
        cause: error,
        hints: [`Correct ${name}, or unset it.`],
      });
    }
  }
  return "";
}

/** How a build is run and shown; `onLine` gets each line that the builder prints. */
export interface BuildOptions {
  env: Environment;
  signal: AbortSignal;
  onLine: (line: string) => void;
}

/** Builds the base image. */
export async function buildBaseImage(
  engine: Engine,
  image: BaseImage,
  options: BuildOptions & { version: string },
): Promise<void> {
  await buildImage(
    engine,
    {
      tag: image.tag,
      files: imageFiles(image.certificates),
      args: { ...image.args, ...proxyArgs(options.env) },
      labels: {
        [labels.version]: options.version,
        [labels.agents]: Object.keys(image.agents).join(" "),
      },
    },
    {
      ...options,
      what: "The base image",
      kind: "engine",
      hints: [...registryHints, "Or use an image of your own: --image IMAGE."],
    },
  );
}

const registryHints = [
  "It needs the Debian and npm package registries; behind a proxy set HTTPS_PROXY and NODE_EXTRA_CA_CERTS,",
  "with a mirror of npm's registry set NPM_CONFIG_REGISTRY.",
];

const imageFiles = (certificates: string): Record<string, string> => ({
  Dockerfile: dockerfile,
  "dpkg-modes.c": dpkgModes,
  "extra-ca.crt": certificates,
  "gateway.js": gatewayProgram,
});

/** What a failed build is called, and what its error says. */
export type BuildFailure = { what: string; kind: ErrorKind; hints: string[] };

/** Builds an image of a few files. */
export async function buildImage(
  engine: Engine,
  image: Omit<ImageBuild, "folder"> & { files: Record<string, string> },
  options: BuildOptions & BuildFailure,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hjk-build-"));
  try {
    for (const [name, text] of Object.entries(image.files)) await writeFile(join(folder, name), text);
    const { files: _, ...build } = image;
    await buildFolder(engine, { folder, ...build }, options);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Builds an image from a folder. */
export async function buildFolder(
  engine: Engine,
  build: ImageBuild,
  options: BuildOptions & BuildFailure,
): Promise<void> {
  const env = { ...options.env, ...engine.environment };
  await runBuilder(engine.buildCommand(build), { ...options, env });
}

/** Runs a builder; where it fails, the error has its last lines. */
export async function runBuilder(
  command: readonly string[],
  options: BuildOptions & BuildFailure & { cwd?: string },
): Promise<void> {
  const decoder = new TextDecoder();
  const last: string[] = [];
  let partial = "";
  const code = await runStreaming(command, {
    env: options.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    signal: options.signal,
    onOutput: (chunk) => {
      const lines = (partial + decoder.decode(chunk, { stream: true })).split(/\r?\n|\r/);
      partial = lines.pop() ?? "";
      for (const line of lines) {
        last.push(line);
        if (last.length > 30) last.shift();
        options.onLine(line);
      }
    },
  });
  if (code === 0) return;
  const said = [...last, partial].join("\n").trim();
  throw new HeadjackError(`${options.what} could not be built:\n${said}`, {
    kind: options.kind,
    hints: options.hints,
  });
}

/** Repository name of the image that gateways run in. */
export const gatewayImageName = "headjack-gateway";

const gatewayFile = "/usr/local/lib/headjack/gateway.js";

/** Starts a gateway in it that listens at an address. */
export const gatewayCommand = (address: string): string[] => [
  "node",
  ...gatewayNodeOptions,
  gatewayFile,
  address,
];

/** The image of the gateways: Node, the program, and the host's own certificates. */
export interface GatewayImage {
  tag: string;
  args: Record<string, string>;
  certificates: string;
}

/** Which image the gateways on this machine need. */
export async function gatewayImage(env: Environment): Promise<GatewayImage> {
  const args = nodeArgs(env);
  const certificates = await extraCertificates(env);
  const hash = new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([dockerfile, args, certificates, gatewayProgram]))
    .digest("hex");
  return { tag: `${gatewayImageName}:${hash.slice(0, 12)}`, args, certificates };
}

/** Builds it, from the stages that the base image begins with, too. */
export async function buildGatewayImage(
  engine: Engine,
  image: GatewayImage,
  options: BuildOptions & { version: string },
): Promise<void> {
  await buildImage(
    engine,
    {
      tag: image.tag,
      target: "gateway",
      files: imageFiles(image.certificates),
      args: { ...image.args, ...proxyArgs(options.env) },
      labels: { [labels.version]: options.version },
    },
    { ...options, what: "The image of the gateways", kind: "engine", hints: registryHints },
  );
}

/** Proxy settings of the user's, which builders know as predefined arguments and do not keep in the image. */
export function proxyArgs(env: Environment): Record<string, string> {
  const args: Record<string, string> = {};
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"]) {
    const value = env[name];
    if (value !== undefined && value !== "") args[name] = value;
  }
  return args;
}
