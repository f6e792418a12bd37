// `npm test`: everything, from a fresh clone. With --fast only what needs no container engine.
// Plain Node, without dependencies.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, bunCommand, ensureDependencies, fail, root, say } from "./lib/bootstrap.mjs";
import { ensureEngine, ensureGvisor, ensureLfs, ensureTmux } from "./lib/engine.mjs";
import { cleanEnvironment, ensureBaseImage } from "./lib/hjk.mjs";
import { makeSampleRepo } from "./lib/sample-repo.mjs";

const env = cleanEnvironment();
const count = { passed: 0, failed: 0 };
const skipped = [];
let isComplete = false;

/** The last line is the result, whatever happens before: set-up that fails is a failure too. */
process.once("exit", () => {
  if (!isComplete) count.failed += 1;
  if (skipped.length > 0)
    process.stdout.write(`\nSkipped:\n${skipped.map((line) => `  ${line}\n`).join("")}`);
  const skips = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  process.stdout.write(`\n${count.passed} passed, ${count.failed} failed${skips}\n`);
  if (count.failed > 0 || count.passed === 0) process.exitCode = 1;
});

function check() {
  say("Format, lint, types and unused code (npm run check)");
  const since = Date.now();
  const ok = run("npm", ["run", "--silent", "check"]) === 0;
  say(`check ${ok ? "passed" : "FAILED"} (${seconds(since)})`);
  count[ok ? "passed" : "failed"] += 1;
}

/** Runs the tests in these folders of the project; one that is not there has none. */
function test(what, folders, timeoutMs) {
  const present = folders.filter((folder) => existsSync(join(root, folder)));
  if (present.length === 0) return;
  say(`Tests: ${what} (${present.join(", ")})`);
  const since = Date.now();
  const folder = mkdtempSync(join(tmpdir(), "hjk-junit-"));
  const report = join(folder, "junit.xml");
  const [bun, ...options] = bunCommand;
  const code = run(bun, [
    ...options,
    "test",
    ...present.map((path) => `./${path}`),
    "--pass-with-no-tests",
    `--timeout=${timeoutMs}`,
    "--reporter=junit",
    `--reporter-outfile=${report}`,
  ]);
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  rmSync(folder, { recursive: true });
  const all = numberIn(xml, "tests");
  const failures = numberIn(xml, "failures");
  const skips = [...xml.matchAll(/<testcase ([^>]*[^/])>\s*<skipped([^>]*)>/g)].map(skippedTest);
  count.passed += all - failures - numberIn(xml, "skipped");
  // A file that cannot be loaded, or an error outside of any test, shows in the exit code alone.
  count.failed += failures > 0 || code === 0 ? failures : 1;
  skipped.push(...skips);
  say(`${what}: ${code === 0 ? "passed" : "FAILED"} (${seconds(since)})`);
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
  if (result.error) say(`${command} could not be started: ${result.error.message}`);
  return result.status ?? 1;
}

/** A count in the head of a report. */
function numberIn(xml, name) {
  return Number(new RegExp(`<testsuites [^>]*\\b${name}="(\\d+)"`).exec(xml)?.[1] ?? 0);
}

/** An attribute of an XML element, as plain text. */
function attribute(element, name) {
  const raw = new RegExp(`\\b${name}="([^"]*)"`).exec(element)?.[1] ?? "";
  const characters = { quot: '"', apos: "'", lt: "<", gt: ">", amp: "&" };
  return raw.replaceAll(/&(quot|apos|lt|gt|amp);/g, (_, entity) => characters[entity]);
}

/** Name of a skipped test and why: what the report says, otherwise the condition in its source. */
function skippedTest([, attributes, message]) {
  const file = attribute(attributes, "file");
  const group = attribute(attributes, "classname");
  const name = `${group === "" ? "" : `${group} > `}${attribute(attributes, "name")}`;
  const lines = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8").split("\n") : [];
  const source = lines[Number(attribute(attributes, "line")) - 1] ?? "";
  const condition = /\.(?:skipIf|if|todoIf)\((.*?)\)\(/.exec(source)?.[1];
  const why = attribute(message, "message") || (condition === undefined ? "" : `because of ${condition}`);
  return `${file}: ${name}${why === "" ? "" : ` (${why})`}`;
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

/** What the tests with containers need, made the way any user's first `hjk run` makes it. */
async function prepareContainers() {
  const engine = await ensureEngine();
  const tmux = ensureTmux();
  if (!ensureLfs()) say("There is no git-lfs, so the tests with Git LFS are skipped");
  if (!(await ensureGvisor())) say("The engine has no gVisor, so the tests in it are skipped");
  const folder = mkdtempSync(join(tmpdir(), "hjk-setup-"));
  try {
    const where = { env: { ...env, HEADJACK_HOME: join(folder, "home") }, cwd: join(folder, "my-app") };
    mkdirSync(where.env.HEADJACK_HOME, { mode: 0o700 });
    makeSampleRepo(where.cwd);
    say(`Docker ${engine}, tmux ${tmux}, base image ${await ensureBaseImage(where)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(args) {
  const unknown = args.find((arg) => arg !== "--fast");
  if (unknown !== undefined) fail(`npm test takes --fast, not ${unknown}.`, 2);
  ensureDependencies();
  build();
  check();
  test("without containers", ["src", "test/fast", "test/fuzz"], 30_000);
  if (!args.includes("--fast")) {
    await prepareContainers();
    test("with containers and the real agents", ["test/acceptance", "test/docs"], 300_000);
  }
  isComplete = true;
}

await main(process.argv.slice(2));
