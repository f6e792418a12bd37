import { afterEach, beforeEach, expect, test } from "bun:test";
import { rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { ConversationEntry } from "../agents/conversation.ts";
import { Store } from "../store/store.ts";
import { claudeFile, type Folders, instance, makeFolders, session, writeRecords } from "./testing.ts";
import { recordUsage, sumUsage, turnsIn, type UsageDeps } from "./usage.ts";

let folders: Folders;
let deps: UsageDeps;

beforeEach(async () => {
  folders = await makeFolders();
  const store = new Store(join(folders.runtime, "headjack.db"));
  store.saveRepo({ id: instance.repoId, gitDir: "/repo/.git", name: "repo" });
  store.addInstance(instance);
  store.addSession(session);
  deps = { store, folders, version: "1", now: () => Date.parse("2027-02-01T12:00:00Z") };
});
afterEach(async () => {
  deps.store.close();
  await rm(folders.runtime, { recursive: true, force: true });
});

const prompt = (timestamp: string) => ({ type: "user", message: { content: "do it" }, timestamp });
const answer = (id: string, timestamp: string) => ({
  type: "assistant",
  timestamp,
  message: {
    id,
    content: [{ type: "text", text: "Done." }],
    usage: { input_tokens: 1, output_tokens: 2, cache_read_input_tokens: 3, cache_creation_input_tokens: 4 },
  },
});
const turnEnd = (timestamp: string) => ({ type: "system", subtype: "turn_duration", timestamp });

const twoDays = [
  prompt("2027-01-30T23:59:00Z"),
  answer("a", "2027-01-30T23:59:30Z"),
  turnEnd("2027-01-30T23:59:31Z"),
  prompt("2027-01-31T00:00:10Z"),
  answer("b", "2027-01-31T00:00:20Z"),
  answer("c", "2027-01-31T00:00:30Z"),
];

/** Days and what was counted on each. */
const counted = () =>
  deps.store
    .usage()
    .map(({ day, turns, turnMs, input, output }) => [day, turns, turnMs / 1000, input, output]);

test("counts by day, again only when something has changed, and never less", async () => {
  const file = claudeFile(folders);
  await writeRecords(file, twoDays);
  const expected = [
    ["2027-01-30", 1, 31, 1, 2],
    ["2027-01-31", 1, 20, 2, 4],
  ];
  recordUsage(deps, instance);
  expect(counted()).toEqual(expected);
  expect(deps.store.usage()[0]).toMatchObject({ cacheRead: 3, cacheWrite: 4, cost: null, agent: "claude" });

  await writeRecords(file, [...twoDays, answer("d", "2027-01-31T00:00:40Z")]);
  recordUsage(deps, instance);
  expect(counted()[1]).toEqual(["2027-01-31", 1, 30, 3, 6]);

  // As when the agent tidies up.
  await writeRecords(file, [prompt("2027-02-01T09:00:00Z")]);
  recordUsage(deps, instance);
  expect(counted()).toEqual([
    ...expected.slice(0, 1),
    ["2027-01-31", 1, 30, 3, 6],
    ["2027-02-01", 1, 0, 0, 0],
  ]);
});

test("a conversation that has not changed is not read again", async () => {
  const file = claudeFile(folders);
  const then = new Date("2027-02-01T00:00:00Z");
  await writeRecords(file, twoDays);
  await utimes(file, then, then);
  recordUsage(deps, instance);
  const before = counted();
  // Only the content tells the difference.
  await writeRecords(
    file,
    JSON.parse(JSON.stringify(twoDays).replaceAll('_tokens":1', '_tokens":9')) as unknown[],
  );
  await utimes(file, then, then);
  recordUsage(deps, instance);
  expect(counted()).toEqual(before);
});

test("what agents have used that the agent has started counts too, without turns of their own", async () => {
  const file = claudeFile(folders);
  await writeRecords(file, twoDays.slice(0, 3));
  recordUsage(deps, instance);
  const side = join(file.replace(/\.jsonl$/, ""), "subagents", "agent-a1.jsonl");
  const records = [prompt("2027-01-30T23:59:10Z"), answer("s", "2027-01-30T23:59:11Z")];
  await writeRecords(
    side,
    records.map((record) => ({ ...record, isSidechain: true })),
  );
  recordUsage(deps, instance);
  expect(counted()).toEqual([["2027-01-30", 1, 31, 2, 4]]);
});

test("outlives the instance", async () => {
  await writeRecords(claudeFile(folders), twoDays);
  recordUsage(deps, instance);
  deps.store.removeInstance(instance.id);
  expect(deps.store.usage(instance.repoId)).toHaveLength(2);
  expect(deps.store.usage("another")).toEqual([]);
});

test("a day that cannot be is that of the session", async () => {
  await writeRecords(claudeFile(folders), [
    answer("a", "+275760-09-13T00:00:00.000Z"),
    answer("b", "1900-01-01T00:00:00Z"),
    answer("c", "whenever"),
  ]);
  recordUsage(deps, instance);
  expect(new Set(counted().map(([day]) => day))).toEqual(new Set(["1970-01-01"]));
  expect(deps.store.usage()[0]?.input).toBe(3);
});

test("a sum has a cost only where every part has", async () => {
  await writeRecords(claudeFile(folders), twoDays);
  recordUsage(deps, instance);
  const [first, second] = deps.store.usage();
  if (first === undefined || second === undefined) throw new Error("there are two days");
  const priced = [
    { ...first, cost: 1 },
    { ...second, cost: 2 },
  ];
  expect(sumUsage(priced, "branch").map((line) => [line.first.branch, line.cost, line.turns])).toEqual([
    ["feat/x", 3, 2],
  ]);
  expect(sumUsage([first, { ...second, cost: 2 }], "session")[0]?.cost).toBeNull();
  expect(sumUsage(priced, "day").map((line) => line.cost)).toEqual([1, 2]);
});

const kinds = (...list: [kind: ConversationEntry["kind"], more?: Partial<ConversationEntry>][]) =>
  list.map(([kind, more], index): ConversationEntry => ({ kind, at: index, text: "", ...more }));
const times = (entries: ConversationEntry[]) => turnsIn(entries).map(({ start, end }) => [start, end]);

test("turns: from a prompt to its end, or to the last that happened", () => {
  expect(
    times(kinds(["turn-start"], ["prompt"], ["reply"], ["turn-end"], ["prompt"], ["interrupt"])),
  ).toEqual([
    [0, 3],
    [4, 5],
  ]);
  // What is typed in the middle of a turn belongs to it; what waits does not begin one.
  expect(times(kinds(["prompt"], ["prompt"], ["reply"], ["prompt", { queued: true }]))).toEqual([[0, 2]]);
  expect(times(kinds(["prompt"], ["error", { retrying: true }], ["error"], ["tool-result"]))).toEqual([
    [0, 2],
  ]);
  // Killed in the middle of a turn, and taken up again.
  expect(times(kinds(["turn-start"], ["reply"], ["turn-start"], ["reply", { at: null }]))).toEqual([
    [0, 1],
    [2, 2],
  ]);
  expect(times(kinds(["reply", { at: 9 }], ["turn-end", { at: 3 }]))).toEqual([[9, 9]]);
});
