import { constants } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { HeadjackError } from "../errors.ts";
import { run, type Environment } from "./process.ts";

/** Milliseconds that the other end of the pipe gets to open it. */
const readyTimeoutMs = 15_000;

/** A named pipe that gives a starting session its environment; the values are on no disk and in no process list. */
export class EnvironmentPipe {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(folder: string, name: string, env: Environment): Promise<EnvironmentPipe> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, name);
    await run(["mkfifo", "-m", "600", path], { env });
    return new EnvironmentPipe(path);
  }

  /** Hands the variables to the reader; fails when none comes, or when `isGone` says that it never will. */
  async send(values: Record<string, string>, isGone: () => Promise<boolean>): Promise<void> {
    const text = Object.entries(values)
      .map(([name, value]) => `${name}=${value}\n`)
      .join("");
    const deadline = Date.now() + readyTimeoutMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        // Not blocking: fails with ENXIO until the other end is open.
        const pipe = await open(this.path, constants.O_WRONLY | constants.O_NONBLOCK);
        await pipe.write(text);
        await pipe.close();
        return;
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENXIO")) throw error;
        if (Date.now() > deadline || (attempt % 40 === 0 && (await isGone()))) {
          throw new HeadjackError("The session's program did not start.", { cause: error });
        }
        await Bun.sleep(3);
      }
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}
