// The project that `npm run try`, the tests and the benchmark let agents work on.
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const template = join(dirname(fileURLToPath(import.meta.url)), "sample-app");

/**
 * Makes a git repository of the sample project with one commit on `main`. Nothing of the user's own
 * git settings (a template, a signing key, a hook, a missing name) has a part in it.
 * @param {string} folder
 */
export function makeSampleRepo(folder) {
  cpSync(template, folder, { recursive: true });
  git(folder, "init", "--quiet", "--initial-branch=main", "--template=");
  git(folder, "add", "--all");
  const settings = ["user.name=Sample", "user.email=sample@example.com", "commit.gpgSign=false"];
  const options = [...settings, "core.hooksPath=/dev/null"].flatMap((setting) => ["-c", setting]);
  git(folder, ...options, "commit", "--quiet", "--message=A small shop: products, users and payments");
}

/**
 * @param {string} folder
 * @param {string[]} args
 */
function git(folder, ...args) {
  // Called from a git hook, GIT_DIR and its like would mean the hook's repository instead of this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const result = spawnSync("git", args, { cwd: folder, env, encoding: "utf8" });
  if (result.error) throw new Error(`git could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`git ${args.join(" ")} failed:\n${result.stderr}`);
}
