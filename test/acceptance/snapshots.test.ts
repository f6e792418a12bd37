import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Sandbox } from "../support/harness.ts";
import { Instance } from "../support/workbench.ts";

/* What is in no commit is kept, and can be had again. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

/** Every kind of thing that may lie in a workspace, none of it committed. */
const makeMess = `
  printf 'changed\\r\\n\\0binary\\377' >> README.md
  rm src/server.js; chmod +x package.json; git mv docs/api/products.md moved.md
  echo one > staged.txt; git add staged.txt; echo two >> staged.txt
  mkdir -p deep/er 'with space'; echo u > deep/er/untracked; echo n > $'new\\nline "q"'; echo d > -dash
  printf 'latin \\351' > $'b\\351'; : > empty; echo x > 'with space/run.sh'; chmod 755 'with space/run.sh'
  ln -s /etc/passwd out; ln -s README.md in; ln -s nowhere dangling; ln -s deep folder-link
  head -c 300000 /dev/urandom > random.bin; echo ignored > .gitignore; echo i > ignored
`;

/** Everything of a workspace: names, kinds, modes, targets of links, hashes; and what git says of it. */
const allOf = `
  find . -path ./.git -prune -o ! -type d ! -name ignored ! -name big.bin -print0 | sort -z |
    xargs -0 -I{} sh -c 'if [ -L "$1" ]; then readlink "$1"; else stat -c %a "$1"; sha256sum < "$1"; fi; echo "$1"' sh {}
  git status --porcelain=v1 -z | sed 's/\\x0/|/g'; git rev-parse HEAD
  git diff --cached | sha256sum
`;

async function idOf(branch: string): Promise<string> {
  return (await sandbox.instance(branch)).id;
}

async function inside(branch: string, script: string): Promise<string> {
  const result = await sandbox.inside(branch, ["bash", "-ec", script]);
  if (result.code !== 0) throw new Error(`${script}: ${result.stderr}`);
  return result.stdout.trim();
}

describe("rm", () => {
  test(
    "undo brings every byte back, also after a gc of the user's repository",
    async () => {
      const instance = await Instance.make(sandbox, "feat/all");
      await instance.commit("mine.txt");
      await instance.inside(makeMess);
      const before = await instance.inside(allOf);
      const removed = await instance.hjk("rm", "-f");
      expect(removed).toMatchObject({ code: 0 });
      expect(removed.stderr).toContain("hjk undo");
      await sandbox.git("reflog", "expire", "--expire=all", "--all");
      await sandbox.git("gc", "--quiet", "--prune=now");
      expect(await sandbox.ok(["undo"])).toContain(
        `Brought back instance ${instance.id} for branch feat/all`,
      );
      expect(await idOf("feat/all")).toBe(instance.id);
      expect(await inside("feat/all", allOf)).toBe(before);
      expect(await inside("feat/all", "git fsck --strict --no-dangling; git branch --show-current")).toBe(
        "feat/all",
      );
      // It goes on as before.
      await inside("feat/all", "git add -A; git commit -qm all");
      await sandbox.ok(["ps"]);
      expect(await sandbox.git("log", "-1", "--format=%s", "feat/all")).toBe("all");
      expect((await sandbox.hjk(["undo"])).code).toBe(3);
      await sandbox.ok(["rm", "-f", "feat/all"]);
    },
    2 * minute,
  );
});
