import addScript from "../../images/tools/add.sh" with { type: "text" };
import lacksScript from "../../images/tools/lacks.sh" with { type: "text" };
import { buildImage, proxyArgs, type BuildOptions } from "./base-image.ts";
import { labels, type Engine } from "./engine/engine.ts";

/** Repository name of images with what an agent needs on top of an image that lacks it. */
export const toolsImageName = "headjack-tools";

/** What the names of a store's begin with: some are further names of images that are not ours, without a label of ours. */
export const toolsImagesOf = (store: string): string => `${toolsImageName}:${store.slice(0, 8)}-`;

/** What a layer with the tools is made from; `tag` is the hash of it. */
export interface ToolsImage {
  tag: string;
  /** The image that the layer is on. */
  from: string;
  /** uid:gid */
  user: string;
  /** User of the image whose place the containers' user takes; may be empty. */
  replaces: string;
  agents: readonly string[];
  environment: Readonly<Record<string, string>>;
  /** What is run in its containers, as JSON; empty for nothing. */
  hooks: string;
}

/** What a dev container asks for beside. */
export interface LayerSettings {
  replaces: string;
  environment: Readonly<Record<string, string>>;
  hooks: string;
}

/** `id` is that of the image `from`; `versions` are those of the agents. */
export function toolsImage(
  from: string,
  id: string,
  need: { user: string; store: string; agents: Readonly<Record<string, string>>; settings?: LayerSettings },
): ToolsImage {
  const settings = need.settings ?? { replaces: "", environment: {}, hooks: "" };
  const inputs = [id, from, need.user, settings, need.agents, addScript, lacksScript];
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify(inputs)).digest("hex");
  return {
    tag: `${toolsImagesOf(need.store)}${hash.slice(0, 12)}`,
    from,
    user: need.user,
    ...settings,
    agents: Object.keys(need.agents),
  };
}

/** A program in the image that says what it lacks. */
export const lacksCommand = (agents: readonly string[]): string[] => [
  "/bin/sh",
  "-c",
  lacksScript,
  "sh",
  ...agents,
];

/** What it has said; undefined where it has not come to its end. It is the image's output: hostile. */
export function readLacks(output: string): string[] | undefined {
  if (!output.endsWith("looked\n")) return undefined;
  return [...output.matchAll(/^lacks ((?:agent:)?[a-z][a-z0-9-]{0,31})$/gm)].map(([, word = ""]) => word);
}

/** The files of the layer: its Dockerfile, the script that it runs. */
export function toolsFiles(
  image: ToolsImage,
  from: { image: string; base: string; certificates: string },
  lacks: readonly string[],
): Record<string, string> {
  const withAgents = lacks.some((word) => word.startsWith("agent:"));
  const withGlibc = withAgents && lacks.includes("glibc");
  const [uid = "", gid = ""] = image.user.split(":");
  const run = ["/bin/sh", "-eu", "/opt/headjack/add.sh", uid, gid, image.replaces, ...lacks];
  return {
    Dockerfile: [
      `FROM ${from.base} AS base`,
      ...(withGlibc ? ["USER 0:0", `RUN ${JSON.stringify(["/bin/sh", "-ec", collectGlibc])}`] : []),
      `FROM ${from.image}`,
      "USER 0:0",
      "COPY add.sh extra-ca.crt /opt/headjack/",
      ...(withAgents
        ? [
            "COPY --from=base /usr/local/lib/node_modules /opt/headjack/lib/node_modules",
            "COPY --from=base /usr/local/bin /opt/headjack/bin",
          ]
        : []),
      ...(withGlibc ? ["COPY --from=base /glibc /opt/headjack/glibc"] : []),
      // As a list of words, so that a SHELL of the image's does not count.
      `RUN ${JSON.stringify(run)}`,
      ...Object.entries(image.environment).map(([name, value]) => `ENV ${name}=${quoted(value)}`),
      "",
    ].join("\n"),
    "add.sh": addScript,
    "extra-ca.crt": from.certificates,
  };
}

/** A value in a Dockerfile; `${NAME}` in it is a variable that the image has. */
const quoted = (value: string): string => `"${value.replaceAll(/[\\"]|\$(?!\{\w+\})/g, String.raw`\$&`)}"`;

/** The C library of the base image, and what else its programs load. */
const collectGlibc = `
mkdir /glibc
for name in ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 \
  libutil.so.1 libresolv.so.2 libnss_dns.so.2 libnss_files.so.2 libgcc_s.so.1 libstdc++.so.6; do
  for file in /lib/*-linux-gnu/$name /usr/lib/*-linux-gnu/$name; do
    if [ -e "$file" ] && ! [ -e "/glibc/$name" ]; then cp -L "$file" "/glibc/$name"; fi
  done
done
`;

/** Builds it. `from.image` is the image, or one that is the same but for its triggers. */
export async function buildToolsImage(
  engine: Engine,
  image: ToolsImage,
  from: { image: string; base: string; certificates: string },
  lacks: readonly string[],
  options: BuildOptions & { store: string },
): Promise<void> {
  await buildImage(
    engine,
    {
      tag: image.tag,
      files: toolsFiles(image, from, lacks),
      args: proxyArgs(options.env),
      labels: {
        [labels.from]: image.from,
        [labels.setup]: options.store,
        // Always: an image could bring its own.
        [labels.hooks]: image.hooks,
      },
    },
    {
      ...options,
      what: `The layer with what agents need on top of ${image.from}`,
      kind: "failed",
      hints: [
        "It is made for images of the families of Debian, Ubuntu, Alpine and Fedora, and needs their packages.",
        "Or build the image from headjack-base, or put bash, curl, git, git-lfs and the agents into it.",
      ],
    },
  );
}
