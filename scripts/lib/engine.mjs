// What runs containers and sessions: Docker, tmux and Debian's image. Plain Node, without dependencies.
//
// What is there is used as it is, and nothing that runs is ever stopped. What is missing is installed
// and started only as root on Debian or Ubuntu, from their own packages; elsewhere the script stops and
// says what to install. What was started is left running.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fail, must, say } from "./bootstrap.mjs";

const isRoot = process.getuid?.() === 0;

/** After `su` without a dash, root does not find dockerd, and dpkg does not work. */
const env = isRoot
  ? { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin` }
  : process.env;

const daemonLog = "/var/log/dockerd.log";
/** The time that the system's package manager gets for what is not needed. */
const packageMs = 120_000;
const debianImage = "debian:bookworm-slim";

/** Sees to it that a Docker engine answers; returns its version. */
export async function ensureEngine() {
  let engine = lookAtEngine();
  if (engine.version === undefined && !engine.hasClient) {
    installOrExplain(dockerPackages, "there is no container engine (no `docker` command)", dockerAdvice());
    engine = lookAtEngine();
  }
  if (engine.version === undefined) engine = await startEngine(engine);
  return engine.version;
}

/** Sees to it that there is a tmux that is new enough; returns its version. */
export function ensureTmux() {
  const advice =
    "Install tmux 3.2 or newer: `sudo apt install tmux`, `brew install tmux`, or your system's way.";
  if (output("tmux", ["-V"]) === undefined)
    installOrExplain(() => ["tmux"], "tmux is missing, which sessions run in", advice);
  const version = (output("tmux", ["-V"]) ?? "").replace(/^tmux /, "");
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  if (major < 3 || (major === 3 && minor < 2)) fail(`tmux ${version || "(unknown)"} is too old.\n${advice}`);
  return version;
}

/** Whether there is git-lfs, which its tests need; installs it where that can be done, and does without it elsewhere. */
export function ensureLfs() {
  if (hasLfs() || !isRoot || systemName() === undefined) return hasLfs();
  installIfPossible("git-lfs");
  return hasLfs();
}

function installIfPossible(name) {
  say(`Installing ${name}, which a test needs (apt-get)`);
  run("apt-get", ["update", "-qq"], packageMs);
  // Never at the price of something that is installed: neither removed nor changed.
  const careful = ["--yes", "--no-install-recommends", "--no-remove", "--no-upgrade"];
  run("apt-get", ["install", "-qq", ...careful, name], packageMs);
}

const daemonConfig = "/etc/docker/daemon.json";
const daemonPid = "/var/run/docker.pid";

/**
 * Whether the engine has gVisor, which its tests need. Where it can be installed, and nobody has configured the
 * engine, it is registered with the running one, which takes that in without a break.
 */
export async function ensureGvisor() {
  if (hasGvisor()) return true;
  if (!isRoot || systemName() === undefined || chosenElsewhere() !== undefined) return false;
  if (existsSync(daemonConfig) || !existsSync(daemonPid)) return false;
  if (output("runsc", ["--version"]) === undefined) installIfPossible("runsc");
  const path = output("sh", ["-c", "command -v runsc"]);
  if (path === undefined) return false;
  say(`Registering gVisor with the engine, in ${daemonConfig}`);
  // The platform and the network that work in nested machines and containers, too.
  const runtime = { path, runtimeArgs: ["--platform=ptrace", "--network=host"] };
  mkdirSync(dirname(daemonConfig), { recursive: true });
  writeFileSync(daemonConfig, `${JSON.stringify({ runtimes: { runsc: runtime } }, undefined, 2)}\n`);
  process.kill(Number(readFileSync(daemonPid, "utf8")), "SIGHUP");
  for (const deadline = Date.now() + 5000; Date.now() < deadline && !hasGvisor();) await sleep(200);
  return hasGvisor();
}

function hasGvisor() {
  return succeeds("sh", ["-c", "docker info --format '{{json .Runtimes}}' | grep -q '\"runsc\"'"]);
}

function hasLfs() {
  return succeeds("git", ["lfs", "version"]);
}

/** Sees to it that a program is there whose Debian package has the same name. */
export function ensurePackage(name, why) {
  if (output(name, ["--version"]) !== undefined) return;
  installOrExplain(() => [name], `${name} ${why}`, `Install ${name}, by your system's way.`);
}

/** Sees to it that the engine has the Debian image that the base image is built on. */
export async function ensureDebianImage() {
  if (succeeds("docker", ["image", "inspect", debianImage])) return;
  say(`Getting the image ${debianImage} (docker pull)`);
  const why = await pull(debianImage);
  if (why === undefined) return;
  if (!isRoot || systemName() === undefined) {
    fail(
      `${debianImage} could not be pulled: ${why}\n` +
        `Make \`docker pull ${debianImage}\` work, or give the engine an image of that name: ` +
        "docker load, docker import or docker tag.",
    );
  }
  say(`It could not be pulled (${why}), so it is made from Debian's own packages with mmdebstrap`);
  if (output("mmdebstrap", ["--version"]) === undefined) {
    installOrExplain(
      () => ["mmdebstrap", "debian-archive-keyring"],
      "mmdebstrap is missing, which makes the image",
      "",
    );
  }
  await importDebian();
}

/** What the `docker` command says of its engine. */
function lookAtEngine() {
  const result = run("docker", ["version", "--format", "{{.Server.Version}}"]);
  const hasClient = result.error?.code !== "ENOENT";
  const version = result.status === 0 ? result.stdout.trim() : "";
  if (version !== "") return { hasClient, version };
  const said = lastLine(result.stderr ?? "");
  return { hasClient, why: said === "" ? "it does not answer" : said };
}

async function startEngine({ why }) {
  const chosen = chosenElsewhere();
  if (chosen !== undefined) {
    fail(
      `The container engine that ${chosen} names does not answer: ${why}\nStart it, or choose another one.`,
    );
  }
  if (/permission denied/i.test(why)) {
    fail(
      `Docker is there, but you may not use it: ${why}\n` +
        "Add yourself to its group (this gives you root's rights through it) and log in again: " +
        "sudo usermod -aG docker $USER",
    );
  }
  if (process.platform !== "linux") fail(`Docker does not answer: ${why}\n${dockerAdvice()}`);
  if (!isRoot) {
    fail(`Docker is installed but does not run: ${why}\nStart it: sudo systemctl start docker`);
  }
  if (output("dockerd", ["--version"]) === undefined) {
    installOrExplain(dockerPackages, "there is no Docker engine, only its client", dockerAdvice());
  }
  const engine = lookAtEngine();
  // The package may have started it.
  if (engine.version !== undefined) return engine;
  return (await startService()) ?? (await startDaemon());
}

/** Who chose an engine that is not the local one; starting the local one would not help then. */
function chosenElsewhere() {
  const local = "unix:///var/run/docker.sock";
  const host = process.env.DOCKER_HOST ?? "";
  if (host !== "") return host === local ? undefined : `DOCKER_HOST (${host})`;
  const context = output("docker", [
    "context",
    "inspect",
    "--format",
    "{{.Name}} {{.Endpoints.docker.Host}}",
  ]);
  const [name = "default", address = local] = (context ?? "").trim().split(" ");
  if (context === undefined || name === "default" || address === local) return undefined;
  return `the Docker context ${name} (${address})`;
}

/** Starts Docker the way the system starts its services; nothing where that does not work. */
async function startService() {
  const systemd = existsSync("/run/systemd/system");
  if (!systemd && !existsSync("/etc/init.d/docker")) return undefined;
  const command = systemd ? ["systemctl", "start", "docker"] : ["service", "docker", "start"];
  const log = systemd ? "journalctl -u docker" : "/var/log/docker.log";
  say(`Starting Docker, which does not run yet: ${command.join(" ")} (its log: ${log})`);
  const result = run(command[0], command.slice(1), 60_000);
  if (result.status !== 0) {
    say(
      `That did not work: ${lastLine(`${result.stdout ?? ""}${result.stderr ?? ""}`) || "no reason given"}`,
    );
    return undefined;
  }
  return await answers(20_000);
}

/** Starts the engine as a process of its own, which stays when this script ends. */
async function startDaemon() {
  say(`Starting dockerd, which stays on after this script (its log: ${daemonLog})`);
  const log = openSync(daemonLog, "a");
  const daemon = spawn("dockerd", [], { detached: true, stdio: ["ignore", log, log], cwd: "/", env });
  closeSync(log);
  let ended = "";
  daemon.once("error", (error) => (ended = error.message));
  daemon.once("exit", (code, signal) => (ended = `it ended (${signal ?? code})`));
  daemon.unref();
  const engine = await answers(60_000, () => ended !== "");
  if (engine !== undefined) return engine;
  const lines = existsSync(daemonLog) ? readFileSync(daemonLog, "utf8").trimEnd().split("\n").slice(-15) : [];
  return fail(
    `dockerd did not start: ${ended || "no answer within a minute"}. The end of ${daemonLog}:\n` +
      lines.map((line) => `  ${line}`).join("\n"),
  );
}

/** Waits until the engine answers; nothing when it does not in time, or never will. */
async function answers(timeoutMs, isHopeless = () => false) {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline && !isHopeless(); await sleep(300)) {
    const engine = lookAtEngine();
    if (engine.version !== undefined) return engine;
  }
  return undefined;
}

/** Some distributions pack the client by itself; AppArmor's profiles need its parser where the kernel has it. */
function dockerPackages() {
  const packages = ["docker.io", "ca-certificates"];
  if (succeeds("apt-cache", ["show", "docker-cli"])) packages.push("docker-cli");
  if (existsSync("/sys/module/apparmor")) packages.push("apparmor");
  return packages;
}

function dockerAdvice() {
  if (process.platform === "darwin") {
    return "Install and start Docker Desktop, OrbStack or Colima. (Headjack has not been tried on macOS yet.)";
  }
  return systemName() === undefined
    ? "Install and start Docker Engine: https://docs.docker.com/engine/install/"
    : "Install it: sudo apt install docker.io tmux, then: sudo usermod -aG docker $USER, and log in again.\n" +
        "Or run this as root, and it is done for you.";
}

let listsAreFresh = false;

/** Installs Debian packages where this script may, otherwise ends with the advice. */
function installOrExplain(packages, reason, advice) {
  const system = systemName();
  if (!isRoot || system === undefined) fail(`${reason}.\n${advice}`.replace(/^./, (c) => c.toUpperCase()));
  const options = { env: { ...env, DEBIAN_FRONTEND: "noninteractive" } };
  const quiet = ["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120"];
  if (!listsAreFresh) {
    say("Asking for the newest package lists (apt-get update)");
    must("apt-get", ["update", ...quiet], options);
    listsAreFresh = true;
  }
  const names = packages();
  say(`Installing ${names.join(", ")} from the packages of ${system} (apt-get), because ${reason}`);
  // Never at the price of something that is installed: neither removed nor changed.
  must(
    "apt-get",
    ["install", "--yes", "--no-install-recommends", "--no-remove", "--no-upgrade", ...quiet, ...names],
    options,
  );
}

/** Name of the system when it is Debian, Ubuntu or made from them. */
function systemName() {
  if (!existsSync("/etc/os-release") || output("apt-get", ["--version"]) === undefined) return undefined;
  const fields = Object.fromEntries(
    readFileSync("/etc/os-release", "utf8")
      .split("\n")
      .map((line) => /^(\w+)="?([^"]*)"?$/.exec(line)?.slice(1) ?? ["", ""]),
  );
  const ids = [fields.ID, ...(fields.ID_LIKE ?? "").split(" ")];
  return ids.includes("debian") || ids.includes("ubuntu") ? (fields.NAME ?? fields.ID) : undefined;
}

/** A registry that has not begun to send a layer by then is taken for unreachable. */
const firstLayerMs = 20_000;
const wholePullMs = 600_000;

/** Pulls an image; returns why that did not work. */
async function pull(image) {
  const child = spawn("docker", ["pull", image], { stdio: ["ignore", "pipe", "pipe"], env });
  let said = "";
  let stopped = "";
  const stop = (why) => () => {
    stopped = why;
    child.kill();
  };
  const timers = [setTimeout(stop("the registry does not answer"), firstLayerMs)];
  timers.push(setTimeout(stop("it took more than ten minutes"), wholePullMs));
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said += String(chunk);
      if (/Pulling fs layer|Already exists|Digest:/.test(said)) clearTimeout(timers[0]);
    });
  }
  const code = await ended(child);
  for (const timer of timers) clearTimeout(timer);
  if (code === 0) return undefined;
  return stopped || lastLine(said).replace(/^Error response from daemon: /, "") || "no reason given";
}

/** Lets mmdebstrap make a small Debian, and the engine take it in as it comes. */
async function importDebian() {
  const maker = spawn("mmdebstrap", ["--variant=minbase", "--quiet", "bookworm", "-"], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  const taker = spawn("docker", ["import", "--change", 'CMD ["bash"]', "-", debianImage], {
    stdio: ["pipe", "ignore", "pipe"],
    env,
  });
  let said = "";
  for (const stream of [maker.stderr, taker.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
  // One that ends early shows in its exit code.
  taker.stdin.on("error", () => undefined);
  maker.stdout.pipe(taker.stdin);
  const [made, taken] = await Promise.all([ended(maker), ended(taker)]);
  if (made === 0 && taken === 0) return;
  // What was taken of an unfinished one is no Debian.
  if (made !== 0 && taken === 0) run("docker", ["image", "rm", debianImage]);
  fail(`${debianImage} could not be made:\n${said.trimEnd().split("\n").slice(-15).join("\n")}`);
}

async function ended(child) {
  return await new Promise((resolve) => {
    child.once("error", () => resolve(127));
    child.once("close", resolve);
  });
}

function run(command, args, timeout = 20_000) {
  return spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout, env });
}

function succeeds(command, args) {
  return run(command, args).status === 0;
}

/** What a program prints; nothing when it is missing or fails. */
function output(command, args) {
  const result = run(command, args);
  return result.status === 0 ? result.stdout.trim() : undefined;
}

function lastLine(text) {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
