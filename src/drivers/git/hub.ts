import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { shellQuote, type Environment } from "../process.ts";
import { messageOf } from "../../errors.ts";
import { blobSizes, readBlobs } from "./blobs.ts";
import { lasting, type Git } from "./git.ts";
import { objectFolders, shallowFile, type Repository } from "./repository.ts";
import { gitTarget } from "./private-dir.ts";

/** Most that one fetch may bring, and the time it may take. */
export interface FetchLimits {
  bytes: number;
  timeoutMs: number;
}

const usualLimits: FetchLimits = { bytes: 2 * 1024 * 1024 * 1024, timeoutMs: 120_000 };

/**
 * Bare repository of Headjack's own, one for each of the user's, where an instance's commits land
 * first: what is fetched from a container is hostile until it has been looked at.
 */
export async function ensureHub(git: Git, repository: Repository, hub: string): Promise<void> {
  const borrowed = (await objectFolders(repository)).map((folder) => `${folder}\n`).join("");
  if (!(await isThere(join(hub, "HEAD")))) await makeHub(git, repository, hub, borrowed);
  // Written only when it has changed: another instance's fetch may be reading it.
  const file = join(hub, alternatesFile);
  if ((await readFile(file, "utf8").catch(() => "")) !== borrowed) await writeFile(file, borrowed);
  await copyShallow(repository, hub);
}

/** Where the user's history is cut, the hub's is; it would look for commits before the cut otherwise. */
async function copyShallow(repository: Repository, hub: string): Promise<void> {
  const file = join(hub, "shallow");
  const cut = await shallowFile(repository);
  if ((await readFile(file, "utf8").catch(() => "")) === cut) return;
  if (cut === "") await rm(file, { force: true });
  else await writeFile(file, cut);
}

const alternatesFile = join("objects", "info", "alternates");

/** Makes the hub aside and puts it in its place whole: the commits of several instances come home at once. */
async function makeHub(git: Git, repository: Repository, hub: string, borrowed: string): Promise<void> {
  await mkdir(dirname(hub), { recursive: true, mode: 0o700 });
  const made = await mkdtemp(`${hub}.new-`);
  try {
    const format = `--object-format=${repository.objectFormat}`;
    await git.run(["init", "--quiet", "--bare", format, made], { cwd: "/" });
    await writeFile(join(made, alternatesFile), borrowed);
    await rename(made, hub);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    // Another one was first.
    if (!(await isThere(join(hub, "HEAD")))) throw error;
  }
}

/** Whether a hub is there that git can make nothing of, or that lacks what its refs name. */
export async function isHubDamaged(git: Git, hub: string): Promise<boolean> {
  if (!(await isThere(hub))) return false;
  const listed = await git.try(["for-each-ref", "--format=%(objecttype) %(refname)"], {
    cwd: hub,
    env: { GIT_DIR: hub },
  });
  return listed.code !== 0 || listed.stderr !== "";
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

export interface FetchedTips {
  /** Tip of the branch in the instance; undefined when the branch is gone there. */
  branch?: string;
  /** What HEAD is at in the instance; undefined before a first commit. */
  head?: string;
}

/**
 * Fetches an instance's branch and HEAD into the hub by `git upload-pack` in its container. The remote
 * end is hostile: objects are checked, nothing but the two named refs is taken, size and time are
 * limited, no configuration of the user's applies, and what it prints is captured by the caller's runner.
 */
export async function fetchIntoHub(
  git: Git,
  fetch: InstanceFetch & { branch: string },
): Promise<FetchedTips> {
  const namespace = `refs/instances/${fetch.instance}`;
  // Patterns, since a HEAD without a commit and a branch that was renamed inside are answers, not errors.
  const refspecs = [
    `+HEAD*:${namespace}/HEAD*`,
    `+refs/heads/${fetch.branch}*:${namespace}/heads/${fetch.branch}*`,
  ];
  await fetchFromInstance(git, fetch, refspecs, "--prune");
  return await tipsInHub(git, fetch.hub, { id: fetch.instance, branch: fetch.branch });
}

/** What the last fetch from an instance has brought into the hub. */
export async function tipsInHub(
  git: Git,
  hub: string,
  instance: { id: string; branch: string },
): Promise<FetchedTips> {
  const namespace = `refs/instances/${instance.id}`;
  const branch = await readRef(git, hub, `${namespace}/heads/${instance.branch}`);
  const head = await readRef(git, hub, `${namespace}/HEAD`);
  return { ...(branch === undefined ? {} : { branch }), ...(head === undefined ? {} : { head }) };
}

/** Fetches exactly the named refs of an instance, as from a hostile remote; returns where they are in the hub. */
export async function fetchRefsIntoHub(
  git: Git,
  fetch: InstanceFetch & { refs: readonly string[] },
): Promise<string[]> {
  const inHub = fetch.refs.map((ref) => ref.replace(/^refs\/hjk\//, `refs/instances/${fetch.instance}/`));
  const refspecs = fetch.refs.map((ref, index) => `+${ref}:${inHub[index]}`);
  await fetchFromInstance(git, fetch, refspecs, "--no-prune");
  return inHub;
}

/**
 * The other end of a fetch, as it is run in a container; git appends the folder. The engine's client does not
 * pass the variable on, without which it would first list every ref that the instance has.
 */
export const uploadPackCommand = ["env", "GIT_PROTOCOL=version=2", "git", "upload-pack"];

/** How an instance's own git is reached, and what it may cost. */
interface InstanceFetch {
  hub: string;
  instance: string;
  uploadPack: readonly string[];
  env: Environment;
  limits?: FetchLimits;
  signal?: AbortSignal;
}

async function fetchFromInstance(
  git: Git,
  fetch: InstanceFetch,
  refspecs: readonly string[],
  prune: "--prune" | "--no-prune",
): Promise<void> {
  const limits = fetch.limits ?? usualLimits;
  const options = [
    "fetch.fsckObjects=true",
    "protocol.version=2",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "gc.auto=0",
  ].flatMap((option) => ["-c", option]);
  const command = [
    ...options,
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--refmap=",
    prune,
    `--upload-pack=${fetch.uploadPack.map(shellQuote).join(" ")}`,
    gitTarget,
    ...refspecs,
  ];
  const how = {
    cwd: fetch.hub,
    timeoutMs: limits.timeoutMs,
    maxFileBytes: limits.bytes,
    ...(fetch.signal === undefined ? {} : { signal: fetch.signal }),
    env: { ...fetch.env, GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null" },
  };
  try {
    await git.run(command, how);
  } catch (error) {
    // The fetch of a command that was killed was still at work, and has written the refs meanwhile.
    if (!/cannot lock ref/.test(messageOf(error))) throw error;
    await git.run(command, how);
  }
}

/** Removes what fetches that failed have left; not while another fetch into the hub goes on. */
export async function sweepHub(hub: string): Promise<void> {
  const packs = join(hub, "objects", "pack");
  const all = await readdir(packs).catch(() => []);
  const left = all.filter((name) => name.startsWith("tmp_"));
  await Promise.all(left.map((name) => rm(join(packs, name), { force: true })));
}

async function readRef(git: Git, hub: string, name: string): Promise<string | undefined> {
  const found = await git.try(["rev-parse", "--verify", "--quiet", name], { cwd: hub });
  return found.code === 0 ? found.stdout.trim() : undefined;
}

/** Forgets what an instance has sent; the objects stay until git prunes them. */
export async function forgetInHub(git: Git, hub: string, instance: string): Promise<void> {
  if (!existsSync(hub)) return;
  const listed = await git.run(["for-each-ref", "--format=delete %(refname)", `refs/instances/${instance}`], {
    cwd: hub,
  });
  if (listed !== "") await git.run(["update-ref", "--stdin"], { cwd: hub, input: listed });
}

/** What is wrong, or worth a warning, in the files that a history changes. */
export interface HistoryFindings {
  /** Submodules added or moved: refused, since git on the host runs what is in them. */
  gitlinks: string[];
  /** Symbolic links that point out of the repository. */
  escapingLinks: string[];
  changesGitmodules: boolean;
}

/** Looks at what changed between two commits, in the hub, without any of the user's filters. */
export async function inspectHistory(
  git: Git,
  hub: string,
  from: string,
  to: string,
): Promise<HistoryFindings> {
  const findings: HistoryFindings = { gitlinks: [], escapingLinks: [], changesGitmodules: false };
  const links: { path: string; oid: string }[] = [];
  for (const { mode, oid, path } of await changedEntries(git, hub, from, to)) {
    if (mode === gitlinkMode) findings.gitlinks.push(path);
    if (path === ".gitmodules") findings.changesGitmodules = true;
    if (mode === "120000") links.push({ path, oid });
  }
  const targets = await readLinks(
    git,
    hub,
    links.map((link) => link.oid),
  );
  for (const { path, oid } of links)
    if (escapes(path, targets.get(oid) ?? "/")) findings.escapingLinks.push(path);
  return findings;
}

/** Submodules that are added or moved between two commits. */
export async function changedGitlinks(git: Git, hub: string, from: string, to: string): Promise<string[]> {
  const changed = await changedEntries(git, hub, from, to);
  return changed.filter(({ mode }) => mode === gitlinkMode).map(({ path }) => path);
}

const gitlinkMode = "160000";

/** What is at each path that differs between two commits, as the later one has it. */
async function changedEntries(
  git: Git,
  hub: string,
  from: string,
  to: string,
): Promise<{ mode: string; oid: string; path: string }[]> {
  const command = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", from, to];
  const fields = (await git.run(command, { cwd: hub })).split("\0");
  const entries = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [, mode = "", , oid = ""] = (fields[index] ?? "").split(" ");
    entries.push({ mode, oid, path: fields[index + 1] ?? "" });
  }
  return entries;
}

/** Whether a link at a path of the repository points out of it. */
export function escapes(path: string, target: string): boolean {
  if (target.startsWith("/")) return true;
  let depth = path.split("/").length - 1;
  for (const part of target.split("/")) {
    if (part === "..") depth -= 1;
    else if (part !== "" && part !== ".") depth += 1;
    if (depth < 0) return true;
  }
  return false;
}

/** Where links point, by the id of their blobs; not those whose target is longer than a path can be. */
export async function readLinks(
  git: Git,
  folder: string,
  oids: readonly string[],
): Promise<Map<string, string>> {
  const sizes = await blobSizes(git, folder, oids);
  const real = oids.filter((oid) => (sizes.get(oid) ?? Infinity) <= longestPath);
  return await readBlobs(git, folder, real);
}

/** Bytes of the longest path on any system. */
const longestPath = 4096;

/** Copies commits and what they need from the hub into the user's repository; a ref alone under no ref there. */
export async function bringHome(
  git: Git,
  repository: Repository,
  hub: string,
  ...refspecs: string[]
): Promise<void> {
  await git.run(
    [
      ...lasting,
      "fetch",
      "--quiet",
      "--no-tags",
      "--no-prune",
      "--no-recurse-submodules",
      "--no-write-fetch-head",
      "--no-auto-maintenance",
      "--refmap=",
      hub,
      ...refspecs,
    ],
    { cwd: repository.gitDir },
  );
}
