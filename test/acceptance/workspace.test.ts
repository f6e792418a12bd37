import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, exists, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, runProgram, Sandbox } from "../support/harness.ts";
import { Instance, leftovers } from "../support/workbench.ts";

/* What a new workspace gets beside the files of its commit. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  await writeFile(join(sandbox.repo, ".gitignore"), ".env\n*.local.json\nnode_modules/\n.trees/\n");
  await sandbox.git("add", ".gitignore");
  await sandbox.git("commit", "--quiet", "-m", "ignore");
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

const configure = (settings: object): Promise<void> =>
  writeFile(join(sandbox.folder, "hjk", "config.yaml"), JSON.stringify(settings));

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  const file = join(sandbox.repo, path);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

async function removeInstance(branch: string): Promise<void> {
  await sandbox.ok(["rm", "-f", branch]);
  await sandbox.git("branch", "-D", branch);
}

describe("files that git does not carry", () => {
  beforeAll(async () => {
    await put(".env", "SECRET=hunter2\n", 0o600);
    await put("packages/web/.env", "PORT=1\n");
    await put("config/dev.local.json", "{}");
    await put("config/run.local.json", "{}", 0o755);
    await put("node_modules/lib/.env", "no");
    await put("untracked.txt", "not ignored either");
  });

  test(
    "none without a rule; with one those that git does not track, for the container's user, and it is said which",
    async () => {
      await configure({});
      const plain = await sandbox.hjk(["run", "plain", "-d"]);
      expect(plain.stderr).toBe("");
      expect((await sandbox.inside("plain", ["git", "status", "--porcelain", "--ignored"])).stdout).toBe("");
      await removeInstance("plain");

      await configure({
        workspace: { copy: [".env", "/config/*.local.json", "README.md", "!node_modules/"] },
      });
      const made = await sandbox.hjk(["run", "carry", "-d"]);
      expect(made.code).toBe(0);
      const names = ".env, config/dev.local.json, config/run.local.json, packages/web/.env";
      expect(made.stderr).toBe(
        `Copied 4 files that git does not carry into the workspace (workspace.copy): ${names}\n`,
      );
      const listed = await sandbox.inside("carry", [
        "sh",
        "-c",
        "stat -c '%n %a %u' .env config/*.json packages/web/.env; id -u; cat .env",
      ]);
      const [user = ""] = listed.stdout.split("\n").slice(4);
      expect(listed.stdout).toBe(
        `.env 600 ${user}\nconfig/dev.local.json 644 ${user}\nconfig/run.local.json 755 ${user}\n` +
          `packages/web/.env 644 ${user}\n${user}\nSECRET=hunter2\n`,
      );
      // A workspace that is there is not touched again.
      expect((await sandbox.hjk(["run", "carry", "-d"])).stderr).toBe("");
    },
    minute,
  );

  test(
    "recreate brings them back with a workspace that was removed, also when it was killed at it",
    async () => {
      const { workspace } = await sandbox.instance("carry");
      await rm(workspace, { recursive: true });
      for (const moment of [60, 150, 300, 500]) {
        const child = Bun.spawn([binary, "recreate", "carry"], {
          cwd: sandbox.repo,
          env: sandbox.env,
          stdio: ["ignore", "ignore", "ignore"],
        });
        await Bun.sleep(moment);
        child.kill("SIGKILL");
        await child.exited;
      }
      await rm(workspace, { recursive: true, force: true });
      const again = await sandbox.hjk(["recreate", "carry"]);
      expect(again.stderr).toContain("Copied 4 files");
      expect((await sandbox.inside("carry", ["cat", ".env", "README.md"])).stdout).toContain(
        "SECRET=hunter2",
      );
      expect((await sandbox.inside("carry", ["git", "status", "--porcelain"])).stdout).toBe("");
      await removeInstance("carry");
    },
    minute,
  );

  test(
    ".worktreeinclude of the main worktree counts, comments and exceptions included; the configuration has the last word",
    async () => {
      await configure({ workspace: { copy: ["!packages/"] } });
      await put(".worktreeinclude", "# for agents\n\n.env  \n!/node_modules/\n/untracked.txt\n.gitignore\n");
      const made = await sandbox.hjk(["run", "included", "-d"]);
      expect(made.stderr).toContain("(.worktreeinclude, workspace.copy): .env, untracked.txt\n");
      await removeInstance("included");
      // One of the repository's that would copy what nobody needs in every workspace.
      await put(".worktreeinclude", "node_modules/\n");
      for (let index = 0; index < 1001; index += 1) await put(`node_modules/many/${index}`, "");
      const before = await leftovers(sandbox);
      const refused = await sandbox.hjk(["run", "too-many", "-d"]);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toMatch(/^error: .* would copy too much into the workspace: 1002 files, 1 MB/);
      expect(refused.stderr).toContain("hjk config workspace.copy '!node_modules/'");
      expect(await leftovers(sandbox)).toEqual(before);
      expect(await sandbox.git("for-each-ref", "refs/heads/too-many")).toBe("");
      await sandbox.ok(["config", "workspace.copy", "!node_modules/"]);
      await sandbox.ok(["run", "too-many", "-d"]);
      await removeInstance("too-many");
      await rm(join(sandbox.repo, "node_modules", "many"), { recursive: true });
      await rm(join(sandbox.repo, ".worktreeinclude"));
    },
    minute,
  );

  test(
    "links, other worktrees, repositories inside and what is no file: nothing leads in or out",
    async () => {
      const outside = join(sandbox.folder, "outside");
      await mkdir(outside);
      await writeFile(join(outside, "secret.env"), "outside");
      await put("secrets/real.env", "real");
      const at = (path: string): string => join(sandbox.repo, "secrets", path);
      await symlink("real.env", at("inside.env"));
      await symlink(join(outside, "secret.env"), at("absolute.env"));
      await symlink("../../outside/secret.env", at("relative.env"));
      await symlink("../.git/config", at("git.env"));
      await symlink("nowhere", at("dangling.env"));
      await symlink(outside, at("folder"));
      await runProgram(["mkfifo", at("pipe.env")]);
      await put("nested/.git", "gitdir: /nonexistent/hjk-sealed\n");
      await put("nested/agent.env", "of an agent");
      // The branch has a link where the main worktree has a folder.
      await sandbox.git("checkout", "--quiet", "-b", "linked");
      await symlink(outside, join(sandbox.repo, "config-link"));
      await sandbox.git("add", "config-link");
      await sandbox.git("commit", "--quiet", "-m", "a link");
      await sandbox.git("checkout", "--quiet", "main");
      await put("config-link/planted.env", "must not leave the workspace");
      await configure({
        storage: { worktrees: join(sandbox.repo, ".trees") },
        workspace: { copy: ["*.env", ".git", "secrets/folder", "config", "!node_modules/", "!packages/"] },
      });
      const made = await sandbox.hjk(["run", "linked", "-d"]);
      expect(made.code).toBe(0);
      const copied = /^Copied .*\): (.*)$/m.exec(made.stderr)?.[1] ?? "";
      expect(copied.split(", ")).toEqual([
        ".env",
        "config/dev.local.json",
        "config/run.local.json",
        "secrets/inside.env",
        "secrets/real.env",
      ]);
      for (const name of ["absolute.env", "relative.env", "git.env", "dangling.env", "folder"])
        expect(made.stderr).toContain(`secrets/${name} was not copied: it is a link that leads out`);
      expect(made.stderr).toContain("config-link/planted.env was not copied");
      expect(await readdir(outside)).toEqual(["secret.env"]);
      expect(made.stderr).not.toContain("hunter2");
      // Another workspace of ours, inside the repository, is no source.
      const other = await Instance.make(sandbox, "beside");
      await other.inside("echo planted > agent.env");
      const next = await sandbox.hjk(["run", "third", "-d"]);
      expect(next.stderr).not.toContain(".trees/my");
      expect(await exists(join((await sandbox.instance("third")).workspace, "agent.env"))).toBe(false);
      expect((await sandbox.inside("third", ["find", ".", "-name", "agent.env"])).stdout).toBe("");
      for (const branch of ["linked", "beside", "third"]) await removeInstance(branch);
    },
    minute,
  );

  test("a pattern that leads out of the repository is refused", async () => {
    for (const pattern of ["../outside/*", "/../x", "!../x"]) {
      const refused = await sandbox.hjk(["config", "workspace.copy", "--", pattern]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("expected paths or patterns in the repository");
    }
  });
});
