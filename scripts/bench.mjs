// npm run bench: how fast hjk is, as ratios of two things measured in the same run.
//   -- --quick   fewer runs
//   -- --write   also writes the figures to docs/performance.md
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { binary, build, bunCommand, ensureDependencies, fail, must, root, say } from "./lib/bootstrap.mjs";
import { ensureEngine, ensurePackage, ensureTmux } from "./lib/engine.mjs";
import { cleanEnvironment, ensureBaseImage, hjk, removeInstances } from "./lib/hjk.mjs";
import { makeSampleRepo } from "./lib/sample-repo.mjs";

const quick = process.argv.includes("--quick");
const manyInstances = 20;
const label = "headjack.bench";

/** Rows of the report: what, against what, milliseconds of both (medians), goal. */
const rows = [];

async function main() {
  ensureDependencies();
  build();
  await ensureEngine();
  ensureTmux();
  ensurePackage("hyperfine", "measures commands");
  const folder = mkdtempSync(join(tmpdir(), "hjk-bench-"));
  const where = {
    cwd: join(folder, "my-app"),
    env: { ...cleanEnvironment(), HEADJACK_HOME: join(folder, "hjk") },
  };
  try {
    makeSampleRepo(where.cwd);
    const image = await ensureBaseImage(where);
    measureStart(folder, where);
    measureRun(folder, where, image);
    measureList(where, image);
    const memory = measureMemory(where);
    report(memory);
  } finally {
    removeInstances(where);
    removeFloors();
    spawnSync("tmux", ["-S", join(folder, "hjk", "data", "run", "tmux"), "kill-server"], { stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** hjk --version against an empty program compiled the same way, and against docker --version. */
function measureStart(folder, where) {
  say("Start-up");
  const source = join(folder, "empty.ts");
  writeFileSync(source, 'import { writeSync } from "node:fs";\nwriteSync(1, "x\\n");\n');
  const empty = join(folder, "empty");
  const [bun] = bunCommand;
  const flags = [
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-dotenv",
  ];
  must(bun, ["build", source, ...flags, "--outfile", empty], { stdio: "ignore" });
  const clients = dockerClients();
  const commands = [`${binary} --version`, empty, ...clients.map((client) => `${client.path} --version`)];
  const [ours, bare, ...theirs] = measure(commands, where, quick ? 20 : 60);
  for (const [index, client] of clients.entries()) {
    row("hjk --version", ours, `docker --version (${client.version})`, theirs[index], 1);
  }
  row("hjk --version", ours, "empty compiled program", bare, 2);
}

/** hjk run -d against its floor: the same steps by hand, one after the other, without gateway, network and probe. */
function measureRun(folder, where, image) {
  say("hjk run -d");
  const floor = join(folder, "floor.sh");
  const floors = join(folder, "floors");
  mkdirSync(floors);
  const name = `hjk-floor-$$`;
  writeFileSync(
    floor,
    `set -e
git worktree add -q --detach ${floors}/$$ HEAD
docker create --label ${label} --name ${name} --init -v ${floors}/$$:/workspace -w /workspace ${image} sleep 1000 >/dev/null
docker start ${name} >/dev/null
docker exec ${name} true
`,
  );
  const run = join(folder, "run.sh");
  writeFileSync(run, `exec ${binary} run bench/$$ -d >/dev/null\n`);
  const [ours, bare] = measure([`sh ${run}`, `sh ${floor}`], where, quick ? 4 : 15, 1);
  row("hjk run -d, new instance", ours, "git worktree add, docker create, start, exec", bare, 1.5);
  removeFloors();
  removeInstances(where);
}

/** hjk ps against docker ps, with one instance and with many. */
function measureList(where, image) {
  for (const count of [1, manyInstances]) {
    say(`hjk ps with ${count} instance${count === 1 ? "" : "s"}`);
    const there = JSON.parse(hjk(["ps", "--json"], where).stdout).instances.length;
    for (let index = there; index < count; index += 1) {
      if (hjk(["run", `list/${index}`, "-d", "--image", image], where).code !== 0) fail("hjk run failed");
    }
    hjk(["ps"], where);
    const clients = dockerClients();
    const commands = [`${binary} ps`, ...clients.map((client) => `${client.path} ps`)];
    const [ours, ...theirs] = measure(commands, where, quick ? 20 : 60);
    for (const [index, client] of clients.entries()) {
      const what = `hjk ps, ${count} instance${count === 1 ? "" : "s"}`;
      row(what, ours, `docker ps (${client.version})`, theirs[index], 1);
    }
  }
}

/** Resident memory on the host for each session that nobody looks at, shared pages counted once (PSS). */
function measureMemory(where) {
  const sessions = manyInstances;
  const listing = spawnSync("ps", ["-eo", "pid,args"], { encoding: "utf8" }).stdout.split("\n");
  // Each names a file below it.
  const ours = listing.filter((line) => line.includes(where.env.HEADJACK_HOME));
  const named = {
    "engine client (docker exec)": /docker exec/,
    recorder: /\bdd of=|umask 077/,
    "tmux server": /tmux -u -S/,
  };
  const rows = Object.entries(named).map(([what, pattern]) => {
    const pids = ours.filter((line) => pattern.test(line)).map((line) => line.trim().split(/\s+/)[0]);
    const total = pids.reduce((sum, pid) => sum + proportionalKb(pid), 0);
    return { what, perSession: total / 1024 / sessions };
  });
  return [...rows, { what: "gateway of its instance, at rest", perSession: gatewayMegabytes(where) }];
}

/** What a gateway takes by the engine's count, on the average. */
function gatewayMegabytes(where) {
  const instances = JSON.parse(hjk(["ps", "--json"], where).stdout).instances;
  const names = instances.map(({ container }) => `${container}-gateway`);
  const format = "--format={{.MemUsage}}";
  const { stdout } = spawnSync("docker", ["stats", "--no-stream", format, ...names], { encoding: "utf8" });
  const sizes = [...stdout.matchAll(/^([\d.]+)MiB /gm)].map(([, size]) => Number(size));
  return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
}

function proportionalKb(pid) {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Medians in milliseconds, commands taking turns so that a busy moment hits all of them. */
function measure(commands, where, runs, warmup = 3) {
  const times = commands.map(() => []);
  const output = join(tmpdir(), `hjk-bench-${process.pid}.json`);
  for (let round = 0; round < 3; round += 1) {
    const args = [
      "--shell=none",
      `--warmup=${warmup}`,
      `--runs=${Math.ceil(runs / 3)}`,
      `--export-json=${output}`,
    ];
    const result = spawnSync("hyperfine", [...args, ...commands], {
      ...where,
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
    });
    if (result.status !== 0) fail(`hyperfine failed: ${result.stderr}`);
    const { results } = JSON.parse(readFileSync(output, "utf8"));
    for (const [index, one] of results.entries()) times[index].push(...one.times);
  }
  rmSync(output, { force: true });
  return times.map((list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] * 1000);
}

function row(what, ours, against, theirs, goal) {
  rows.push({ what, ours, against, theirs, ratio: ours / theirs, goal });
  const last = rows.at(-1);
  process.stdout.write(`  ${what}: ${last.ratio.toFixed(2)} of ${against} (goal: at most ${goal})\n`);
}

function report(memory) {
  const table = [
    "| measured | ms | against | ms | ratio | goal |",
    "|---|---|---|---|---|---|",
    ...rows.map(
      (one) =>
        `| ${one.what} | ${one.ours.toFixed(1)} | ${one.against} | ${one.theirs.toFixed(1)} | **${one.ratio.toFixed(2)}** | ≤ ${one.goal} |`,
    ),
    "",
    "| host memory for each detached session | MB |",
    "|---|---|",
    ...memory.map((one) => `| ${one.what} | ${one.perSession.toFixed(1)} |`),
  ].join("\n");
  process.stdout.write(`\n${table}\n`);
  if (!process.argv.includes("--write")) return;
  const text = `# Performance

Made by \`npm run bench -- --write\`. Each ratio compares two things measured in turn in one run (hyperfine,
medians); absolute times say little, since they change with the machine and what else it does.

Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, ${versionOf("uname", "-sr")}, Docker Engine ${versionOf("docker", "version", "-f", "{{.Server.Version}}")}, ${versionOf("git", "--version")}, ${versionOf("tmux", "-V")}.

${table}

- "Empty compiled program" prints one letter and is built with the same compiler and flags.
- \`hjk run -d\` ends when the session's program has been let go in the container. Its floor makes the same
  things by hand, one after the other: worktree, container, start, first exec. A network, a gateway and the probe
  of the instance's walls are in ours alone.
- \`hjk ps\` also looks whether there are new commits to bring home. The number behind \`docker\` is the client's
  version: newer ones are quicker.
- Memory is the proportional set size: a page that several processes share counts once. That of
  gateways is what the engine counts for their containers.
`;
  const file = join(root, "docs", "performance.md");
  // What `npm run bench:agents` has found stays.
  const others = readFileSync(file, "utf8")
    .split(/^(?=## )/m)
    .slice(1);
  writeFileSync(file, [text, ...others].join("\n"));
  say("Wrote docs/performance.md");
}

function removeFloors() {
  const ids = spawnSync("docker", ["ps", "-aq", "--filter", `label=${label}`], { encoding: "utf8" })
    .stdout.split("\n")
    .filter(Boolean);
  if (ids.length > 0) spawnSync("docker", ["rm", "-f", ...ids], { stdio: "ignore" });
}

/** Every Docker client on the PATH: a machine may have the system's and a newer, quicker one. */
function dockerClients() {
  const found = (process.env.PATH ?? "")
    .split(":")
    .map((folder) => join(folder, "docker"))
    .filter(existsSync);
  const files = [...new Set(found.map((path) => realpathSync(path)))];
  return files.map((path) => ({
    path,
    version: /(\d+\.\d+\.\d+)/.exec(versionOf(path, "--version"))?.[1] ?? "unknown",
  }));
}

function versionOf(command, ...args) {
  return spawnSync(command, args, { encoding: "utf8" }).stdout.trim().split("\n")[0];
}

await main();
