import { Command } from "@commander-js/extra-typings";
import type { Context } from "./context.ts";
import { version } from "./version.ts";

type AddCommand = (program: Command, context: Context) => void;

interface CommandEntry {
  /** Name and aliases. */
  names: string[];
  group: string;
  /** Loaded when it is called or listed, since start-up time counts. */
  load: () => Promise<AddCommand>;
}

/** Every command, in the order of the help: the table of contents. */
const commands: CommandEntry[] = [
  { names: ["run"], group: "Work:", load: async () => (await import("./commands/run.ts")).addRun },
  { names: ["agent"], group: "Work:", load: async () => (await import("./commands/agent.ts")).addAgent },
  { names: ["exec"], group: "Work:", load: async () => (await import("./commands/exec.ts")).addExec },
  {
    names: ["forward"],
    group: "Work:",
    load: async () => (await import("./commands/forward.ts")).addForward,
  },
  { names: ["attach"], group: "Work:", load: async () => (await import("./commands/attach.ts")).addAttach },
  { names: ["send"], group: "Work:", load: async () => (await import("./commands/send.ts")).addSend },
  { names: ["ps", "ls", "list"], group: "Look:", load: async () => (await import("./commands/ps.ts")).addPs },
  { names: ["wait"], group: "Look:", load: async () => (await import("./commands/wait.ts")).addWait },
  { names: ["logs"], group: "Look:", load: async () => (await import("./commands/logs.ts")).addLogs },
  {
    names: ["transcript"],
    group: "Look:",
    load: async () => (await import("./commands/transcript.ts")).addTranscript,
  },
  { names: ["usage"], group: "Look:", load: async () => (await import("./commands/usage.ts")).addUsage },
  { names: ["diff"], group: "Look:", load: async () => (await import("./commands/diff.ts")).addDiff },
  {
    names: ["review"],
    group: "Look:",
    load: async () => (await import("./commands/review.ts")).addReview,
  },
  { names: ["ports"], group: "Look:", load: async () => (await import("./commands/ports.ts")).addPorts },
  { names: ["net"], group: "Look:", load: async () => (await import("./commands/net.ts")).addNet },
  { names: ["git"], group: "Look:", load: async () => (await import("./commands/git.ts")).addGit },
  {
    names: ["apply"],
    group: "Take in and publish:",
    load: async () => (await import("./commands/apply.ts")).addApply,
  },
  {
    names: ["commit"],
    group: "Take in and publish:",
    load: async () => (await import("./commands/commit.ts")).addCommit,
  },
  {
    names: ["merge"],
    group: "Take in and publish:",
    load: async () => (await import("./commands/merge.ts")).addMerge,
  },
  {
    names: ["push"],
    group: "Take in and publish:",
    load: async () => (await import("./commands/push.ts")).addPush,
  },
  {
    names: ["pr"],
    group: "Take in and publish:",
    load: async () => (await import("./commands/pr.ts")).addPr,
  },
  {
    names: ["kill"],
    group: "End and clean up:",
    load: async () => (await import("./commands/kill.ts")).addKill,
  },
  {
    names: ["stop"],
    group: "End and clean up:",
    load: async () => (await import("./commands/stop.ts")).addStop,
  },
  {
    names: ["start"],
    group: "End and clean up:",
    load: async () => (await import("./commands/start.ts")).addStart,
  },
  {
    names: ["recreate"],
    group: "End and clean up:",
    load: async () => (await import("./commands/recreate.ts")).addRecreate,
  },
  { names: ["rm"], group: "End and clean up:", load: async () => (await import("./commands/rm.ts")).addRm },
  { names: ["df"], group: "End and clean up:", load: async () => (await import("./commands/df.ts")).addDf },
  { names: ["gc"], group: "End and clean up:", load: async () => (await import("./commands/gc.ts")).addGc },
  {
    names: ["history"],
    group: "Bring back:",
    load: async () => (await import("./commands/history.ts")).addHistory,
  },
  {
    names: ["restore"],
    group: "Bring back:",
    load: async () => (await import("./commands/restore.ts")).addRestore,
  },
  { names: ["undo"], group: "Bring back:", load: async () => (await import("./commands/undo.ts")).addUndo },
  {
    names: ["agents"],
    group: "Set up:",
    load: async () => (await import("./commands/agents.ts")).addAgents,
  },
  { names: ["auth"], group: "Set up:", load: async () => (await import("./commands/auth.ts")).addAuth },
  { names: ["config"], group: "Set up:", load: async () => (await import("./commands/config.ts")).addConfig },
  { names: ["setup"], group: "Set up:", load: async () => (await import("./commands/setup.ts")).addSetup },
  { names: ["doctor"], group: "Set up:", load: async () => (await import("./commands/doctor.ts")).addDoctor },
  {
    names: ["completion", "complete"],
    group: "Set up:",
    load: async () => (await import("./commands/completion.ts")).addCompletion,
  },
  {
    names: ["version"],
    group: "Set up:",
    load: async () => (await import("./commands/version.ts")).addVersion,
  },
  { names: ["internal"], group: "", load: async () => (await import("./commands/internal.ts")).addInternal },
];

/** The commands that completion must see whole, beside help. */
const needsAll = new Set(["complete"]);

/** The program with the command that is called, or with all where a list of them is wanted. */
export async function buildProgram(context: Context, called?: string): Promise<Command> {
  const program = new Command("hjk")
    .description(
      "Runs coding agents side by side on one git repository, each in its own container on its own branch.",
    )
    .version(version, "-V, --version", "show the version")
    .option("--debug", "show where an error came from; with every command")
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError("(hjk <command> --help explains)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.io.outRaw(text),
      writeErr: (text) => context.io.noteRaw(text),
    })
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .helpCommand(false)
    .addHelpText(
      "after",
      '\nStart:\n  $ hjk auth claude\n  $ hjk run feat/login --agent claude -d "Add a login page"\n  $ hjk ps',
    );
  const one = commands.filter(
    (entry) => called !== undefined && entry.names.includes(called) && !needsAll.has(called),
  );
  const wanted = one.length > 0 ? one : commands;
  const loaded = await Promise.all(wanted.map(async (entry) => ({ entry, add: await entry.load() })));
  for (const { entry, add } of loaded) {
    program.commandsGroup(entry.group);
    add(program, context);
  }
  return program;
}
