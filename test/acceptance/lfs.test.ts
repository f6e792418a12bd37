import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram, Sandbox } from "../support/harness.ts";
import { gitIn, Instance } from "../support/workbench.ts";

/* Files that the user keeps in Git LFS: git itself has only what stands for them. */

const minute = 60_000;
const hasLfs = (await runProgram(["git", "lfs", "version"])).code === 0;

const sha256 = (bytes: Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

const insidePlaceOf = (oid: string): string =>
  `/hjk/git/lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
const hashInside = async (instance: Instance, file: string): Promise<string> =>
  (await instance.inside(`sha256sum < ${file}`)).replace(/ .*/, "");

describe.skipIf(!hasLfs)("Git LFS", () => {
  let sandbox: Sandbox;
  let repo: string;
  const first = randomBytes(300_000);
  beforeAll(async () => {
    sandbox = await Sandbox.create();
    repo = sandbox.repo;
    await sandbox.git("lfs", "install");
    await sandbox.git("lfs", "track", "*.bin");
    await writeFile(join(repo, "big.bin"), first);
    await sandbox.git("add", ".");
    await sandbox.git("commit", "--quiet", "-m", "with a large file");
  }, minute);
  afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

  const placeOf = (oid: string): string =>
    join(repo, ".git", "lfs", "objects", oid.slice(0, 2), oid.slice(2, 4), oid);
  /** Hash of a file of a branch, as a checkout would have it, by what is on this machine. */
  const hashOf = async (branch: string, file: string): Promise<string> => {
    const folder = join(sandbox.folder, `checkout-${crypto.randomUUID()}`);
    await gitIn(sandbox, repo, "worktree", "add", "--quiet", "--detach", folder, branch);
    const hash = sha256(await readFile(join(folder, file)));
    await gitIn(sandbox, repo, "worktree", "remove", "--force", folder);
    return hash;
  };

  test(
    "the workspace has the contents, and what an agent commits comes home with its own",
    async () => {
      const instance = await Instance.make(sandbox, "feat/lfs");
      expect(await hashInside(instance, "big.bin")).toBe(sha256(first));
      expect(await instance.inside("git status --porcelain; git lfs ls-files -n")).toBe("big.bin");
      // Of a command that was killed long ago.
      const left = join(repo, ".git", "lfs", "tmp", "headjack-left");
      await mkdir(left, { recursive: true });
      await utimes(left, 1_000_000_000, 1_000_000_000);
      const tip = await instance.inside(`head -c 400000 /dev/urandom > big.bin
        mkdir 'a b'; head -c 500000 /dev/urandom > 'a b/new.bin'; head -c 9 /dev/urandom > between.bin
        git add -A; git commit -qm one; git rm -q between.bin; git commit -qm two; git rev-parse HEAD`);
      const changed = await hashInside(instance, "big.bin");
      const added = await hashInside(instance, "'a b/new.bin'");
      expect(await instance.sync()).toBe("");
      expect(await instance.at()).toBe(tip);
      expect(await sandbox.git("cat-file", "-s", `${tip}:big.bin`)).toBe("131");
      expect(await hashOf("feat/lfs", "big.bin")).toBe(changed);
      expect(await hashOf("feat/lfs", "a b/new.bin")).toBe(added);
      // Also of commits that are not the last.
      expect(await sandbox.git("lfs", "fsck", "--objects", "main..feat/lfs")).toContain("OK");
      expect(await readdir(join(repo, ".git", "lfs", "tmp"))).toEqual([]);

      // What is not needed of the user's stays theirs, and cannot be changed.
      expect((await instance.try("touch /hjk/lfs/objects/x", "root")).code).not.toBe(0);
      await instance.inside("git checkout -q main; sha256sum big.bin; git checkout -q feat/lfs");
      expect(await instance.inside("git status --porcelain")).toBe("");

      await instance.inside("head -c 1000 /dev/urandom > late.bin; git add -A; git commit -qm late");
      const late = await hashInside(instance, "late.bin");
      await runProgram(["docker", "stop", "-t", "0", instance.container]);
      expect(await instance.sync()).toBe("");
      expect(await hashOf("feat/lfs", "late.bin")).toBe(late);
      await instance.remove();
    },
    2 * minute,
  );

  test(
    "what is in no commit, and in a stash, is there again after rm and undo",
    async () => {
      const instance = await Instance.make(sandbox, "feat/kept");
      await instance.inside("head -c 2000 /dev/urandom > big.bin");
      const stashed = await hashInside(instance, "big.bin");
      await instance.inside("git stash -q; head -c 3000 /dev/urandom > big.bin");
      const changed = await hashInside(instance, "big.bin");
      await instance.remove();
      await sandbox.ok(["undo"]);
      expect(await hashInside(instance, "big.bin")).toBe(changed);
      await instance.inside("git checkout -q big.bin; git stash pop -q");
      expect(await hashInside(instance, "big.bin")).toBe(stashed);
      await instance.remove();
    },
    2 * minute,
  );

  test(
    "contents that are not what they should be, or not there, stay out and are told",
    async () => {
      const instance = await Instance.make(sandbox, "feat/hostile");
      const names = ["other", "short", "long", "link", "pipe", "gone", "honest"];
      const oids = new Map<string, string>();
      for (const name of names) {
        await instance.inside(`head -c 5000 /dev/urandom > ${name}.bin`);
        oids.set(name, await hashInside(instance, `${name}.bin`));
      }
      await instance.inside("git add -A; git commit -qm all");
      const at = (name: string): string => insidePlaceOf(oids.get(name) ?? "");
      await instance.inside(`cd /; chmod -R u+w /hjk/git/lfs
        head -c 5000 /dev/zero > ${at("other")}; head -c 100 /dev/zero > ${at("short")}
        head -c 9000 /dev/zero > ${at("long")}; ln -sf /etc/passwd ${at("link")}
        rm ${at("pipe")}; mkfifo ${at("pipe")}; rm ${at("gone")}`);
      const notice = await instance.sync();
      expect(notice).toContain("neither in your repository nor in the instance");
      for (const name of names) {
        const there = await Bun.file(placeOf(oids.get(name) ?? "")).exists();
        expect([name, there]).toEqual([name, name === "honest"]);
      }
      expect(await readdir(join(repo, ".git", "lfs", "tmp"))).toEqual([]);
      expect(notice.match(/\w+\.bin| and 1 more/g)?.length).toBe(names.length - 1);
      expect(await hashOf("feat/hostile~1", "big.bin")).toBe(sha256(first));
      await instance.remove();
    },
    2 * minute,
  );

  test.each([
    ["has no LFS", { GIT_CONFIG_NOSYSTEM: "1" }],
    ["leaves them out", { GIT_CONFIG_NOSYSTEM: undefined, GIT_LFS_SKIP_SMUDGE: "1" }],
  ])(
    "a user whose git %s is told that the workspace has none of the contents",
    async (_, env) => {
      const config = join(sandbox.folder, "home", ".gitconfig");
      const before = await readFile(config, "utf8");
      await writeFile(config, before.replaceAll(/\[filter "lfs"\][^[]*/g, ""));
      const inside = async (...command: string[]): Promise<string> =>
        (await sandbox.inside("feat/pointers", command)).stdout;
      try {
        const said = await sandbox.hjk(["run", "feat/pointers", "-d"], { env });
        expect(said).toMatchObject({ code: 0 });
        expect(said.stderr).toContain("git lfs install");
        expect(await inside("head", "-1", "big.bin")).toContain("git-lfs.github.com/spec");
        // What stands for them is not mistaken for a change.
        expect(await inside("git", "status", "--porcelain")).toBe("");
      } finally {
        await writeFile(config, before);
        await sandbox.hjk(["rm", "-f", "feat/pointers"]);
      }
    },
    minute,
  );
});
