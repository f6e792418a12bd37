const units = ["kB", "MB", "GB", "TB"];

/** A number of bytes for people: `0`, `4 kB`, `1.2 GB`; as disks are sold, 1 kB is 1000 bytes. */
export function size(bytes: number): string {
  if (bytes === 0) return "0";
  // Never nothing where there is something.
  let value = Math.ceil(bytes / 1000);
  let unit = 0;
  // Below what would be rounded to "1000".
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}
