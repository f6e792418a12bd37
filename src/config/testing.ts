import { afterAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeadjackError } from "../errors.ts";

/** A folder for the test file that calls this, removed at its end. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hjk-config-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const context = {
  agentNames: ["claude", "codex", "my-agent"],
  paths: { home: "/home/ann", worktrees: "/data/worktrees", logs: "/data/logs" },
};

export async function fileWith(root: string, text: string | Uint8Array): Promise<string> {
  const folder = mkdtempSync(join(root, "file-"));
  await writeFile(join(folder, "config.yaml"), text);
  return join(folder, "config.yaml");
}

/** Message (with the file's folder left out) and hints of the refusal. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error("was accepted"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof HeadjackError)) throw error;
  expect(error.kind).toBe("usage");
  return [error.message, ...error.hints].join("\n").replaceAll(/\/\S*\/(?=config\.yaml)/g, "");
}

export const full = `# mine
default:
  agent: claude # the good one
  base_image: registry.example.com:5000/team/base:1.2@sha256:abc
storage:
  worktrees: ~/trees/
  logs: /var/log/hjk
runtime:
  name: docker
  flags: ["--cpus", 2, --env, API_KEY=abc]
agents:
  claude:
    base_url: https://models.example.com/anthropic/
    env:
      VERSION: 1.10
      DEBUG: true
      MY_TOKEN: very-secret
`;
