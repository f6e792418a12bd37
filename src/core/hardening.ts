import type { Capacity, ContainerLimits } from "../drivers/engine/engine.ts";
import { HeadjackError } from "../errors.ts";
import { defaultIsolation, type HardeningSettings } from "../hardening.ts";

/** Enough for a large build beside several agents; stops a fork bomb before the host feels it. */
const defaultPids = 2048;

/** Bytes; an agent with its builds and a browser takes less, and several of them share a machine. */
const mostDefaultMemory = 8 * 1024 ** 3;

/**
 * Limits of a container on a machine. By default half of its memory, and one processor less than it has, so
 * that whoever sits at it can still end what runs away.
 */
export function limitsOn(machine: Capacity, wanted: HardeningSettings): ContainerLimits {
  const memory = wanted.memory ?? Math.min(mostDefaultMemory, Math.floor(machine.memory / 2));
  // An engine refuses more than there are.
  const cpus = Math.min(wanted.cpus ?? Math.max(1, machine.cpus - 1), machine.cpus);
  return {
    pids: wanted.pids ?? defaultPids,
    ...(wanted.disk === undefined ? {} : { disk: wanted.disk }),
    ...(machine.lacks.includes("memory limit") ? {} : { memory }),
    ...(machine.lacks.includes("cpu limit") ? {} : { cpus }),
  };
}

/** What an isolation that is missing takes. docs/security.md tells more. */
const isolationHints = {
  gvisor: "Install gVisor and register it: sudo runsc install, then sudo systemctl reload docker.",
  vm: "Install Kata Containers or krun, on a machine with KVM, and register it with the engine.",
} as const;

/**
 * What gives a container its isolation on a machine; undefined for the engine's own. Refuses one that it cannot give:
 * a weaker one would not be told from it.
 */
export function runtimeFor(
  machine: Capacity,
  { profile, isolation = defaultIsolation }: HardeningSettings,
  flags: readonly string[],
): string | undefined {
  if (isolation === "container") return undefined;
  if (flags.some((flag) => /^--runtime(?:=|$)/.test(flag))) {
    throw new HeadjackError(
      `The isolation ${isolation} and --runtime among the engine flags exclude each other.`,
      {
        kind: "usage",
        hints: ["Leave one of both out; flags that are always given: hjk config runtime.flags"],
      },
    );
  }
  // Seen with release 20221219: it starts every program with no_new_privs, and filters no system call of what an
  // exec starts, so that root inside could leave setuid files of root's in the workspace.
  if (isolation === "gvisor" && profile === "sudo") {
    throw new HeadjackError(
      "The profile sudo does not go with the isolation gvisor: nobody can become root there.",
      {
        kind: "usage",
        hints: [
          "Choose --profile strict, and have what needs root done when the image is made: hjk setup --help",
        ],
      },
    );
  }
  const runtime = machine.runtimes[isolation];
  if (runtime !== undefined) return runtime;
  throw new HeadjackError(`The engine has no runtime for the isolation ${isolation}.`, {
    kind: "engine",
    hints: [isolationHints[isolation], "What it has: hjk doctor. Without that wall: --isolation container."],
  });
}

/** Refuses, before anything is touched, what a machine cannot give a container. */
export function checkHardening(machine: Capacity, wanted: HardeningSettings, flags: readonly string[]): void {
  runtimeFor(machine, wanted, flags);
  if (wanted.disk === undefined || machine.limitsDisk) return;
  throw new HeadjackError("The engine cannot limit what a container writes, by the storage that it has.", {
    kind: "engine",
    hints: [
      "Docker can with its storage on xfs that is mounted with pquota, on btrfs or on zfs: docker info.",
      "Without the limit: leave out --disk, and unset limits.disk. What is used: hjk df.",
    ],
  });
}
