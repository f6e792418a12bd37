import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { eventually, runProgram, Sandbox, Terminal } from "../support/harness.ts";
import { gitIn, Instance, wrapGit } from "../support/workbench.ts";

/* Many branches at once: which of them go, what they take, how they stand to one another. */

setDefaultTimeout(120_000);

describe("rm of those that are past their use", () => {
  let sandbox: Sandbox;
  let terminal: Terminal;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    terminal = await Terminal.open(sandbox);
  });

  afterAll(async () => {
    await terminal.close();
    await sandbox[Symbol.asyncDispose]();
  });

  const branches = async (): Promise<string[]> => (await sandbox.instances()).map(({ branch }) => branch);
  const hasBranch = async (name: string): Promise<boolean> =>
    (await sandbox.git("branch", "--list", name)) !== "";

  test("--merged: those whose commits are in the user's branch, and no other", async () => {
    const done = await Instance.make(sandbox, "done");
    // Nothing has been brought home yet.
    expect((await sandbox.hjk(["rm", "--merged"])).stderr).toBe("There is no instance to remove.\n");
    const open = await Instance.make(sandbox, "open");
    await Instance.make(sandbox, "fresh");
    await done.commit("done.txt");
    await open.commit("open.txt");
    await sandbox.ok(["merge", "done"]);
    await done.inside("echo later > later.txt");

    const listed = await sandbox.ok(["rm", "--merged", "--dry-run"]);
    expect(listed).toMatch(
      /^Would remove instance [0-9a-f]+ for branch done: merged into main, last used .*\n$/,
    );
    const unasked = await sandbox.hjk(["rm", "--merged"]);
    expect(unasked.code).toBe(1);
    expect(unasked.stderr).toContain("later.txt");
    expect(unasked.stderr).toContain("there is nobody to ask");
    expect(await branches()).toEqual(["done", "open", "fresh"]);

    expect((await terminal.run("hjk rm --merged --older-than 1w")).screen).toBe(
      "There is no instance to remove.",
    );
    const removed = await terminal.ends(async () => {
      await terminal.clear();
      await terminal.type("hjk rm --merged --delete-branch");
      await terminal.waitFor("Remove this one? [y/N]");
      await terminal.type("y");
    });
    expect(removed.code).toBe(0);
    expect(removed.screen).toContain("Deleted branch done");
    expect(await branches()).toEqual(["open", "fresh"]);
    expect(await hasBranch("done")).toBe(false);

    // The branch and the files that were in no commit come back.
    await sandbox.ok(["undo"]);
    expect(await hasBranch("done")).toBe(true);
    const later = await sandbox.inside("done", ["cat", "/workspace/later.txt"]);
    expect(later.stdout).toBe("later\n");
  });

  test("--delete-branch deletes none that is not merged, or that the user has checked out", async () => {
    const kept = await sandbox.hjk(["rm", "-f", "open", "--delete-branch"]);
    expect(kept.code).toBe(0);
    expect(kept.stderr).toContain("The branch open stays: it is not merged into main.");
    expect(await hasBranch("open")).toBe(true);
    await sandbox.git("checkout", "-q", "fresh");
    // The branch that stands for "merged" is its own; that says nothing.
    expect((await sandbox.hjk(["rm", "--merged", "--dry-run"])).stdout).not.toContain("fresh");
    const own = await sandbox.hjk(["rm", "-f", "fresh", "--delete-branch"]);
    expect(own.stderr).toContain("The branch fresh stays: it is checked out");
    await sandbox.git("checkout", "-q", "main");
    expect(await hasBranch("fresh")).toBe(true);
  });

  test("--all and --older-than, all at one question; Enter keeps them", async () => {
    await Instance.make(sandbox, "more");
    expect((await sandbox.ok(["rm", "--all", "--dry-run"])).split("\n").length).toBe(3);
    expect((await sandbox.hjk(["rm", "--older-than", "1h", "--dry-run"])).stdout).toBe("");
    await eventually(
      async () => (await sandbox.ok(["rm", "--older-than", "1s", "--dry-run"])).split("\n").length === 3,
      "both have not been used for a second",
    );
    const kept = await terminal.ends(async () => {
      await terminal.clear();
      await terminal.type("hjk rm --all");
      await terminal.waitFor("Remove these 2? [y/N]");
      await terminal.press("Enter");
    });
    expect(kept.screen).toContain("All were kept.");
    expect((await branches()).toSorted()).toEqual(["done", "more"]);
    await sandbox.ok(["rm", "-f", "--all"]);
    expect(await branches()).toEqual([]);
  });

  test("names and such options do not go together", async () => {
    for (const args of [
      ["rm"],
      ["rm", "--all", "done"],
      ["rm", "done", "--merged"],
      ["rm", "--older-than", "x"],
    ])
      expect((await sandbox.hjk(args)).code).toBe(2);
  });
});

describe("df", () => {
  test("says what each instance takes and what they share, following no link and reading what it can", async () => {
    await using sandbox = await Sandbox.create();
    const one = await Instance.make(sandbox, "one");
    const two = await Instance.make(sandbox, "two");
    const megabyte = 1024 * 1024;
    const write = (file: string, megabytes: number): string =>
      `head -c ${megabytes * megabyte} /dev/urandom > ${file}`;
    await one.inside(
      `${write("big.bin", 3)}; ${write("/tmp/layer", 2)}; ${write("/hjk/state/home", 1)}; ln -s / root; ` +
        "ln -s /usr link; mkdir -p dark/deep; touch dark/deep/file; chmod 0 dark",
    );
    await two.inside(write("small.bin", 1));
    await two.inside("git add small.bin; git commit -qm small; head -c 1000000 /dev/urandom > left.bin");
    await sandbox.ok(["rm", "-f", "two"]);

    const found = JSON.parse(await sandbox.ok(["df", "--json"])) as {
      version: number;
      complete: boolean;
      instances: Record<string, number | string>[];
      shared: Record<string, number>;
      total: number;
    };
    expect(found.version).toBe(1);
    // Root reads everything.
    expect(found.complete).toBe(process.getuid?.() === 0);
    const [taken, none] = found.instances;
    expect(none).toBeUndefined();
    expect(taken?.["branch"]).toBe("one");
    const between = (value: unknown, low: number, high: number): void => {
      expect(value).toBeGreaterThanOrEqual(low * megabyte);
      expect(value).toBeLessThan(high * megabyte);
    };
    between(taken?.["worktree"], 3, 4);
    between(taken?.["container"], 2, 4);
    between(taken?.["homes"], 1, 2);
    between(taken?.["git"], 0, 1);
    expect(taken?.["recordings"]).toBeGreaterThan(0);
    expect(taken?.["snapshots"]).toBe(0);
    between(taken?.["total"], 6, 9);
    // Only what is in no branch: not small.bin.
    between(found.shared["removedSnapshots"], 0.9, 1.1);
    expect(found.shared["baseImages"]).toBeGreaterThan(100 * megabyte);
    expect(found.shared["hubs"]).toBeGreaterThan(0);
    const sum = Object.values(found.shared).reduce((all, bytes) => all + bytes, 0);
    expect(found.total).toBe(sum + Number(taken?.["total"]));

    const terminal = await Terminal.open(sandbox);
    const { screen, code } = await terminal.run("hjk df");
    await terminal.close();
    expect(code).toBe(0);
    expect(screen).toMatch(/^BRANCH +WORKTREE +CONTAINER +GIT +HOMES +RECORDINGS +SNAPSHOTS +TOTAL$/m);
    expect(screen).toMatch(/^one +>?3\.\d MB +2\.\d MB +/m);
    expect(screen).toMatch(/^base images +\d+(\.\d)? [MG]B$/m);
    expect(screen).toMatch(/^total +>?\d+(\.\d)? [MG]B$/m);
    expect(await sandbox.ok(["df"])).toMatch(/^one\t\d+\t\d+\t\d+\t\d+\t\d+\t0\t\d+$/m);
    await one.inside("chmod 755 dark");
  });
});

describe("how branches stand to one another", () => {
  let sandbox: Sandbox;
  const instances: Instance[] = [];
  let start: string;

  /** Branches whose commits are in the user's. */
  const taken = async (): Promise<string[]> => {
    const merged = await sandbox.git("branch", "--merged", "main", "--format=%(refname:short)");
    return merged.split("\n").filter((name) => name !== "main");
  };

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    start = await sandbox.git("rev-parse", "main");
    await sandbox.git("config", "merge.evil.driver", `touch ${sandbox.folder}/evil; false`);
    for (const name of ["first", "second", "third"]) instances.push(await Instance.make(sandbox, name));
    const [first, second, third] = instances;
    await first?.inside("echo 1 > same.txt; git rm -q package.json; git add -A; git commit -qm first");
    await second?.inside(
      "echo '* merge=evil' > .gitattributes; echo 2 > same.txt; git mv package.json moved.json; git add -A; git commit -qm second",
    );
    await third?.commit("third.txt");
  });
  afterAll(async () => await sandbox[Symbol.asyncDispose]());

  test("ps tells which are in conflict, and no program of theirs runs", async () => {
    const { instances: listed } = JSON.parse(await sandbox.ok(["ps", "--json"])) as {
      instances: { branch: string; base: unknown; conflicts: unknown[] }[];
    };
    const of = (branch: string) => listed.find((one) => one.branch === branch);
    expect(of("first")?.base).toEqual({ branch: "main", ahead: 1, behind: 0 });
    expect(of("first")?.conflicts).toEqual([
      { branch: "second", isBase: false, count: 2, files: ["moved.json", "same.txt"] },
    ]);
    expect(of("third")?.conflicts).toEqual([]);
    expect(await Bun.file(`${sandbox.folder}/evil`).exists()).toBe(false);
    expect(await sandbox.ok(["ps", "-w"])).toMatch(/^third\t.*\t\+1 -0, \? files\tnone$/m);
  });

  test("merge takes several in, those that conflict least first, up to the one that conflicts", async () => {
    const merged = await sandbox.hjk(["merge", "first", "second", "third"]);
    expect(merged.code).toBe(1);
    expect(merged.stderr).toContain("Order, by fewest conflicts: third, first, second (2 files in conflict)");
    expect(merged.stderr).toContain("Stopped at second: ");
    expect(merged.stderr).toContain("main has taken in third, first.");
    expect(await sandbox.git("log", "--format=%s", "--first-parent", "-1")).toContain("first");
  });

  test("--in-order keeps to the given order, up to the one that conflicts", async () => {
    await sandbox.git("reset", "--quiet", "--hard", start);
    const merged = await sandbox.hjk(["merge", "--in-order", "second", "third", "first"]);
    expect(merged.code).toBe(1);
    expect(merged.stderr).not.toContain("Order, ");
    expect(merged.stderr).toContain("Stopped at first: ");
    expect(merged.stderr).toContain("main has taken in second, third.");
    expect(await taken()).toEqual(["second", "third"]);
  });

  test("a check that fails stops there, and what was taken in before stays", async () => {
    await sandbox.git("reset", "--quiet", "--hard", start);
    const check = ["--check", "test ! -f third.txt"];
    const merged = await sandbox.hjk(["merge", "--in-order", ...check, "first", "third", "second"]);
    expect(merged.code).toBe(1);
    expect(merged.stderr).toContain("Stopped at third: The check of third failed with exit code 1.");
    expect(merged.stderr).toContain("main has taken in first. Not tried: second.");
    expect(await taken()).toEqual(["first"]);
  });

  test("the same commits are merged on trial once", async () => {
    await sandbox.git("reset", "--quiet", "--hard", start);
    await instances[2]?.commit("more.txt");
    const log = `${sandbox.folder}/trials`;
    const env = await wrapGit(sandbox, `case " $* " in *" merge-tree "*) echo trial >> '${log}';; esac`);
    const trials = async (): Promise<number> => (await Bun.file(log).text()).split("\n").length - 1;
    // What it has no time for is left to the next one.
    await eventually(async () => {
      const listed = await sandbox.ok(["ps", "-w"], { env });
      return /^third\t.*\t\+2 -0, \? files\tnone$/m.test(listed);
    }, "the forecasts of the new commit are made");
    const before = await trials();
    expect(before).toBeGreaterThan(0);
    await sandbox.ok(["ps", "-w"], { env });
    await sandbox.ok(["ps", "--json"], { env });
    expect(await trials()).toBe(before);
  });

  test("with a git that cannot merge on trial no conflict is known, and doctor says why", async () => {
    await sandbox.git("commit", "--quiet", "--allow-empty", "-m", "the user goes on");
    const old = `case " $* " in
      *" --version "*) echo "git version 2.37.1"; exit;;
      *" merge-tree "*) echo "usage: git merge-tree <base-tree> <branch1> <branch2>" >&2; exit 129;;
    esac`;
    const env = await wrapGit(sandbox, old);
    const { findings } = JSON.parse((await sandbox.hjk(["doctor", "--json"], { env })).stdout) as {
      findings: { what: string; state: string; detail: string }[];
    };
    const finding = findings.find(({ what }) => what === "git");
    expect(finding?.state).toBe("warning");
    expect(finding?.detail).toStartWith("2.37.1 cannot merge on trial: ");
    await eventually(async () => {
      const listed = await sandbox.ok(["ps", "-w"], { env });
      return /^third\t.*\t\+2 -1, \? files\tmain \(\?\)/m.test(listed);
    }, "ps knows how far the branches are apart, and no more");
    const merged = await sandbox.hjk(["merge", "third", "second"], { env });
    expect(merged.stderr).toContain("third (conflicts unknown), second (conflicts unknown)");
    expect(merged).toMatchObject({ code: 0 });
    expect(await taken()).toEqual(["second", "third"]);
  });

  test("where objects are missing, nothing is foretold", async () => {
    const repo = `${sandbox.folder}/damaged`;
    await gitIn(sandbox, "/", "clone", "--quiet", sandbox.repo, repo);
    const instance = await Instance.make(sandbox, "damaged", { repo });
    await instance.commit("file.txt");
    expect(await instance.sync()).toBe("");
    // Both have changed the top folder, so the merge must look into it.
    await Bun.write(`${repo}/user.txt`, "of the user");
    await gitIn(sandbox, repo, "add", "user.txt");
    await gitIn(sandbox, repo, "commit", "--quiet", "-m", "the user goes on");
    const tree = await gitIn(sandbox, repo, "rev-parse", "damaged^{tree}");
    // The hub has it in a pack; the rest of that is in the repository, too.
    const copies = [`*/objects/${tree.slice(0, 2)}/${tree.slice(2)}`, "*/hubs/*/objects/pack/*"];
    for (const path of copies) await runProgram(["find", sandbox.folder, "-path", path, "-delete"]);
    const { stdout } = await runProgram(["git", "cat-file", "-t", tree], { cwd: repo });
    expect(stdout).toBe("");
    await eventually(async () => {
      const listed = await sandbox.ok(["ps", "--json"], { cwd: repo });
      const [of] = (JSON.parse(listed) as { instances: { base: unknown; conflicts: unknown[] }[] }).instances;
      expect(of?.conflicts).toEqual([{ branch: "main", isBase: true, count: null, files: [] }]);
      return Bun.deepEquals(of?.base, { branch: "main", ahead: 1, behind: 1 });
    }, "it is known how far the branches are apart");
  });
});
