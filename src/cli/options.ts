import { InvalidArgumentError } from "commander";
import { limitExamples, parseLimit, type HardeningSettings } from "../hardening.ts";
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

/** Value of an option that takes a limit. */
export const limitOption =
  (limit: keyof typeof limitExamples) =>
  (text: string): number => {
    const value = parseLimit(limit, text);
    if (value === undefined) throw new InvalidArgumentError(`It takes ${limitExamples[limit]}.`);
    return value;
  };

/** What a command was told of its container's hardening. */
export function givenHardening({ profile, memory, cpus, pids }: HardeningSettings): HardeningSettings {
  return {
    ...(profile === undefined ? {} : { profile }),
    ...(memory === undefined ? {} : { memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
  };
}
