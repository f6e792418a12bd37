import { expect, test } from "bun:test";
import { decideNetwork } from "../hardening.ts";
import { checkHardening, limitsOn, runtimeFor } from "./hardening.ts";

const gigabyte = 1024 ** 3;
const large = { cpus: 16, memory: 64 * gigabyte, lacks: [], limitsDisk: false, runtimes: {}, kernel: "6.1" };
const small = { cpus: 1, memory: 3 * gigabyte, lacks: [], limitsDisk: false, runtimes: {}, kernel: "6.1" };

test("the defaults leave the machine a processor and half of its memory", () => {
  expect(limitsOn(large, {})).toEqual({ pids: 2048, memory: 8 * gigabyte, cpus: 15 });
  expect(limitsOn(small, {})).toEqual({ pids: 2048, memory: 1.5 * gigabyte, cpus: 1 });
});

test("what is wanted comes first, but no more processors than there are", () => {
  const wanted = { pids: 100, memory: 32 * gigabyte, cpus: 4 };
  expect(limitsOn(large, wanted)).toEqual(wanted);
  expect(limitsOn(small, wanted)).toEqual({ ...wanted, cpus: 1 });
});

test("an engine is not asked for what it cannot limit, since it would refuse the container", () => {
  expect(limitsOn({ ...large, lacks: ["memory limit", "cpu limit"] }, {})).toEqual({ pids: 2048 });
});

test.each([
  // own, approved under, the repository's, and what counts
  ["allowlist", "allowlist", "open", "open", true],
  ["open", "allowlist", "open", "open", true],
  ["none", "allowlist", "open", "none", false],
  ["none", "none", "allowlist", "allowlist", true],
  ["open", "open", "none", "none", true],
  ["allowlist", "open", "none", "none", false],
  ["allowlist", "open", undefined, "allowlist", false],
] as const)("own mode %s, approved under %s: %s is %s", (own, approvedUnder, mode, counts, hosts) => {
  const network = { ...(mode === undefined ? {} : { mode }), allow: ["example.org"], approvedUnder };
  expect(decideNetwork(own, network)).toEqual({ mode: counts, allow: hosts ? ["example.org"] : [] });
});

test("a repository that says nothing of the network leaves it to the user", () => {
  expect(decideNetwork("open", undefined)).toEqual({ mode: "open", allow: [] });
});

test("an isolation is refused that the engine has no runtime for, or that something else takes away", () => {
  const machine = { ...large, runtimes: { gvisor: "runsc" } };
  expect(runtimeFor(machine, {}, ["--runtime=kata"])).toBeUndefined();
  expect(runtimeFor(machine, { isolation: "gvisor" }, [])).toBe("runsc");
  expect(() => runtimeFor(machine, { isolation: "vm" }, [])).toThrow("no runtime for the isolation vm");
  for (const flags of [["--runtime", "runc"], ["--runtime=runc"]])
    expect(() => runtimeFor(machine, { isolation: "gvisor" }, flags)).toThrow("--runtime");
  expect(() => runtimeFor(machine, { isolation: "gvisor", profile: "sudo" }, [])).toThrow("profile sudo");
});

test("a limit of the disk is refused where the engine cannot have one, and there is none by default", () => {
  expect(() => checkHardening(large, { disk: gigabyte }, [])).toThrow("cannot limit what a container writes");
  checkHardening(large, {}, []);
  checkHardening({ ...large, limitsDisk: true }, { disk: gigabyte }, []);
  expect(limitsOn(large, { disk: gigabyte }).disk).toBe(gigabyte);
  expect(limitsOn(large, {}).disk).toBeUndefined();
});
