import { InvalidArgumentError, type Command } from "@commander-js/extra-typings";
import { forwardPort } from "../../core/ports.ts";
import { formatJsonLine } from "../../ui/json.ts";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";
import { startAndSetUp } from "../set-up.ts";

export function addForward(program: Command, context: Context): void {
  program
    .command("forward")
    .summary("reach a port of an instance from this machine")
    .description(
      "Leads a free port of this machine (127.0.0.1 only) to a port in an instance, until Ctrl+C. So two instances can " +
        "have a server on the same port. It goes on when the instance is stopped and started again.",
    )
    .argument("<branch>", "branch of the instance")
    .argument(
      "<port>",
      "port in the instance on which a server listens, also on its loopback only",
      portOption,
    )
    .option("--port <number>", "port of this machine (default: any that is free)", portOption)
    .option("--json", "as JSON, one line once it can be used")
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk forward feat/login 3000\n  $ hjk forward feat/login 5173 --port 8080\n  $ hjk ports feat/login",
    )
    .action(async (branch, port, options) => {
      const { io, signal } = context;
      const instance = await findInstance(context, branch, { offerNew: false });
      await startAndSetUp(context, instance, { finish: false });
      io.stepDone();
      let told = false;
      await forwardPort(
        context.deps(),
        instance,
        { port, hostPort: options.port ?? 0 },
        async (forwarding) => {
          const url = `http://127.0.0.1:${forwarding.port}`;
          if (options.json === true) io.out(formatJsonLine({ version: 1, port, hostPort: forwarding.port }));
          else io.out(`${url} leads to port ${port} of ${instance.branch}; Ctrl+C ends it`);
          const { promise, resolve } = Promise.withResolvers<undefined>();
          signal.addEventListener("abort", () => resolve(undefined), { once: true });
          if (!signal.aborted) await promise;
          // The terminal has written ^C into the line.
          if (io.stderrIsTerminal) io.note("");
        },
        () => {
          // Once: a browser tries again and again.
          if (!told)
            io.note(`warning: A connection came to nothing; what listens is shown by: hjk ports ${branch}`);
          told = true;
        },
      );
    });
}

function portOption(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("It takes a port from 1 to 65535.");
  return port;
}
