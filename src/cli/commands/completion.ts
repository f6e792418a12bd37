import type { Command } from "@commander-js/extra-typings";
import type { Context } from "../context.ts";

const shells = ["bash", "zsh", "fish", "powershell"] as const;

/** Commands whose first argument is the branch of an instance, and whether a session may follow. */
const branchCommands = [
  "run",
  "agent",
  "exec",
  "ps",
  "logs",
  "attach",
  "stop",
  "start",
  "rm",
  "recreate",
  "git",
];
const sessionCommands = ["logs", "attach"];

export function addCompletion(program: Command, context: Context): void {
  program
    .command("completion")
    .summary("print the completion script of a shell")
    .description(
      "Prints a script that makes your shell complete commands, options, branches and sessions of hjk.",
    )
    .argument("<shell>", shells.join(", "))
    .addHelpText(
      "after",
      `
Examples:
  bash   $ echo 'source <(hjk completion bash)' >> ~/.bashrc
  zsh    $ echo 'source <(hjk completion zsh)' >> ~/.zshrc
  fish   $ hjk completion fish > ~/.config/fish/completions/hjk.fish`,
    )
    .action(async (shell) => {
      const { HeadjackError } = await import("../../errors.ts");
      if (!shells.some((known) => known === shell)) {
        throw new HeadjackError(`There is no completion for ${JSON.stringify(shell)}.`, {
          kind: "usage",
          hints: [`Shells: ${shells.join(", ")}`],
        });
      }
      const { script } = await import("@bomb.sh/tab");
      script(shell, "hjk", "hjk");
    });

  program
    .command("complete", { hidden: true })
    .argument("[words...]")
    .allowUnknownOption()
    .action(async (words) => {
      const { default: tab } = await import("@bomb.sh/tab/commander");
      const completion = tab(program as never, { completionCommandName: "completion-script" });
      const { store } = context.deps();
      const { currentRepoId } = await import("../find.ts");
      const instances = store.instances(await currentRepoId(context));
      for (const name of branchCommands) {
        const [branch] = completion.commands.get(name)?.arguments.values() ?? [];
        if (branch === undefined) continue;
        branch.handler = (complete) => {
          for (const instance of instances) complete(instance.branch, `instance ${instance.id}`);
        };
      }
      const sessions = instances.flatMap((instance) =>
        store.sessions(instance.id).map((session) => ({ instance, session })),
      );
      for (const name of sessionCommands) {
        const [, session] = completion.commands.get(name)?.arguments.values() ?? [];
        if (session === undefined) continue;
        session.handler = (complete) => {
          for (const one of sessions)
            complete(one.session.name, `${one.session.type} in ${one.instance.branch}`);
        };
      }
      const [target] = completion.commands.get("kill")?.arguments.values() ?? [];
      if (target !== undefined) {
        target.handler = (complete) => {
          for (const { instance, session } of sessions) {
            if (session.state !== "ended") complete(`${instance.branch}/${session.name}`, session.type);
          }
        };
      }
      completion.parse(words);
    });
}
