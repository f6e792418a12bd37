import { afterAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeadjackError } from "../errors.ts";

/** A folder for the test file that calls this, removed at its end. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hjk-auth-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function freshPaths(root: string): { credentialsFile: string; credentialsKey: string } {
  const folder = mkdtempSync(join(root, "paths-"));
  return {
    credentialsFile: join(folder, "data/credentials.enc"),
    credentialsKey: join(folder, "config/key"),
  };
}

export const secret = "sk-ant-oat01-very-secret";
export const claudeToken = { kind: "subscription", value: secret } as const;

/** Kind, message and hints of the refusal; checks that the secret is in none of them. */
export async function refusal(work: () => unknown): Promise<string> {
  let thrown: unknown = new Error("was accepted");
  try {
    await work();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof HeadjackError)) throw thrown;
  const said = [thrown.kind, thrown.message, ...thrown.hints].join("\n");
  expect(said).not.toContain("very-secret");
  expect(Bun.inspect(thrown)).not.toContain("very-secret");
  return said;
}
