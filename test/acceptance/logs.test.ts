import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { eventually, Sandbox } from "../support/harness.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  await sandbox.ok(["run", "work", "-d", "--name", "first"]);
});

afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
});

async function logs(name: string, ...options: string[]): Promise<string[]> {
  return (await sandbox.ok(["logs", "work", name, ...options])).split("\n").slice(0, -1);
}

describe("logs --since", () => {
  test("shows what came since, of a living session and of one that has ended", async () => {
    const waiting = "until [ -e /tmp/goes-on ]; do sleep 0.1; done";
    await sandbox.ok([
      "exec",
      "-d",
      "-n",
      "goes-on",
      "work",
      "bash",
      "-c",
      `seq 1 50; ${waiting}; seq 51 60; read`,
    ]);
    await eventually(async () => (await logs("goes-on")).includes("50"), "it has printed");
    // Until its screen has come to rest, which is noted.
    await eventually(async () => (await logs("goes-on", "--since", "1s")).length === 0, "nothing is new");
    const then = new Date().toISOString();
    const following = sandbox.hjk(["logs", "work", "goes-on", "--since", then, "-f"]);
    await sandbox.inside("work", ["touch", "/tmp/goes-on"]);
    const news = Array.from({ length: 10 }, (_, index) => String(51 + index));
    await eventually(async () => (await logs("goes-on")).includes("60"), "it goes on");
    expect(await logs("goes-on", "--since", then)).toEqual(news);
    expect(await logs("goes-on", "--since", then, "-n", "2")).toEqual(["59", "60"]);
    expect(await logs("goes-on", "--since", "1h")).toHaveLength(60);
    await sandbox.ok(["kill", "work/goes-on"]);
    expect((await following).stdout.split("\n").slice(0, -1)).toEqual(news);
    expect(await logs("goes-on", "--since", then)).toEqual(news);
    const raw = await sandbox.ok(["logs", "work", "goes-on", "--since", then, "--raw"]);
    expect(raw).toStartWith(news.map((line) => `${line}\r\n`).join(""));
  });

  test.each([
    ["yesterday", "It takes a length of time"],
    ["10", "It takes a length of time"],
    ["2026-02-30", "It takes a length of time"],
    ["9999-01-01", "That time has yet to come"],
  ])("refuses %s", async (time, why) => {
    const { code, stderr } = await sandbox.hjk(["logs", "work", "first", "--since", time]);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
  });
});
