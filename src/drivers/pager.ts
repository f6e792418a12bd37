import type { Environment } from "./process.ts";

const ignore = (): void => undefined;

/** The user's pager at work: what is written to it is shown on the terminal, page by page. */
export class Pager {
  readonly #child: Bun.Subprocess<"pipe", "inherit", "inherit">;
  readonly #left = new AbortController();

  /** The command is text for a shell, as it is for git. */
  constructor(command: string, options: { env: Environment; cwd: string }) {
    // Those that git gives to a pager.
    const env = { LESS: "FRX", LV: "-c", ...options.env, GIT_PAGER_IN_USE: "1" };
    this.#child = Bun.spawn(["sh", "-c", command], {
      env,
      cwd: options.cwd,
      stdio: ["pipe", "inherit", "inherit"],
    });
    // The terminal sends it to the whole foreground group; the pager decides what it means.
    process.on("SIGINT", ignore);
    void this.#child.exited.then(() => this.#left.abort());
  }

  /** Aborted when the pager has ended, as when the user has seen enough. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  async write(text: string): Promise<void> {
    if (this.left.aborted) return;
    try {
      await this.#child.stdin.write(text);
      await this.#child.stdin.flush();
    } catch {
      // It is ending, which `left` tells.
    }
  }

  /** Says that this is all, and waits until the user leaves the pager. */
  async close(): Promise<void> {
    try {
      await this.#child.stdin.end();
    } catch {
      // It has ended already.
    }
    await this.#child.exited;
    process.off("SIGINT", ignore);
  }
}
