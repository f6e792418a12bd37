import type { Command } from "@commander-js/extra-typings";
import { shellProgram } from "../../core/launch.ts";
import { checkSessionName } from "../../core/names.ts";
import { newSessionId } from "../../core/names.ts";
import { endProcesses, sessionVariable } from "../../core/session.ts";
import { runInteractive } from "../../drivers/process.ts";
import type { InstanceRecord } from "../../store/records.ts";
import type { Context } from "../context.ts";
import { briefSyncMs, findInstance, syncAndTell } from "../find.ts";
import { ChildExit } from "../report-error.ts";
import { startAndSetUp } from "../set-up.ts";
import { openSession } from "../start.ts";

export function addExec(program: Command, context: Context): void {
  program
    .command("exec")
    .summary("run a command in an instance")
    .description(
      "Runs a command (default: a shell) in the container of an instance, in a new session that you can detach from. " +
        "Its exit code is passed on. In a pipe or script, or with --no-mux, it runs without a session.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[command...]", "command and its arguments")
    .option("--no-mux", "directly on this terminal, without a session")
    .option("-n, --name <name>", "name of the session (default: made up)")
    .option("-d, --detached", "leave the session running in the background")
    .passThroughOptions()
    .addHelpText(
      "after",
      `
Options of hjk go before the branch.

Examples:
  $ hjk exec feat/login npm test
  $ hjk exec -d -n server feat/login npm start
  $ hjk exec feat/login git log --oneline | head`,
    )
    .action(async (branch, command, options) => {
      if (options.name !== undefined) checkSessionName(options.name);
      const instance = await findInstance(context, branch);
      await startAndSetUp(context, instance, { finish: false });
      context.io.stepDone();
      const detached = options.detached === true;
      const program = command.length === 0 ? shellProgram : () => ({ command, environment: {} });
      if (!detached && (!options.mux || !context.io.isInteractive)) {
        const code = await runDirectly(context, instance, program("").command);
        await syncAndTell(context, instance, briefSyncMs);
        if (code !== 0) throw new ChildExit(code);
        return;
      }
      await openSession(context, instance, {
        type: "shell",
        program,
        detached,
        showOutput: command.length > 0,
        ...(options.name === undefined ? {} : { name: options.name }),
      });
    });
}

/**
 * Runs a program on this very terminal or pipe. It would go on in the container after Ctrl+C, or when
 * nobody reads its output any more (`| head`), so whatever is left of it then is ended.
 */
async function runDirectly(context: Context, instance: InstanceRecord, argv: string[]): Promise<number> {
  const engine = await context.engine();
  const id = newSessionId();
  const tty = context.io.isInteractive;
  const command = engine.execCommand(instance.container, argv, {
    tty,
    environment: { [sessionVariable]: id, ...(tty ? { TERM: "xterm-256color" } : {}) },
  });
  const code = await runInteractive(command, {
    env: { ...context.deps().env, ...engine.environment },
    signal: context.signal,
  });
  if (code !== 0 || context.signal.aborted) await endProcesses(context.deps(), instance, id);
  return code;
}
