/** Units of `ago`, largest first, in seconds. */
const units: [name: string, seconds: number][] = [
  ["w", 7 * 24 * 3600],
  ["d", 24 * 3600],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
];

/**
 * How long ago something was, for a person: `30s ago`. Rounded down, so that it never says more time
 * has passed than has. The future is a clock that differs, in a container or a virtual machine.
 */
export function ago(from: Date, now: Date): string {
  const seconds = Math.floor((now.getTime() - from.getTime()) / 1000);
  const unit = units.find(([, length]) => seconds >= length);
  if (unit === undefined || seconds < 5) return "just now";
  return `${Math.floor(seconds / unit[1])}${unit[0]} ago`;
}

/** A moment for a program: UTC, to the second. */
export function iso(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, "Z");
}

/** A moment for a person, in the time of where the person is: `2027-01-31 13:05:09`. */
export function clock(date: Date): string {
  // In Sweden people write dates as ISO 8601 does.
  return date.toLocaleString("sv-SE");
}

/** How long something took, from milliseconds: `0.8s`, `12s`, `2m 5s`, `1h 2m`. */
export function duration(ms: number): string {
  // Below what would be rounded to "10.0s".
  if (ms < 9950) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
}

/** A length of time as people write it: `90s`, `10m`, `1h30m`; in milliseconds, or undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const found = /^(?=\d)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  if (found === null) return undefined;
  const ms = units.reduce(
    (sum, [, seconds], index) => sum + Number(found[index + 1] ?? 0) * seconds * 1000,
    0,
  );
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** A moment as people write it: a length of time ago, or a date with or without a time, local unless it says. */
export function parseMoment(text: string, now: number): number | undefined {
  const ago = parseDuration(text);
  if (ago !== undefined) return now - ago;
  const found =
    /^(\d{4}-\d{2}-(\d{2}))(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(text);
  if (found === null) return undefined;
  const [, date = "", day, time = "00:00", zone = ""] = found;
  // A day that its month does not have would become one of the next.
  if (new Date(`${date}T00:00Z`).getUTCDate() !== Number(day)) return undefined;
  const moment = Date.parse(`${date}T${time}${zone}`);
  return Number.isNaN(moment) ? undefined : moment;
}
