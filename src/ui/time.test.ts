import { expect, test } from "bun:test";
import { ago, clock, duration, iso } from "./time.ts";

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
