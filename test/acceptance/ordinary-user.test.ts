import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binary, runProgram, type Output } from "../support/harness.ts";

/*
 * Most people are not root. This test makes a user who may use Docker and runs `hjk` as them; the user
 * is kept for the next run, and with it the base image for their uid.
 */

const user = "hjk-test-user";
const isRoot = process.getuid?.() === 0;
const reason = isRoot ? "" : " (skipped: making a user needs root)";

let folder = "";

/** Runs a shell script as the ordinary user, with `hjk` on the PATH and a world of its own. */
async function asUser(script: string): Promise<Output> {
  const variables = [
    `HOME=${folder}`,
    `HEADJACK_HOME=${folder}/hjk`,
    `PATH=${folder}/bin:${process.env["PATH"] ?? ""}`,
    `NODE_EXTRA_CA_CERTS=${process.env["NODE_EXTRA_CA_CERTS"] ?? ""}`,
    `SSL_CERT_FILE=${process.env["SSL_CERT_FILE"] ?? ""}`,
  ];
  const command = [
    "env",
    "-i",
    ...variables,
    "bash",
    "-c",
    `cd ${folder} && cd my-app 2>/dev/null; ${script}`,
  ];
  return await runProgram(
    ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups", "--", ...command],
    {
      timeoutMs: 600_000,
    },
  );
}

async function root(...command: string[]): Promise<string> {
  const result = await runProgram(command);
  if (result.code !== 0) throw new Error(`${command.join(" ")}: ${result.stderr}`);
  return result.stdout.trim();
}

describe.skipIf(!isRoot)(`as an ordinary user${reason}`, () => {
  beforeAll(async () => {
    if ((await runProgram(["id", user])).code !== 0) await root("useradd", "--create-home", user);
    const group = await root("stat", "-c", "%G", "/var/run/docker.sock");
    await root("usermod", "-aG", group, user);
    folder = await mkdtemp(join(tmpdir(), "hjk-user-"));
    await root("mkdir", join(folder, "bin"));
    await copyFile(binary, join(folder, "bin", "hjk"));
    await chmod(folder, 0o755);
    await root("chown", "-R", `${user}:`, folder);
    const made = await asUser(
      "git init -q -b main my-app && cd my-app && git config user.name Ann && git config user.email ann@example.com" +
        " && echo a > a.txt && git add . && git commit -qm first && hjk run feat/a -d",
    );
    if (made.code !== 0) throw new Error(made.stderr);
  }, 600_000);

  afterAll(async () => {
    await asUser("hjk rm -f feat/a; tmux -S $HEADJACK_HOME/data/run/tmux kill-server");
    await rm(folder, { recursive: true, force: true });
  });

  test("files made inside belong to the user, and files of the user can be changed inside", async () => {
    const inside = await asUser("hjk exec feat/a sh -c 'id -u; echo b >> a.txt; mkdir new; touch new/file'");
    expect(inside.stdout.trim()).toBe((await runProgram(["id", "-u", user])).stdout.trim());
    const foreign = await asUser(`find ${folder} -not -user ${user}`);
    expect(foreign.stdout).toBe("");
    const workspace = await asUser("cd $HEADJACK_HOME/data/worktrees/*/* && cat a.txt && rm -r new");
    expect(workspace).toMatchObject({ code: 0, stdout: "a\nb\n" });
  });

  test("commits come home", async () => {
    await asUser("hjk exec feat/a git commit -qam second");
    expect((await asUser("git log --format=%s feat/a")).stdout).toBe("second\nfirst\n");
  });

  test("removing leaves nothing behind", async () => {
    expect((await asUser("hjk rm -f feat/a")).code).toBe(0);
    const left = await asUser(
      "find $HEADJACK_HOME/data/worktrees $HEADJACK_HOME/data/instances -mindepth 2; git worktree list",
    );
    expect(left.stdout.trim().split("\n")).toHaveLength(1);
  });
});
