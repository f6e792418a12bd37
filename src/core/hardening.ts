import type { Capacity, ContainerLimits } from "../drivers/engine/engine.ts";
import type { HardeningSettings } from "../hardening.ts";

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
    ...(machine.lacks.includes("memory limit") ? {} : { memory }),
    ...(machine.lacks.includes("cpu limit") ? {} : { cpus }),
  };
}
