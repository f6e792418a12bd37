import type { Command } from "@commander-js/extra-typings";
import { agents } from "../../agents/index.ts";
import { knownKeys } from "../../config/keys.ts";
import { HeadjackError } from "../../errors.ts";
import { cleanText } from "../../ui/clean.ts";
import { candidatesFor, completionScripts, type ArgumentLists, type Candidate } from "../complete.ts";
import type { Context } from "../context.ts";
import { currentRepoId } from "../find.ts";

const shells = Object.keys(completionScripts);

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
    .action((shell) => {
      const script = Object.entries(completionScripts).find(([name]) => name === shell)?.[1];
      if (script === undefined) {
        throw new HeadjackError(`There is no completion for ${JSON.stringify(shell)}.`, {
          kind: "usage",
          hints: [`Shells: ${shells.join(", ")}`],
        });
      }
      context.io.outRaw(script);
    });

  program
    .command("complete", { hidden: true })
    .description("What those scripts call: prints what the last word could become.")
    .argument("[words...]")
    .action(async (words) => {
      // The typings know this program's commands one by one; what is looked at here is common to all.
      const found = await candidatesFor(program as unknown as Parameters<typeof candidatesFor>[0], words, {
        ...(await knownNames(context)),
        shell: () => plain(shells),
      });
      context.io.outRaw(found.map(({ value, note }) => `${cleanText(value)}\t${cleanText(note)}\n`).join(""));
    });
}

async function knownNames(context: Context): Promise<ArgumentLists> {
  const { store } = context.deps();
  const instances = store.instances(await currentRepoId(context));
  // A configuration that is not in order is no reason to complete nothing.
  const allNames = async (): Promise<string[]> =>
    (await context.agents().catch(() => agents)).map((agent) => agent.name);
  return {
    branch: () => instances.map(({ branch, id }) => ({ value: branch, note: `instance ${id}` })),
    session: ([branch]) =>
      instances
        .filter((instance) => instance.branch === branch)
        .flatMap((instance) => store.sessions(instance.id))
        .map((session) => ({ value: session.name, note: `${session.type}, ${session.end ?? "runs"}` })),
    "branch/session": () =>
      instances.flatMap((instance) =>
        store
          .sessions(instance.id)
          .filter((session) => session.state !== "ended")
          .map((session) => ({ value: `${instance.branch}/${session.name}`, note: session.type })),
      ),
    into: () => branchesHere(context),
    agent: async () => plain(await allNames()),
    key: async () => {
      const agentNames = agents.map((agent) => agent.name);
      const customAgents = (await allNames()).filter((name) => !agentNames.includes(name));
      const keys = knownKeys({ agentNames, customAgents, home: context.paths.home });
      return plain(keys.map((spec) => spec.path.join(".")));
    },
  };
}

/** Branches of the user's repository, the last used first; none outside of one. */
async function branchesHere(context: Context): Promise<Candidate[]> {
  const listed = await context.git.try(
    ["for-each-ref", "--sort=-committerdate", "--format=%(refname:lstrip=2)", "refs/heads"],
    { cwd: context.cwd, discover: true },
  );
  return plain(listed.stdout.split("\n").filter((name) => name !== ""));
}

function plain(values: string[]): Candidate[] {
  return values.map((value) => ({ value, note: "" }));
}
