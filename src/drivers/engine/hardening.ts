import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Profile } from "../../hardening.ts";
import type { ContainerSpec } from "./engine.ts";
import { exists } from "../instance-files.ts";
import { seccompProfile } from "./seccomp.ts";

/*
 * What holds a container in, as the body of a request and as flags of the command line. docs/security.md
 * says of each why it is there and what it costs.
 */

/**
 * Added to none at all. Root inside needs these five for apt and sudo; KILL to end what it has started for
 * another user; AUDIT_WRITE, or sudo complains each time.
 */
const capabilities: Record<Profile, string[]> = {
  strict: [],
  sudo: ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"].map(
    (name) => `CAP_${name}`,
  ),
};

/** Browsers draw there; the engine's own 64 MB crash them. */
const sharedMemoryBytes = 256 * 1024 ** 2;

/** `HostConfig` of the engine's API. */
export function hardeningBody({ profile, runtime, limits }: ContainerSpec): object {
  return {
    ...(runtime === undefined ? {} : { Runtime: runtime }),
    CapDrop: ["ALL"],
    CapAdd: capabilities[profile],
    SecurityOpt: [...(profile === "strict" ? ["no-new-privileges"] : []), `seccomp=${seccompProfile}`],
    IpcMode: "private",
    ShmSize: sharedMemoryBytes,
    PidsLimit: limits.pids,
    // The same for both: no swap beside it, where a bomb would only take longer to die.
    ...(limits.memory === undefined ? {} : { Memory: limits.memory, MemorySwap: limits.memory }),
    ...(limits.cpus === undefined ? {} : { NanoCpus: Math.round(limits.cpus * 1e9) }),
    ...(limits.disk === undefined ? {} : { StorageOpt: { size: String(limits.disk) } }),
    // A dump of a large process fills the workspace, and holds its secrets.
    Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
  };
}

/** The same in the CLI's words. What the user's own flags set by another name is left to them alone. */
export function hardeningFlags({ profile, runtime, limits, flags }: ContainerSpec, folder: string): string[] {
  const sets = (names: string): boolean =>
    flags.some((flag) => new RegExp(`^(?:${names})(?:=|$)`).test(flag));
  const ownMemory = sets("--memory|-m[\\d.]*[bkmgBKMG]?");
  const ownCpus = sets("--cpu-quota|--cpu-period");
  return [
    ...(runtime === undefined ? [] : [`--runtime=${runtime}`]),
    "--cap-drop=ALL",
    ...capabilities[profile].map((name) => `--cap-add=${name}`),
    ...(profile === "strict" ? ["--security-opt=no-new-privileges"] : []),
    `--security-opt=seccomp=${profileFile(folder)}`,
    "--ipc=private",
    `--shm-size=${sharedMemoryBytes}`,
    `--pids-limit=${limits.pids}`,
    ...(limits.memory === undefined || ownMemory
      ? []
      : [`--memory=${limits.memory}`, `--memory-swap=${limits.memory}`]),
    ...(limits.cpus === undefined || ownCpus ? [] : [`--cpus=${limits.cpus}`]),
    ...(limits.disk === undefined ? [] : [`--storage-opt=size=${limits.disk}`]),
    "--ulimit=core=0",
  ];
}

/** The CLI takes the profile from a file only; its name goes by what is in it, so it is never changed. */
function profileFile(folder: string): string {
  const hash = new Bun.CryptoHasher("sha256").update(seccompProfile).digest("hex").slice(0, 12);
  const file = join(folder, `seccomp-${hash}.json`);
  if (exists(file)) return file;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, seccompProfile);
  renameSync(fresh, file);
  return file;
}
