// `npm run try`: three agents at work at once, from nothing, with no account. Plain Node, without
// dependencies, since it is the first thing a newcomer runs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { binary, build, ensureDependencies, fail, root } from "./lib/bootstrap.mjs";
import { ensureEngine, ensureTmux } from "./lib/engine.mjs";
import { cleanEnvironment, ensureBaseImage, hjk, removeInstances } from "./lib/hjk.mjs";
import { makeSampleRepo } from "./lib/sample-repo.mjs";

const caches = process.env.XDG_CACHE_HOME ?? "";
const folder = join(isAbsolute(caches) ? caches : join(homedir(), ".cache"), "headjack-try");
const repo = join(folder, "my-app");
const home = join(folder, "home");
const pidFile = join(folder, "try.pid");

/** Settings of the user's own Headjack are neither read nor changed. */
const env = { ...cleanEnvironment(), HEADJACK_HOME: home, GIT_PAGER: "cat", PAGER: "cat" };
const where = { env, cwd: repo };

const stubPort = "8790";
const stubLabel = `headjack.try=${folder}`;
/** How long the stand-in thinks before each step: long enough to see three agents at work at once. */
const stubPauseMs = "1000";

/** The tutorial's three tasks; one of the agents asks a question in the end. */
const tasks = [
  {
    branch: "feat/health-endpoint",
    prompt:
      "Add a GET /api/health endpoint that returns { status: ok, timestamp: <current time> }. Include a test in the API test suite.",
  },
  {
    branch: "feat/payment-errors",
    prompt:
      "Improve error handling in src/services/payment.js. Wrap external API calls in try-catch blocks, add logging for failures, and return user-friendly error messages. Add tests for error scenarios.",
    asks: true,
  },
  {
    branch: "docs/user-api",
    prompt:
      "Write API documentation for the user endpoints in docs/api/users.md. Include request/response examples for each endpoint. Follow the format used in docs/api/products.md.",
  },
];
const [healthTask, paymentTask, docsTask] = tasks;

const workTimeoutMs = 120_000;
const steps = 7;

// ---------------------------------------------------------------------------------------- the screen

const isTerminal = process.stdout.isTTY;
const hasColor = isTerminal && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb";
const paint = (code) => (text) => (hasColor ? `\u001b[${code}m${text}\u001b[0m` : text);
const bold = paint("1");
const dim = paint("2");
const green = paint("32");
const yellow = paint("33");
const cyan = paint("36");

function print(text = "") {
  process.stdout.write(`${text}\n`);
}

const begun = Date.now();
let stepNumber = 0;
let hasShown = false;

/** One step: a heading, the work, and how long it took. */
async function step(title, work) {
  stepNumber += 1;
  print(`\n${bold(`[${stepNumber}/${steps}] ${title}`)}`);
  const since = Date.now();
  hasShown = false;
  const result = await work();
  if (hasShown) print();
  print(dim(`      ${result.note}, ${seconds(Date.now() - since)}`));
  return result.value;
}

function seconds(ms) {
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** Shows a command as the user would type it, and runs it with its own output. */
function show(command, args) {
  hasShown = true;
  print(`\n${cyan(`$ ${[command, ...args].map(quoted).join(" ")}`)}`);
  runVisibly(command, args);
}

function runVisibly(command, args) {
  const program = command === "hjk" ? binary : command;
  const result = spawnSync(program, args, { ...where, stdio: ["ignore", "inherit", "inherit"] });
  if (result.error) stop(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) stop(`${command} ${args[0] ?? ""} failed (${result.signal ?? result.status}).`);
}

function quoted(word) {
  return /^[\w./:=@,+-]+$/.test(word) ? word : `"${word.replaceAll(/["$`\\]/g, "\\$&")}"`;
}

/** A path as one would type it, with `~` where it is in the home directory. */
function tilde(path) {
  return path.startsWith(`${homedir()}/`) ? `~${path.slice(homedir().length)}` : path;
}

/** The same for a place where the shell does not understand `~`. */
function homeVariable(path) {
  return `"${path.startsWith(`${homedir()}/`) ? `$HOME${path.slice(homedir().length)}` : path}"`;
}

function stop(text) {
  rmSync(pidFile, { force: true });
  fail(
    `${text}\n` +
      `What was made so far is in ${tilde(folder)}. \`npm run try\` starts again from the beginning, ` +
      "`npm run try -- --clean` removes it.",
  );
}

// ------------------------------------------------------------------------------------------ the steps

function startModel(image) {
  const args = [
    "run",
    "--detach",
    "--init",
    `--label=${stubLabel}`,
    `--volume=${join(root, "test", "support", "model-stub")}:/stub:ro`,
    `--env=MODEL_STUB_PORT=${stubPort}`,
    `--env=MODEL_STUB_PAUSE_MS=${stubPauseMs}`,
    image,
    "node",
    "/stub/server.ts",
  ];
  const container = docker(args).trim();
  const health = ["exec", container, "curl", "-sf", `http://127.0.0.1:${stubPort}/_health`];
  for (const deadline = Date.now() + 20_000; spawnSync("docker", health, { env }).status !== 0;) {
    if (Date.now() > deadline) stop(`The stand-in model does not answer:\n${docker(["logs", container])}`);
  }
  const address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  return `http://${docker(["inspect", "--format", address, container]).trim()}:${stubPort}`;
}

function docker(args) {
  const result = spawnSync("docker", args, { env, encoding: "utf8" });
  if (result.status !== 0) stop(`docker ${args[0]} failed: ${result.stderr ?? result.error?.message}`);
  return result.stdout;
}

/** Points Claude Code at the stand-in; the token is a word that it takes for one. */
function writeConfig(url) {
  const lines = [
    "# Made by `npm run try`: the offline stand-in for the model.",
    "default:",
    "  agent: claude",
    "agents:",
    "  claude:",
    `    base_url: ${url}`,
    "    env:",
    "      CLAUDE_CODE_OAUTH_TOKEN: stand-in",
    "",
  ];
  mkdirSync(home, { recursive: true, mode: 0o700 });
  writeFileSync(join(home, "config.yaml"), lines.join("\n"));
}

/** How far a task is: the subject of its commit, and what `hjk` says of its agent. */
function progressOf(task, instances) {
  const activity = instances.find((instance) => instance.branch === task.branch)?.activity;
  const commit = git("log", "-1", "--format=%s", `main..${task.branch}`);
  const isAtRest = activity?.state === (task.asks === true ? "waiting" : "done");
  return { commit, isDone: commit !== "" && isAtRest, said: activity?.message || lastWords(task) };
}

/** What an agent at work has said last, from its log. */
function lastWords(task) {
  const said = hjk(["logs", task.branch, "-n", "60"], where)
    .stdout.split(/\n(?=● )/)
    .slice(1)
    .map((part) =>
      part
        .replace(/\n\s*\n[\s\S]*/, "")
        .replaceAll(/\s+/g, " ")
        .slice(2)
        .trim(),
    );
  return said.findLast((text) => !/^\w+\(|ctrl\+o/.test(text)) ?? "starting";
}

function git(...args) {
  const result = spawnSync("git", args, { ...where, encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : "";
}

function progressLine(task, { commit, isDone, said }) {
  const width = Math.max(40, (process.stdout.columns ?? 100) - 1);
  const state = isDone ? (task.asks === true ? "asks" : "done") : "at work";
  const text = isDone && task.asks !== true ? `committed: ${commit}` : said;
  const plain = `  ${task.branch.padEnd(22)}${state.padEnd(9)}${text}`;
  const color = state === "asks" ? yellow : state === "done" ? green : dim;
  return color(plain.length > width ? `${plain.slice(0, width - 3)}...` : plain);
}

/** Shows `hjk ps` anew, in place, until every agent has committed and said its last word. */
async function watchTasks() {
  const deadline = Date.now() + workTimeoutMs;
  let drawn = 0;
  let before = [];
  print(
    `\n${cyan("$ hjk ps")}${isTerminal ? dim("          (again and again; below it, what each agent says)") : ""}`,
  );
  if (!isTerminal) runVisibly("hjk", ["ps"]);
  for (;;) {
    // Brings the commits home, too, so that the table below is drawn at once.
    const { instances } = JSON.parse(hjk(["ps", "--json"], where).stdout);
    const all = tasks.map((task) => progressOf(task, instances));
    const lines = tasks.map((task, index) => progressLine(task, all[index]));
    if (isTerminal) {
      // Between these two marks a terminal that knows them draws nothing, so that nothing flickers.
      process.stdout.write("\u001b[?2026h");
      if (drawn > 0) process.stdout.write(`\u001b[${drawn}A\u001b[J`);
      runVisibly("hjk", ["ps"]);
      print(`\n${lines.join("\n")}\u001b[?2026l`);
      drawn = 1 + tasks.length + 1 + lines.length;
    } else {
      for (const [index, line] of lines.entries()) if (line !== before[index]) print(line);
      before = lines;
    }
    if (all.every((progress) => progress.isDone)) return;
    if (Date.now() > deadline) {
      for (const [index, task] of tasks.entries()) {
        if (!all[index].isDone) show("hjk", ["logs", task.branch, "-n", "30"]);
      }
      stop(`The agents did not finish within ${seconds(workTimeoutMs)}; above is what their screens show.`);
    }
    await sleep(1000);
  }
}

/** Removes what an earlier try has made; says what. */
function clean() {
  if (!existsSync(folder)) return "there was nothing";
  if (existsSync(home)) {
    // Not in the sample repository, which may be half made or gone.
    if (!removeInstances({ env, cwd: folder })) {
      fail(`The instances of an earlier try could not be removed. They belong to ${tilde(home)}.`);
    }
  }
  const found = spawnSync("docker", ["ps", "-aq", `--filter=label=${stubLabel}`], { env, encoding: "utf8" });
  const containers = found.status === 0 ? found.stdout.split("\n").filter((id) => id !== "") : [];
  if (containers.length > 0) docker(["rm", "--force", ...containers]);
  rmSync(folder, { recursive: true, force: true });
  return `removed the instances, the stand-in and ${tilde(folder)}`;
}

/** Two at once would remove each other's things. */
function claimFolder() {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(pidFile, String(process.pid));
  process.once("exit", () => rmSync(pidFile, { force: true }));
}

function refuseSecond() {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8"));
  if (!Number.isInteger(pid) || pid <= 0) return;
  try {
    process.kill(pid, 0);
  } catch {
    return;
  }
  fail(`Another \`npm run try\` is at work (process ${pid}). If there is none, remove ${tilde(pidFile)}.`);
}

function nextSteps() {
  const path = `PATH=${homeVariable(dirname(binary)).slice(0, -1)}:$PATH"`;
  print(`
${bold("What next")}

  The three agents are still there, and one of them waits for an answer. In this terminal:

    cd ${tilde(repo)}
    export HEADJACK_HOME=${homeVariable(home)} ${path}

    hjk send ${paymentTask.branch} "Report it"   ${dim("answers its question")}
    hjk attach ${paymentTask.branch}             ${dim("its screen; Ctrl+B, then d, leaves it running")}
    hjk ps ${paymentTask.branch}                 ${dim("its sessions; hjk ps alone: all branches")}
    git checkout ${docsTask.branch}                 ${dim("finished work, in your own editor")}
    hjk stop ${healthTask.branch}              ${dim("done with it; hjk rm removes it")}

  With your own account, in a repository of your own and a new terminal:

    export ${path}
    cd ~/projects/my-app
    hjk auth claude                       ${dim("a subscription's token or an API key")}
    hjk run feat/my-idea --agent claude -d "What you want done"
    hjk ps

  To remove everything that this has made:

    npm run try -- --clean
`);
}

async function main(args) {
  const unknown = args.find((arg) => arg !== "--clean");
  if (unknown !== undefined) {
    fail(`npm run try takes no ${unknown}. Only: npm run try -- --clean, to remove what it made.`, 2);
  }
  if (process.platform === "win32") fail("Headjack runs on Linux and macOS; on Windows, inside WSL 2.");
  if (spawnSync("git", ["--version"]).status !== 0) fail("git is needed. Install it, then try again.");
  refuseSecond();
  if (args.includes("--clean")) {
    ensureDependencies();
    build();
    print(clean().replace(/^./, (c) => c.toUpperCase()));
    return;
  }

  print(bold("Headjack: three coding agents at once, each in its own container on its own branch"));
  print(`
  This runs the tutorial with the real Claude Code. The model behind it is an offline stand-in:
  no account, no key, and nothing the agents do leaves this machine.`);

  await step("Dependencies and dist/hjk", () => {
    ensureDependencies();
    build();
    return { note: `hjk ${hjk(["--version"], { env, cwd: root }).stdout.trim()}` };
  });
  await step("Container engine and tmux", async () => {
    const engine = await ensureEngine();
    return { note: `Docker ${engine}, tmux ${ensureTmux()}` };
  });
  await step("A sample repository", () => {
    clean();
    claimFolder();
    makeSampleRepo(repo);
    return { note: `a small shop in ${tilde(repo)}` };
  });
  const image = await step("Base image of the containers", async () => {
    const value = await ensureBaseImage(where);
    return { note: value, value };
  });
  await step("Stand-in for the model, in a container of its own", () => {
    const url = startModel(image);
    writeConfig(url);
    return { note: `${url}, offline: no account, no key` };
  });
  await step("Three agents at work, at once", async () => {
    print(`\n${cyan(`$ cd ${tilde(repo)}`)}`);
    for (const { branch, prompt } of tasks) show("hjk", ["run", branch, "--agent", "claude", "-d", prompt]);
    await watchTasks();
    return { note: "all three have committed, one has a question" };
  });
  await step("A look at what they did", () => {
    show("hjk", ["ps", paymentTask.branch]);
    show("hjk", ["logs", paymentTask.branch, "-n", "20"]);
    print(
      yellow(
        "\n  The agent asks a question and waits. `hjk send` answers it, `hjk attach` puts you on its screen.",
      ),
    );
    print(dim("\n  The commits are in your repository already, each agent's on its own branch:"));
    show("git", ["log", "--oneline", "--graph", "--branches"]);
    print(dim("\n  Review of a finished branch:"));
    show("git", ["diff", "--stat", `main...${docsTask.branch}`]);
    show("git", ["show", `${healthTask.branch}:src/routes/health.js`]);
    print(dim("\n  Its tests, in its own container:"));
    show("hjk", ["exec", "--no-mux", healthTask.branch, "node", "--test"]);
    return { note: "nothing of yours was touched" };
  });
  print(`\n${green(bold(`It works. It took ${seconds(Date.now() - begun)} in all.`))}`);
  nextSteps();
}

await main(process.argv.slice(2));
