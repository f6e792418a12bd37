import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import {
  isolationNames,
  limitExamples,
  parseLimit,
  profileNames,
  type HardeningSettings,
} from "../hardening.ts";
import { parseDuration } from "../ui/time.ts";

/** Value of an option that takes a time: milliseconds. */
export function durationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0)
    throw new InvalidArgumentError("It takes a time such as 90s, 10m, 2h or 1h30m.");
  return ms;
}

/** Value of an option that takes a number of things, at least one. */
export function countOption(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count === 0) {
    throw new InvalidArgumentError("It takes a number from 1.");
  }
  return count;
}

/** Options that say how a container is held in, of the commands that make one. */
export const hardeningOptions = {
  profile: () =>
    new Option("--profile <name>", "what its container may do (default: security.profile)").choices(
      profileNames,
    ),
  isolation: () =>
    new Option("--isolation <name>", "how strong the wall around it is (default: isolation)").choices(
      isolationNames,
    ),
  memory: () =>
    new Option("--memory <size>", "memory of its container (default: limits.memory)").argParser(
      limitParser("memory"),
    ),
  cpus: () =>
    new Option("--cpus <number>", "processors of its container (default: limits.cpus)").argParser(
      limitParser("cpus"),
    ),
  pids: () =>
    new Option("--pids <number>", "processes and threads in it (default: limits.pids)").argParser(
      limitParser("pids"),
    ),
  disk: () =>
    new Option("--disk <size>", "what it may write beside the workspace (default: limits.disk)").argParser(
      limitParser("disk"),
    ),
  noSetup: () => new Option("--no-setup", "without what the repository asks for (see hjk setup)"),
  noDevcontainer: () => new Option("--no-devcontainer", "without the repository's devcontainer.json"),
};

function limitParser(limit: keyof typeof limitExamples): (text: string) => number {
  return (text) => {
    const value = parseLimit(limit, text);
    if (value === undefined) throw new InvalidArgumentError(`It takes ${limitExamples[limit]}.`);
    return value;
  };
}

/** What a command was told of its container's hardening. */
export function givenHardening({
  profile,
  isolation,
  memory,
  cpus,
  pids,
  disk,
}: HardeningSettings): HardeningSettings {
  return {
    ...(profile === undefined ? {} : { profile }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(memory === undefined ? {} : { memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
    ...(disk === undefined ? {} : { disk }),
  };
}
