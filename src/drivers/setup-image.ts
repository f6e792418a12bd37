import { buildImage, proxyArgs, type BuildOptions } from "./base-image.ts";
import { labels, type Engine } from "./engine/engine.ts";

/** Repository name of images with a repository's set-up on top of another image. */
export const setupImageName = "headjack-setup";

/** An image that is made of another one by lines of shell; its tag is the hash of both. */
export interface SetupImage {
  tag: string;
  from: string;
  lines: readonly string[];
}

/** `id` is that of the image `from`, whose name may mean another one tomorrow. */
export function setupImage(from: string, id: string, lines: readonly string[]): SetupImage {
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify([id, from, lines])).digest("hex");
  return { tag: `${setupImageName}:${hash.slice(0, 12)}`, from, lines };
}

/** Builds it. Nothing is in its folder but the Dockerfile: no repository, no secret. */
export async function buildSetupImage(
  engine: Engine,
  image: SetupImage,
  options: BuildOptions & {
    store: string;
    /** Variables with the user's own package registries. */
    registries: Record<string, string>;
  },
): Promise<void> {
  // As lists of words: a Dockerfile would read a line's end, a comment or a `<<` in its own way. The image's
  // own user need not come back: a container of ours always has one given.
  const runs = image.lines.map((line) => `RUN ${JSON.stringify(["/bin/sh", "-ec", line])}\n`);
  // Arguments last no longer than the build. A container has the user's of the day it is made.
  const names = Object.keys(options.registries).map((name) => `ARG ${name}\n`);
  await buildImage(
    engine,
    {
      tag: image.tag,
      files: { Dockerfile: `FROM ${image.from}\n${names.join("")}USER 0:0\n${runs.join("")}` },
      args: { ...proxyArgs(options.env), ...options.registries },
      labels: { [labels.from]: image.from, [labels.setup]: options.store },
    },
    {
      ...options,
      what: "The image with the repository's setup",
      kind: "failed",
      hints: ["Look at its setup: hjk setup"],
    },
  );
}
