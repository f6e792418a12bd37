import { buildFolder, proxyArgs, type BuildOptions } from "./base-image.ts";
import { labels, type Engine } from "./engine/engine.ts";

/** Repository name of images that were built from files of the user's, or of a repository. */
export const builtImageName = "headjack-built";

/** What stands for the place of an image's files where these are a repository's, at a commit. */
export const repositorySource = "repository";
export const devcontainerSource = "devcontainer";

/** Name of the image that is built from something; `key` is all that tells it from others. */
export function builtImage(key: string): string {
  return `${builtImageName}:${new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, 12)}`;
}

/** Builds it. The builder's cache knows the contents of its folder. */
export async function buildFrom(
  engine: Engine,
  image: {
    tag: string;
    folder: string;
    dockerfile: string;
    target?: string;
    args?: Record<string, string>;
    source: string;
    what: string;
  },
  options: BuildOptions & { store: string },
): Promise<void> {
  await buildFolder(
    engine,
    {
      tag: image.tag,
      folder: image.folder,
      dockerfile: image.dockerfile,
      ...(image.target === undefined ? {} : { target: image.target }),
      args: { ...image.args, ...proxyArgs(options.env) },
      labels: { [labels.source]: image.source, [labels.setup]: options.store },
    },
    { ...options, what: `The image of ${image.what}`, kind: "failed", hints: [] },
  );
}
