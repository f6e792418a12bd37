// What every script needs first: the dependencies and the binary. Plain Node, without dependencies.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folder of the project. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** The compiled program. */
export const binary = join(root, "dist", "hjk");

/** The gateway's program. */
export const gateway = join(root, "dist", "gateway.text");

const bun = join(root, "node_modules", ".bin", "bun");

/** Bun as it must be started in a folder that may hold hostile settings of its own. */
export const bunCommand = [bun, "--config=/dev/null", "--no-env-file"];

/** Says what is being done, on a line of its own. */
export function say(text) {
  process.stderr.write(`${process.stderr.isTTY ? "\u001b[1m==>\u001b[0m" : "==>"} ${text}\n`);
}

/** Runs a program with its output shown; a failure ends this script. */
export function must(command, args, options = {}) {
  const result = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], cwd: root, ...options });
  if (result.error) fail(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(" ")} failed (${result.signal ?? result.status})`);
}

export function fail(text, code = 1) {
  process.stderr.write(`error: ${text}\n`);
  process.exit(code);
}

/** Installs the dependencies of the lock file unless they are there. */
export function ensureDependencies() {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) fail(`Node 20 or newer is needed; this is ${process.versions.node}.`);
  const lock = join(root, "package-lock.json");
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    say("Installing dependencies (npm ci)");
    must("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"]);
  }
  // Where npm runs no install scripts, Bun's own is made up for; it needs no network.
  const works = spawnSync(bun, ["--version"], { stdio: "ignore" }).status === 0;
  if (!works) must(process.execPath, [join(root, "node_modules", "bun", "install.js")]);
}

/** Compiles the program unless the binary is newer than everything it is made of. */
export function build() {
  if (
    existsSync(binary) &&
    existsSync(gateway) &&
    statSync(binary).mtimeMs > newest(["src", "images", "package.json", "scripts/lib"])
  )
    return;
  say("Building dist/hjk");
  // Beside the old one and put in its place when complete: a running hjk, or one that tmux starts just
  // now, must not meet half a program.
  const folder = join(dirname(binary), `build-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  bundleGateway(folder);
  must(
    bun,
    [
      "build",
      "src/main.ts",
      "--compile",
      "--minify",
      "--bytecode",
      "--format=esm",
      "--splitting",
      "--sourcemap",
      // Without these two the program would run code and take settings from the folder it is started in.
      "--no-compile-autoload-bunfig",
      "--no-compile-autoload-dotenv",
      "--define",
      'process.env.NODE_ENV="production"',
      "--outfile",
      join(folder, "hjk"),
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  renameSync(join(folder, "hjk"), binary);
  rmSync(folder, { recursive: true });
}

/** The gateway runs under Node in a container; `hjk` holds it as text. Of CommonJS, so that `node -e` takes it too. */
function bundleGateway(folder) {
  const made = join(folder, "gateway.text");
  must(
    bun,
    ["build", "src/gateway/main.ts", "--target=node", "--format=cjs", "--minify", "--outfile", made],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  renameSync(made, gateway);
}

function newest(paths) {
  let time = 0;
  for (const path of paths) {
    const full = join(root, path);
    const stat = statSync(full);
    time = Math.max(time, stat.mtimeMs);
    if (stat.isDirectory()) {
      time = Math.max(
        time,
        ...readdirSync(full, { recursive: true }).map((name) => statSync(join(full, String(name))).mtimeMs),
      );
    }
  }
  return time;
}
