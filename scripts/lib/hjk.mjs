// How the scripts run the program they have built. Plain Node, without dependencies.
import { spawnSync } from "node:child_process";
import { binary, fail, say } from "./bootstrap.mjs";
import { ensureDebianImage } from "./engine.mjs";

/**
 * The environment without what belongs to somebody else's run: settings and credentials of the user's
 * own Headjack, npm's variables for its scripts, a git hook's repository.
 */
export function cleanEnvironment() {
  const foreign = /^(npm_|HEADJACK_|GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|OBJECT_DIRECTORY)$|INIT_CWD$|NODE$)/;
  const credentials =
    /^(ANTHROPIC_|CLAUDE_CODE_OAUTH_TOKEN$|OPENAI_API_KEY$|CODEX_API_KEY$|GEMINI_API_KEY$|OPENROUTER_API_KEY$|OPENCODE_API_KEY$|COPILOT_|GH_TOKEN$)/;
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !foreign.test(name) && !credentials.test(name)),
  );
}

/** Runs `hjk` and returns what it prints; its messages are shown. */
export function hjk(args, { env, cwd }) {
  const result = spawnSync(binary, args, {
    env,
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (result.error) fail(`${binary} could not be started: ${result.error.message}`);
  return { code: result.status ?? 1, stdout: result.stdout };
}

/** Name of the base image where it is built. */
export function builtBaseImage(where) {
  const { findings = [] } = JSON.parse(hjk(["doctor", "--json"], where).stdout || "{}");
  const finding = findings.find((one) => one.what === "base image");
  return finding?.state === "ok" ? finding.detail : undefined;
}

/**
 * Sees to it that the base image is built, by making an instance that uses it, as any first `hjk run`
 * would; returns the image's name. `where.cwd` is a repository to do that in.
 */
export async function ensureBaseImage(where) {
  const there = builtBaseImage(where);
  if (there !== undefined) return there;
  await ensureDebianImage();
  say("Building the base image: Debian with Node, Python and the agents' programs (a few minutes, once)");
  const branch = "headjack-base-image";
  const made = hjk(["run", branch, "-d"], where);
  if (made.code !== 0) fail("The base image could not be built.");
  hjk(["rm", "-f", branch], where);
  spawnSync("git", ["branch", "--quiet", "-D", branch], { ...where, stdio: "ignore" });
  return builtBaseImage(where) ?? fail("The base image is built, but `hjk doctor` does not find it.");
}

/** Removes every instance of a HEADJACK_HOME; whether all of them are gone. */
export function removeInstances(where) {
  const listed = hjk(["ps", "-a", "--json"], where);
  if (listed.code !== 0) return false;
  const ids = JSON.parse(listed.stdout).instances.map((instance) => instance.id);
  return ids.length === 0 || hjk(["rm", "-f", ...ids], where).code === 0;
}
