// npm run bench:builds: what building takes in an instance, against the same in a container without Headjack.
//   -- --quick   fewer runs
//   -- --write   also writes the figures to docs/performance.md
//
// Both containers are of the same image and have the same limit of processors; each work is done in both by turns.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { build, ensureDependencies, fail, must, root, say } from "./lib/bootstrap.mjs";
import { ensureEngine, ensureTmux } from "./lib/engine.mjs";
import { cleanEnvironment, ensureBaseImage, hjk, removeInstances } from "./lib/hjk.mjs";
import { makeSampleRepo } from "./lib/sample-repo.mjs";

const rounds = process.argv.includes("--quick") ? 3 : 9;
const label = "headjack.bench";
/** Of the server that both reach; only the instance does so through its gateway. */
const host = "files.bench.test";

/** Each begins from nothing in every run. */
const works = [
  {
    what: "`npm ci`",
    reaches: 'curl -sSf -m 20 -o /dev/null "$(npm config get registry)"',
    script: "rm -rf node_modules /tmp/npm && npm ci --silent --cache /tmp/npm",
  },
  { what: "Node: `tsc`, 300 files", script: "rm -rf out && npx tsc -p ." },
  {
    what: "`pip install`, 4 packages of a local index",
    script: `export REQUESTS_CA_BUNDLE=$PWD/ca.pem CURL_CA_BUNDLE=$PWD/ca.pem PIP_CERT=$PWD/ca.pem; rm -rf /tmp/v && python3 -m venv /tmp/v && /tmp/v/bin/pip install -q --no-cache-dir --no-deps --index-url https://${host}/simple one two three four`,
  },
  { what: "Python: 400 files compiled", script: "python3 -m compileall -q -f python" },
  { what: "C: 40 files, `make`", script: "make -s -C c clean all" },
  {
    what: "`git clone` over https, 40 MB, local server",
    script: `rm -rf /tmp/clone && GIT_SSL_CAINFO=$PWD/ca.pem git clone -q https://${host}/repo.git /tmp/clone`,
  },
  {
    what: "`apt-get update && apt-get install`, profile `sudo`",
    root: true,
    reaches: "sudo apt-get -qq -o APT::Update::Error-Mode=any update",
    script:
      "sudo rm -rf /var/lib/apt/lists && sudo apt-get -qq update && sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y tree bc > /dev/null 2>&1 && sudo apt-get -qq purge -y tree bc > /dev/null 2>&1",
  },
];

async function main() {
  ensureDependencies();
  build();
  await ensureEngine();
  ensureTmux();
  const folder = mkdtempSync(join(tmpdir(), "hjk-builds-"));
  const where = {
    cwd: join(folder, "my-app"),
    env: { ...cleanEnvironment(), HEADJACK_HOME: join(folder, "hjk") },
  };
  const named = `hjk-bench-${process.pid}`;
  // Also when something fails, which ends the script.
  process.once("exit", () => {
    const ids = docker("ps", "-aq", "--filter", `label=${label}=${process.pid}`).split("\n").filter(Boolean);
    if (ids.length > 0) docker("rm", "-f", ...ids);
    removeInstances(where);
    spawnSync("tmux", ["-S", join(folder, "hjk", "data", "run", "tmux"), "kill-server"], { stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  });
  // Ctrl+C ends what runs in the container, and that ends the script.
  process.once("SIGINT", () => process.exit(130));
  makeSampleRepo(where.cwd);
  const image = await ensureBaseImage(where);
  say("Making what is built");
  const served = join(folder, "served");
  makeServed(served);
  makeProject(where.cwd, served);
  for (const profile of ["strict", "sudo"])
    if (hjk(["run", profile, "-d", "--profile", profile, "--image", image], where).code !== 0)
      fail("hjk run failed");
  const instances = Object.fromEntries(
    JSON.parse(hjk(["ps", "--json"], where).stdout).instances.map((one) => [one.branch, one.container]),
  );
  const server = startServer(`${named}-server`, image, served, Object.values(instances));
  for (const profile of ["strict", "sudo"]) hjk(["net", "allow", profile, host], where);
  const plain = startPlain(`${named}-plain`, image, where.cwd, instances["strict"], server, folder);
  report(works.map((work) => measure(work, instances, plain)));
}

/** A package index, a repository and a certificate, as files. */
function makeServed(folder) {
  mkdirSync(folder);
  const subject = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`, "-days", "2"];
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "ca.pem")];
  must("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files, ...subject], {
    stdio: "ignore",
  });
  // The server's user is another.
  chmodSync(join(folder, "key.pem"), 0o644);
  const wheels = `
import os, sys, zipfile
for name in ("one", "two", "three", "four"):
    os.makedirs(f"simple/{name}")
    wheel = f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(f"simple/{name}/{wheel}", "w", zipfile.ZIP_DEFLATED) as out:
        for i in range(100):
            out.writestr(f"{name}/m{i}.py", f"x = {os.urandom(10000).hex()!r}\\n")
        out.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1\\n")
        out.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        out.writestr(f"{name}-1.dist-info/RECORD", "")
    with open(f"simple/{name}/index.html", "w") as page:
        page.write(f'<a href="{wheel}">{wheel}</a>')
`;
  must("python3", ["-c", wheels], { cwd: folder });
  const source = join(folder, "source");
  makeSampleRepo(source);
  const git = (...args) =>
    must("git", ["-c", "user.name=x", "-c", "user.email=x@example.com", ...args], {
      cwd: source,
      stdio: "ignore",
    });
  must("python3", ["-c", 'import os\nfor i in range(400): open(f"f{i}", "wb").write(os.urandom(100000))'], {
    cwd: source,
  });
  git("add", "-A");
  git("commit", "-qm", "files");
  must("git", ["clone", "-q", "--bare", source, join(folder, "repo.git")], { stdio: "ignore" });
  for (const args of [["repack", "-adq"], ["update-server-info"]])
    must("git", args, { cwd: join(folder, "repo.git"), stdio: "ignore" });
  rmSync(source, { recursive: true });
}

/** The project that is built, committed, so that the instances have it. */
function makeProject(folder, served) {
  cpSync(join(served, "ca.pem"), join(folder, "ca.pem"));
  const packages = {
    typescript: "5.9.3",
    express: "4.21.2",
    lodash: "4.17.21",
    prettier: "3.6.2",
    "date-fns": "4.1.0",
  };
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "build", private: true, dependencies: packages }),
  );
  must("npm", ["install", "--package-lock-only", "--silent", "--ignore-scripts"], {
    cwd: folder,
    env: cleanEnvironment(),
  });
  const options = { outDir: "out", target: "es2022", module: "nodenext", strict: true, types: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["ts"] }));
  for (const name of ["ts", "python", "c"]) mkdirSync(join(folder, name));
  for (let i = 0; i < 300; i += 1)
    writeFileSync(
      join(folder, "ts", `m${i}.ts`),
      `export const f${i} = (x: number): string[] => Array.from({ length: x }, (_, i) => String(i * ${i}));\n`.repeat(
        1,
      ),
    );
  for (let i = 0; i < 400; i += 1)
    writeFileSync(
      join(folder, "python", `m${i}.py`),
      Array.from(
        { length: 60 },
        (_, n) => `def f${n}(x):\n    return [x * ${n} + y for y in range(${i})]\n`,
      ).join("\n"),
    );
  for (let i = 0; i < 40; i += 1)
    writeFileSync(
      join(folder, "c", `m${i}.c`),
      `#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n${Array.from({ length: 60 }, (_, n) => `int f${i}_${n}(int x) { int s = 0; for (int y = 0; y < x; y++) s += y * ${n} ^ x; return s; }`).join("\n")}\n`,
    );
  writeFileSync(
    join(folder, "c", "Makefile"),
    "objects := $(patsubst %.c,%.o,$(wildcard *.c))\nall: $(objects)\nclean:\n\trm -f *.o\n%.o: %.c\n\tgcc -O2 -c $< -o $@\n",
  );
  const git = (...args) =>
    must("git", ["-c", "user.name=x", "-c", "user.email=x@example.com", ...args], {
      cwd: folder,
      stdio: "ignore",
    });
  git("add", "-A");
  git("commit", "-qm", "what is built");
}

/** Serves files by TLS to both; returns its address in the engine's usual network. */
function startServer(name, image, served, networks) {
  const program = `const fs = require("fs"), path = require("path");
require("https").createServer({ key: fs.readFileSync("/srv/key.pem"), cert: fs.readFileSync("/srv/ca.pem") }, (q, s) => {
  let file = path.join("/srv", path.normalize(new URL(q.url, "https://x").pathname));
  if (file.endsWith("/")) file += "index.html";
  fs.stat(file, (e, found) => {
    if (e || !found.isFile()) { s.statusCode = 404; return s.end(); }
    s.setHeader("content-length", found.size);
    s.setHeader("content-type", file.endsWith(".html") ? "text/html" : "application/octet-stream");
    fs.createReadStream(file).pipe(s);
  });
}).listen(443);`;
  const flags = [
    "--detach",
    "--init",
    "--user=0:0",
    `--label=${label}=${process.pid}`,
    `--name=${name}`,
    `--volume=${served}:/srv:ro`,
  ];
  docker("run", ...flags, image, "node", "-e", program);
  for (const network of networks) docker("network", "connect", `--alias=${host}`, network, name);
  return docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name);
}

/** The same image on a worktree of its own, as somebody without Headjack would start it. */
function startPlain(name, image, repo, instance, server, folder) {
  const worktree = join(folder, "plain");
  must("git", ["worktree", "add", "-q", "--detach", worktree], { cwd: repo, stdio: "ignore" });
  const user = docker("inspect", "-f", "{{.Config.User}}", instance);
  const limit = Number(docker("inspect", "-f", "{{.HostConfig.NanoCpus}}", instance)) / 1e9;
  must("chown", ["-R", user, worktree], { stdio: "ignore" });
  const flags = [
    `--label=${label}=${process.pid}`,
    `--name=${name}`,
    `--user=${user}`,
    `--cpus=${limit}`,
    `--add-host=${host}:${server}`,
  ];
  docker(
    "run",
    "--detach",
    "--init",
    ...flags,
    `--volume=${worktree}:/workspace`,
    "--workdir=/workspace",
    image,
    "sleep",
    "infinity",
  );
  return name;
}

/** Medians of one work, in both by turns; nothing where it cannot be done here. */
function measure(work, instances, plain) {
  const ours = instances[work.root === true ? "sudo" : "strict"];
  if (work.reaches !== undefined && run(plain, work.reaches) === undefined)
    return { ...work, ours: undefined };
  const times = { ours: [], plain: [] };
  for (let round = 0; round <= rounds; round += 1) {
    const turns = Object.entries({ ours, plain });
    for (const [which, container] of round % 2 === 0 ? turns : turns.toReversed()) {
      const took = run(container, work.script);
      if (took === undefined) fail(`${work.what} failed in ${container}`);
      // The first fills caches.
      if (round > 0) times[which].push(took);
    }
  }
  const row = { ...work, ours: median(times.ours), plain: median(times.plain) };
  process.stdout.write(`  ${row.what}: ${(row.ours / row.plain).toFixed(2)}\n`);
  return row;
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

/** Milliseconds that a script takes in a container; nothing where it fails. */
function run(container, script) {
  const began = performance.now();
  const result = spawnSync("docker", ["exec", container, "bash", "-c", script], { encoding: "utf8" });
  const took = performance.now() - began;
  if (result.status !== 0) process.stderr.write(`${result.stdout}${result.stderr}\n`);
  return result.status === 0 ? took : undefined;
}

function report(rows) {
  const table = rows.map(({ what, ours, plain }) =>
    ours === undefined
      ? `| ${what} | - | - | not reachable here |`
      : `| ${what} | ${(ours / 1000).toFixed(2)} | ${(plain / 1000).toFixed(2)} | **${(ours / plain).toFixed(2)}** |`,
  );
  const section = `## Builds in an instance

Made by \`npm run bench:builds -- --write\`, on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB. The same work in an instance, through
its gateway, and in a container of the same image by \`docker run\`, on a worktree and in the engine's usual network, by turns;
medians of ${rounds}. Both have the same limit of processors (\`limits.cpus\` leaves one to you). The local server speaks TLS with a
certificate that git and pip are told to trust; no public package index of Python's is asked.

| work | instance, s | plain container, s | ratio |
|---|---|---|---|
${table.join("\n")}
`;
  process.stdout.write(`\n${section}`);
  if (!process.argv.includes("--write")) return;
  const file = join(root, "docs", "performance.md");
  const parts = readFileSync(file, "utf8").split(/^(?=## )/m);
  const [head = "", ...others] = parts.filter((part) => !part.startsWith("## Builds in an instance"));
  writeFileSync(file, [`${head.trimEnd()}\n\n`, `${section}\n`, ...others].join(""));
  say("Wrote docs/performance.md");
}

function docker(...args) {
  const result = spawnSync("docker", args, { encoding: "utf8" });
  if (result.status !== 0) fail(`docker ${args.join(" ")}: ${result.stderr}`);
  return result.stdout.trim();
}

await main();
