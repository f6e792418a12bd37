import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, exists, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binary, runProgram } from "../support/harness.ts";

/*
 * `hjk` is started in folders whose files strangers and agents have written. A program that Bun compiles
 * obeys `bunfig.toml` and `.env` of the folder it is started in, unless it is built otherwise.
 */

let folder: string;
let home: string;

const marker = (): string => join(folder, "evil-ran");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hjk-hostile-"));
  home = join(folder, "home");
  await mkdir(home);
  await writeFile(join(folder, "bunfig.toml"), 'preload = ["./evil.js"]\n');
  await writeFile(join(folder, "evil.js"), `require("fs").writeFileSync(${JSON.stringify(marker())}, "");\n`);
  await writeFile(join(folder, ".env"), "HEADJACK_DEFAULT_AGENT=codex\n");
});

afterAll(async () => await rm(folder, { recursive: true }));

function environment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: home, HEADJACK_HOME: join(home, "hjk") };
}

test("the traps are real: Bun itself, and a program compiled the usual way, step into both", async () => {
  const source = join(home, "tiny.ts");
  await writeFile(source, 'process.stdout.write(process.env.HEADJACK_DEFAULT_AGENT ?? "none");');
  const compiled = join(home, "tiny");
  const built = await runProgram([process.execPath, "build", source, "--compile", "--outfile", compiled], {
    cwd: home,
    env: environment(),
  });
  expect(built).toMatchObject({ code: 0 });
  for (const command of [[process.execPath, source], [compiled]]) {
    await rm(marker(), { force: true });
    const ran = await runProgram(command, { cwd: folder, env: environment() });
    expect(ran).toMatchObject({ code: 0, stdout: "codex" });
    expect(await exists(marker())).toBe(true);
  }
});

test("hjk runs and loads neither", async () => {
  await rm(marker(), { force: true });
  for (const args of [["--version"], ["--help"], ["config", "default.agent"], ["config", "--json"]]) {
    const ran = await runProgram([binary, ...args], { cwd: folder, env: environment() });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).not.toContain("codex\n");
    expect(ran.stdout).not.toContain("HEADJACK_DEFAULT_AGENT");
  }
  expect(await exists(marker())).toBe(false);
  // The variable itself is obeyed when the user sets it.
  const set = await runProgram([binary, "config", "default.agent"], {
    cwd: folder,
    env: { ...environment(), HEADJACK_DEFAULT_AGENT: "codex" },
  });
  expect(set).toMatchObject({ code: 0, stdout: "codex\n" });
});

test("BUN_OPTIONS of the user's reaches hjk but none of its children", async () => {
  const editor = join(home, "editor");
  const seen = join(home, "seen");
  await writeFile(editor, `#!/bin/sh\nenv > ${seen}\n: > "$1"\n`);
  await chmod(editor, 0o755);
  const edited = await runProgram([binary, "config", "--edit"], {
    cwd: home,
    env: { ...environment(), EDITOR: editor, BUN_OPTIONS: "--no-deprecation", KEPT: "yes" },
  });
  expect(edited).toMatchObject({ code: 0 });
  const environmentOfChild = await Bun.file(seen).text();
  expect(environmentOfChild).toContain("KEPT=yes\n");
  expect(environmentOfChild).not.toContain("BUN_OPTIONS");
});
