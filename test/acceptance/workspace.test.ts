import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, exists, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, eventually, runProgram, Sandbox, Terminal } from "../support/harness.ts";
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

/** Lines of a file in /tmp of a container. */
async function count(branch: string, file: string): Promise<string> {
  return (await sandbox.inside(branch, ["sh", "-c", `wc -l < /tmp/${file}`])).stdout.trim();
}

describe("hooks", () => {
  test(
    "run in /workspace as the container's user before the first session: create once, start at each start",
    async () => {
      await configure({
        hooks: {
          create: ["echo made >> /tmp/create; test -f README.md", "id -u > /tmp/user; pwd >> /tmp/user"],
          start: "echo up >> /tmp/start",
        },
      });
      const made = await sandbox.hjk(["run", "hooked", "-d"]);
      expect(made.code).toBe(0);
      expect(made.stderr.match(/^Setting up hooked \(hooks\.\w+\)/gm)).toEqual([
        "Setting up hooked (hooks.create)",
        "Setting up hooked (hooks.create)",
        "Setting up hooked (hooks.start)",
      ]);
      const user = (await sandbox.inside("hooked", ["id", "-u"])).stdout;
      expect((await sandbox.inside("hooked", ["cat", "/tmp/user"])).stdout).toBe(`${user}/workspace\n`);
      await sandbox.ok(["run", "hooked", "-d"]);
      expect([await count("hooked", "create"), await count("hooked", "start")]).toEqual(["1", "1"]);
      await sandbox.ok(["stop", "hooked"]);
      await sandbox.ok(["start", "hooked"]);
      expect([await count("hooked", "create"), await count("hooked", "start")]).toEqual(["1", "2"]);
      await sandbox.ok(["stop", "hooked"]);
      await sandbox.ok(["exec", "hooked", "true"]);
      expect(await count("hooked", "start")).toBe("3");
      await sandbox.ok(["recreate", "hooked"]);
      expect([await count("hooked", "create"), await count("hooked", "start")]).toEqual(["1", "1"]);
      await removeInstance("hooked");
    },
    minute,
  );

  test(
    "a failure is told with its output and code, the instance is there, no session; tried again until it succeeds",
    async () => {
      const create = ["echo first; printf 'why \\033]0;title\\007it failed\\n' >&2; test -f ready || exit 7"];
      await configure({ hooks: { create } });
      const failed = await sandbox.hjk(["run", "failing", "-d"]);
      expect(failed.code).toBe(1);
      expect(failed.stderr).toContain("error: hooks.create failed on failing with exit code 7: echo first;");
      expect(failed.stderr).toContain("first\n");
      expect(failed.stderr).toContain("it failed\n");
      expect(failed.stderr).not.toContain("\u001b");
      expect(failed.stderr).toContain("hjk recreate failing");
      expect(await sandbox.instance("failing")).toMatchObject({ status: "running", sessions: [] });
      for (const args of [
        ["run", "failing", "-d"],
        ["start", "failing"],
        ["recreate", "failing"],
      ])
        expect((await sandbox.hjk(args)).stderr).toContain("exit code 7");
      expect((await sandbox.instance("failing")).sessions).toEqual([]);
      const looked = await sandbox.hjk(["exec", "failing", "touch", "ready"]);
      expect(looked.code).toBe(0);
      expect(looked.stderr).toContain("warning: hooks.create has not succeeded on failing yet");
      await sandbox.ok(["run", "failing", "-d"]);
      expect((await sandbox.instance("failing")).sessions).toHaveLength(1);
      expect((await sandbox.hjk(["exec", "failing", "true"])).stderr).toBe("");
      await removeInstance("failing");
    },
    minute,
  );

  test(
    "on a terminal the output is shown as it comes, cleaned; Ctrl+C ends what runs, and no session is started",
    async () => {
      await configure({ hooks: { create: ["printf 'one\\033[2J\\n'; exec sleep 1000"] } });
      const terminal = await Terminal.open(sandbox);
      const ended = await terminal.ends(async () => {
        await terminal.type("hjk run stopped");
        await terminal.waitFor("  | one");
        await terminal.press("C-c");
      });
      expect(ended.code).toBe(130);
      expect(ended.screen).toContain("Interrupted.");
      expect(await sandbox.instance("stopped")).toMatchObject({ status: "running", sessions: [] });
      const left = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep [1]000'";
      expect((await sandbox.inside("stopped", ["sh", "-c", left])).stdout.trim()).toBe("0");
      await terminal.close();
      await removeInstance("stopped");
    },
    minute,
  );

  test(
    "killed at it: the next command ends what was left and does it again; two at once do it once",
    async () => {
      await configure({ hooks: { create: ["echo begun >> /tmp/begun; sleep 2; echo done >> /tmp/done"] } });
      const child = Bun.spawn([binary, "run", "killed", "-d"], {
        cwd: sandbox.repo,
        env: sandbox.env,
        stdio: ["ignore", "ignore", "ignore"],
      });
      await eventually(
        async () => (await sandbox.inside("killed", ["cat", "/tmp/begun"])).stdout === "begun\n",
        "the hook has begun",
      );
      child.kill("SIGKILL");
      await child.exited;
      const both = await Promise.all([1, 2].map(() => sandbox.hjk(["run", "killed", "-d"])));
      expect(both.map(({ code }) => code)).toEqual([0, 0]);
      expect((await sandbox.instance("killed")).sessions).toHaveLength(2);
      expect(await count("killed", "done")).toBe("1");
      await removeInstance("killed");
    },
    minute,
  );
});
