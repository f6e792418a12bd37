import { expect, test } from "bun:test";
import { ago, clock, duration, iso, parseDuration, parseMoment } from "./time.ts";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

test.each([
  [-60, "just now"],
  [0, "just now"],
  [4.9, "just now"],
  [5, "5s ago"],
  [59.9, "59s ago"],
  [minute, "1m ago"],
  [hour - 1, "59m ago"],
  [3 * hour, "3h ago"],
  [day - 1, "23h ago"],
  [6.9 * day, "6d ago"],
  [7 * day, "1w ago"],
  [400 * day, "57w ago"],
])("%p seconds are %p", (seconds, text) => {
  const now = new Date("2026-11-22T12:00:00Z");
  expect(ago(new Date(now.getTime() - seconds * 1000), now)).toBe(text);
});

test.each([
  [-5, "0.0s"],
  [0, "0.0s"],
  [840, "0.8s"],
  [9949, "9.9s"],
  [9950, "10s"],
  [12_400, "12s"],
  [59_499, "59s"],
  [59_500, "1m 0s"],
  [125_000, "2m 5s"],
  [3_599_600, "1h 0m"],
  [7_380_000, "2h 3m"],
])("%p ms are %p", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test("iso has no fractions", () => {
  expect(iso(new Date("2026-11-22T12:00:00.123Z"))).toBe("2026-11-22T12:00:00Z");
});

test("a moment for a person is in the person's time, as ISO 8601 writes it", () => {
  expect(clock(new Date(2027, 0, 31, 13, 5, 9))).toBe("2027-01-31 13:05:09");
});

test.each([
  ["90s", 90],
  ["10m", 10 * minute],
  ["2h", 2 * hour],
  ["1d", day],
  ["1w", 7 * day],
  ["1h30m", 1.5 * hour],
  ["1d2h3m4s", day + 2 * hour + 3 * minute + 4],
  ["0s", 0],
])("the duration %s", (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds * 1000);
});

test.each([
  "",
  "10",
  "m",
  "m10",
  "10 m",
  "-1h",
  "1.5h",
  "30m1h",
  "1h1h",
  "10min",
  "1H",
  "99999999999999999s",
  "1h\n",
])("no duration: %j", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test("a moment is a length of time ago, or a date", () => {
  const now = Date.UTC(2026, 10, 25, 12);
  expect(parseMoment("1h30m", now)).toBe(Date.UTC(2026, 10, 25, 10, 30));
  expect(parseMoment("2026-11-25T08:00:01.5Z", now)).toBe(Date.UTC(2026, 10, 25, 8, 0, 1, 500));
  expect(parseMoment("2026-11-25T08:00+02:00", now)).toBe(Date.UTC(2026, 10, 25, 6));
  expect(parseMoment("2026-11-25T08:00", now)).toBe(new Date(2026, 10, 25, 8).getTime());
  expect(parseMoment("2026-11-25 08:00", now)).toBe(new Date(2026, 10, 25, 8).getTime());
  expect(parseMoment("2026-11-25", now)).toBe(new Date(2026, 10, 25).getTime());
});

test.each([
  "",
  "yesterday",
  "2026",
  "2026-13-01",
  "2026-02-30",
  "2026-11-25T25:00",
  "25.11.2026",
  "1764057600",
])("no moment: %j", (text) => {
  expect(parseMoment(text, 0)).toBeUndefined();
});
