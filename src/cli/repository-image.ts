import { posix } from "node:path";
import { copiedPaths } from "../core/dockerfile.ts";
import type { DevcontainerImage, RepositoryImage } from "../core/built-image.ts";
import { devcontainerCli } from "../drivers/devcontainer-cli.ts";
import { fileAt, type Repository } from "../drivers/git/repository.ts";
import { idsAt } from "../drivers/git/tree.ts";
import { HeadjackError } from "../errors.ts";
import type { Context } from "./context.ts";

/** In a repository, at its top: what the image of its instances is built from. */
const dockerfileName = "Dockerfile.headjack";

/** Bytes; whoever has more to say puts it into a script of the repository's, or an image. */
export const maxFileBytes = 64 * 1024;

/** What a repository's own Dockerfile builds from at a commit; undefined where there is none. */
export async function readRepositoryImage(
  context: Context,
  repository: Repository,
  commit: string,
): Promise<RepositoryImage | undefined> {
  const text = await fileAt(context.git, repository, commit, dockerfileName, maxFileBytes);
  if (text === undefined) return undefined;
  const copied = copiedPaths(text);
  const paths = copied && [...copied, ".dockerignore", `${dockerfileName}.dockerignore`];
  const ids = await idsAt(context.git, repository.gitDir, commit, paths && [dockerfileName, ...paths]);
  return { file: dockerfileName, text, paths, content: JSON.stringify([paths ?? null, ids]) };
}

/** What a repository's devcontainer.json asks for at a commit; undefined where there is none. */
export async function readDevcontainerImage(
  context: Context,
  repository: Repository,
  commit: string,
): Promise<DevcontainerImage | undefined> {
  const read = (path: string): Promise<string | undefined> =>
    fileAt(context.git, repository, commit, path, maxFileBytes);
  const file = await devcontainerFile(context, repository, commit);
  const text = file === undefined ? undefined : await read(file);
  if (file === undefined || text === undefined) return undefined;
  // Loaded only where there is a file: start-up time counts.
  const { readDevcontainer } = await import("../core/devcontainer.ts");
  const found = await readDevcontainer(file, text, read);
  let paths: string[] | undefined = [file, ".devcontainer"];
  if ("dockerfile" in found.from) {
    const { context: folder, dockerfile } = found.from;
    const copied = copiedPaths((await read(dockerfile)) ?? "");
    const within = copied ?? ["."];
    const named = [...within, ".dockerignore"].map((path) => posix.join(folder, path));
    paths = named.some((path) => path === "." || path === "./")
      ? undefined
      : [...paths, dockerfile, `${dockerfile}.dockerignore`, ...named];
  }
  const ids = await idsAt(context.git, repository.gitDir, commit, paths);
  // Beside the files what is taken of them, which may lie in further files, as those of compose.
  return { ...found, text, paths, content: JSON.stringify([paths ?? null, ids, found]) };
}

/** Where it is; of several in folders of their own none is taken for the one. */
async function devcontainerFile(
  context: Context,
  repository: Repository,
  commit: string,
): Promise<string | undefined> {
  const listed = await context.git.run(
    ["ls-tree", "-r", "-z", "--name-only", commit, "--", ".devcontainer", ".devcontainer.json"],
    { cwd: repository.gitDir },
  );
  const names = listed.split("\0");
  const usual = [".devcontainer/devcontainer.json", ".devcontainer.json"].find((name) =>
    names.includes(name),
  );
  if (usual !== undefined) return usual;
  const others = names.filter((name) => /^\.devcontainer\/[^/]+\/devcontainer\.json$/.test(name));
  if (others.length < 2) return others[0];
  throw new HeadjackError(`${repository.name} has several devcontainer.json, and none is the usual one.`, {
    hints: [`They are: ${others.slice(0, 5).join(", ")}`, "Go on without them: --no-devcontainer"],
  });
}

/** Lines for people. What the repository wrote has a mark before each line, so that none looks like one of ours. */
export function describeRepositoryImage({ file, text, paths }: RepositoryImage): string[] {
  return [
    `to build the image of its containers, as root, with the network, from ${file}, with ${filesIn(paths)}:`,
    ...quoted(text),
  ];
}

export function describeDevcontainer({ file, text, paths, features, leftOut }: DevcontainerImage): string[] {
  return [
    `to build the image of its containers, as root, with the network, from ${file}, with ${filesIn(paths)}, and to run its commands in them:`,
    ...quoted(text),
    ...(features === undefined
      ? []
      : [
          `  Its features are fetched and put in by \`devcontainer\`, or npm's ${devcontainerCli}, on this machine.`,
        ]),
    ...(leftOut.length === 0 ? [] : [`  Left out in any case: ${leftOut.join("; ")}.`]),
  ];
}

const quoted = (text: string): string[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => `  | ${line}`);

function filesIn(paths: string[] | undefined): string {
  if (paths === undefined) return "all of its files";
  const named = [...new Set(paths)].filter((path) => !path.endsWith(".dockerignore"));
  return named.length === 0 ? "none of its files" : named.join(" ");
}
