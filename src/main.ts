import { writeSync } from "node:fs";
import { version } from "./cli/version.ts";

const argv = process.argv.slice(2);

/** Exit status by the convention for a program that a signal ended. */
const signalCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

async function main(): Promise<void> {
  // The commonest question of scripts is answered before anything is loaded.
  if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
    // process.stdout would load Node's streams, which takes longer than all the rest.
    writeSync(1, `${version}\n`);
    return;
  }
  const interruption = new AbortController();
  let interruptedBy: keyof typeof signalCodes | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // Once: a second Ctrl+C ends us on the spot, and the next command undoes what is left.
    process.once(signal, () => {
      interruptedBy = signal;
      interruption.abort();
    });
  }
  const [{ buildContext }, { calledCommand, plainListing, splitArguments }, { reportError }, { write }] =
    await Promise.all([
      import("./cli/context.ts"),
      import("./cli/arguments.ts"),
      import("./cli/report-error.ts"),
      import("./ui/io.ts"),
    ]);
  const { own, engine, debug } = splitArguments(argv);
  try {
    const context = buildContext(process, interruption.signal, engine);
    try {
      const listing = plainListing(own);
      if (listing !== undefined) {
        await (await import("./cli/commands/ps.ts")).showInstances(context, listing);
      } else {
        const { buildProgram } = await import("./cli/app.ts");
        const program = await buildProgram(context, calledCommand(own));
        if (own.length === 0) program.outputHelp();
        else await program.parseAsync(own, { from: "user" });
      }
    } finally {
      context.io.stepDone();
    }
  } catch (error) {
    process.exitCode = reportError(error, (text) => write(2, text), debug);
  }
  if (interruptedBy !== undefined) process.exitCode = signalCodes[interruptedBy];
}

await main();
