import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runBuilder, type BuildOptions } from "./base-image.ts";
import type { Engine } from "./engine/engine.ts";
import type { Environment } from "./process.ts";

/** The CLI of dev containers; on a machine that has none, npm fetches this version. */
export const devcontainerCli = "@devcontainers/cli@0.89.0";

/** What of the user's environment it gets: none of what a devcontainer.json could ask for by name. */
const passedOn =
  /^(?:PATH|HOME|LANG|XDG_CACHE_HOME|(?:https?|no)_proxy|npm_config_(?:registry|cache|cafile|strict_ssl)|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|DOCKER_(?:CONFIG|HOST|CERT_PATH|TLS_VERIFY|CONTEXT))$/i;

/**
 * Builds an image with features by the CLI. It is given settings of ours in place of the repository's file: only `build`, which
 * runs nothing on this machine but the engine's client. `folder` holds the repository's files at `file`'s commit.
 */
export async function buildDevcontainer(
  engine: Engine,
  image: {
    tag: string;
    folder: string;
    file: string;
    config: object;
    scratch: string;
    labels: Record<string, string>;
  },
  options: BuildOptions,
): Promise<void> {
  const file = join(image.folder, image.file);
  await writeFile(file, JSON.stringify(image.config));
  const installed = Bun.which("devcontainer", { PATH: options.env["PATH"] ?? "" });
  const cli =
    installed === null ? ["npx", "--yes", `--package=${devcontainerCli}`, "--", "devcontainer"] : [installed];
  await runBuilder(
    [
      ...cli,
      "build",
      `--workspace-folder=${image.folder}`,
      `--config=${file}`,
      `--image-name=${image.tag}`,
      ...Object.entries(image.labels).map(([name, value]) => `--label=${name}=${value}`),
    ],
    {
      ...options,
      env: {
        ...Object.fromEntries(Object.entries(options.env).filter(([name]) => passedOn.test(name))),
        ...engine.environment,
        // What it keeps there would be in a place that others know.
        TMPDIR: image.scratch,
      } satisfies Environment,
      // Not where the user stands: npm would obey that folder's settings.
      cwd: image.scratch,
      what: `The image of ${image.file}`,
      kind: "failed",
      hints: ["Go on without it: --no-devcontainer"],
    },
  );
}
