import type { Command } from "@commander-js/extra-typings";
import { formatJson } from "../../ui/json.ts";
import type { Context } from "../context.ts";
import { version } from "../version.ts";

export function addVersion(program: Command, context: Context): void {
  program
    .command("version")
    .summary("show the version of hjk and of what it uses")
    .description("Shows the version of hjk, git, tmux and the container engine.")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExample:\n  $ hjk version")
    .action(async (options) => {
      const [git, tmux, engine] = await Promise.all([
        ask(async () =>
          (await context.git.run(["--version"], { cwd: "/" })).trim().replace("git version ", ""),
        ),
        ask(() => context.tmux.version()),
        ask(async () => {
          const opened = await context.engine();
          return `${opened.name} ${await opened.version()}`;
        }),
      ]);
      if (options.json === true) {
        context.io.out(formatJson({ version: 1, hjk: version, git, tmux, engine }));
        return;
      }
      context.io.out(`hjk ${version}`);
      for (const [name, found] of Object.entries({ git, tmux, engine }))
        context.io.out(`${name} ${found ?? "not found"}`);
    });
}

/** The answer, or null where there is none: what is missing is shown as not found. */
async function ask(question: () => Promise<string>): Promise<string | null> {
  try {
    return await question();
  } catch {
    return null;
  }
}
