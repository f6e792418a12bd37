import { Command } from "@commander-js/extra-typings";
import { addAgent } from "./commands/agent.ts";
import { addAttach } from "./commands/attach.ts";
import { addAuth } from "./commands/auth.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExec } from "./commands/exec.ts";
import { addGit } from "./commands/git.ts";
import { addInternal } from "./commands/internal.ts";
import { addKill } from "./commands/kill.ts";
import { addLogs } from "./commands/logs.ts";
import { addPs } from "./commands/ps.ts";
import { addRecreate } from "./commands/recreate.ts";
import { addRm } from "./commands/rm.ts";
import { addRun } from "./commands/run.ts";
import { addStart } from "./commands/start.ts";
import { addStop } from "./commands/stop.ts";
import { addVersion } from "./commands/version.ts";
import type { Context } from "./context.ts";
import { version } from "./version.ts";

/** Every command: the table of contents. */
export function buildProgram(context: Context): Command {
  const program = new Command("hjk")
    .description(
      "Runs coding agents side by side on one git repository, each in its own container on its own branch.",
    )
    .version(version, "-V, --version", "show the version")
    .option("--debug", "show where an error came from")
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError("(hjk <command> --help explains)")
    .exitOverride()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false });

  program.commandsGroup("Work:");
  addRun(program, context);
  addAgent(program, context);
  addExec(program, context);
  addAttach(program, context);

  program.commandsGroup("Look:");
  addPs(program, context);
  addLogs(program, context);
  addGit(program, context);

  program.commandsGroup("End and clean up:");
  addKill(program, context);
  addStop(program, context);
  addStart(program, context);
  addRecreate(program, context);
  addRm(program, context);

  program.commandsGroup("Set up:");
  addAuth(program, context);
  addConfig(program, context);
  addDoctor(program, context);
  addCompletion(program, context);
  addVersion(program, context);
  addInternal(program, context);
  program.helpCommand(false);
  program.addHelpText(
    "after",
    '\nStart:\n  $ hjk auth claude\n  $ hjk run feat/login --agent claude -d "Add a login page"\n  $ hjk ps',
  );
  return program;
}

/** Commands after whose name `--` begins flags of the container engine. */
const withEngineFlags = new Set(["run", "recreate"]);

/** Takes the engine's flags off, which the parser would mix with the arguments. */
export function splitEngineFlags(argv: readonly string[]): { own: string[]; engine: string[] } {
  const command = argv.find((word) => !word.startsWith("-"));
  const dashes = argv.indexOf("--");
  if (dashes < 0 || command === undefined || !withEngineFlags.has(command))
    return { own: [...argv], engine: [] };
  return { own: argv.slice(0, dashes), engine: argv.slice(dashes + 1) };
}
