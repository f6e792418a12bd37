import { InvalidArgumentError } from "commander";
import { parseDuration } from "../ui/time.ts";

/** Value of an option that takes a time: milliseconds. */
export function durationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0)
    throw new InvalidArgumentError("It takes a time such as 90s, 10m, 2h or 1h30m.");
  return ms;
}
