import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GitSettings, Ref, Repository } from "./repository.ts";

/** Where the instance's git directory and the main repository's objects are mounted in the container. */
export const gitTarget = "/hjk/git";
export const objectsTarget = (index: number): string =>
  index === 0 ? "/hjk/base-objects" : `/hjk/base-objects-${index}`;

/** A name and address for commits where the user has set none, so that an agent can commit at all. */
export const fallbackIdentity = { name: "Headjack", email: "headjack@localhost" };

/** Where git-lfs looks for what its own folder lacks: beside the objects that git borrows. */
export const lfsTarget = "/hjk/lfs/objects";

export interface PrivateDirOptions {
  folder: string;
  branch: string;
  /** Commit the branch is at. */
  commit: string;
  repository: Repository;
  refs: readonly Ref[];
  settings: GitSettings;
  /** How many object folders are mounted. */
  objectFolders: number;
  shallow: string;
}

/**
 * Writes the private git directory of an instance: own HEAD, refs and configuration, new objects of
 * its own, everything older read from the main repository's objects. The configuration is made from
 * an allowlist, since the user's may hold credentials (URLs, extra headers, helpers).
 */
export async function writePrivateDir(options: PrivateDirOptions): Promise<void> {
  const { folder, branch } = options;
  await mkdir(join(folder, "objects", "info"), { recursive: true });
  await Promise.all([mkdir(join(folder, "refs", "heads"), { recursive: true }), mkdir(join(folder, "info"))]);
  const alternates = Array.from({ length: options.objectFolders }, (_, index) => `${objectsTarget(index)}\n`);
  const files: [string, string][] = [
    ["HEAD", `ref: refs/heads/${branch}\n`],
    ["config", configText(options)],
    ["packed-refs", packedRefs(options)],
    ["objects/info/alternates", alternates.join("")],
  ];
  if (options.shallow !== "") files.push(["shallow", options.shallow]);
  await Promise.all(files.map(([name, text]) => writeFile(join(folder, name), text)));
}

function configText({ repository, settings }: PrivateDirOptions): string {
  const lines = ["[core]", "\tfilemode = true", "\tbare = false", "\tlogAllRefUpdates = always"];
  for (const [key, value] of Object.entries(settings.core)) {
    lines.push(`\t${key.replace("core.", "")} = ${quoted(value)}`);
  }
  lines.push("[user]", `\tname = ${quoted(settings.userName ?? fallbackIdentity.name)}`);
  lines.push(`\temail = ${quoted(settings.userEmail ?? fallbackIdentity.email)}`);
  lines.push("[gc]", "\tauto = 0");
  // As `git lfs install` has it; of use only where the repository says so. What neither side has stays as it is.
  lines.push('[filter "lfs"]', "\tclean = git-lfs clean -- %f", "\tsmudge = git-lfs smudge -- %f");
  lines.push("\tprocess = git-lfs filter-process", "\trequired = true");
  lines.push("[lfs]", "\tskipDownloadErrors = true");
  // Without a promisor git takes the objects that a partial clone lacks for corruption. It has no URL
  // that works: fetching them needs the user's credentials.
  if (settings.partialClone) {
    lines.push('[remote "promisor"]', "\turl = /nonexistent/hjk-promisor", "\tpromisor = true");
  }
  const extensions = [
    ...(repository.objectFormat === "sha256" ? ["\tobjectFormat = sha256"] : []),
    ...(settings.partialClone ? ["\tpartialClone = promisor"] : []),
  ];
  const version = `\trepositoryformatversion = ${extensions.length > 0 ? 1 : 0}`;
  lines.splice(1, 0, version);
  if (extensions.length > 0) lines.push("[extensions]", ...extensions);
  return `${lines.join("\n")}\n`;
}

function quoted(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

/** All refs of the repository, so that `main`, tags and remote branches are there to compare with. */
function packedRefs({ refs, branch, commit }: PrivateDirOptions): string {
  const own = `refs/heads/${branch}`;
  const all = [
    ...refs.filter((ref) => ref.name !== own && !ref.name.endsWith("/HEAD")),
    { name: own, oid: commit, peeled: "" },
  ];
  // The header promises this order, by bytes.
  all.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  const lines = all.map((ref) => `${ref.oid} ${ref.name}\n${ref.peeled === "" ? "" : `^${ref.peeled}\n`}`);
  return `# pack-refs with: peeled fully-peeled sorted \n${lines.join("")}`;
}
