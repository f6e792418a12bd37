import type { Command } from "@commander-js/extra-typings";
import { helperSpec } from "../../core/container.ts";
import { runStreaming } from "../../drivers/process.ts";
import { cleanStream } from "../../ui/clean.ts";
import type { Context } from "../context.ts";
import { briefSyncMs, findInstance, syncAndTell } from "../find.ts";
import { ChildExit } from "../report-error.ts";

export function addGit(program: Command, context: Context): void {
  program
    .command("git")
    .summary("run git in an instance, where it is safe")
    .description(
      "Runs git on the workspace of an instance, inside its container. On the host git refuses to work there, since " +
        "files that an agent wrote could make it run programs. Of a stopped instance it can only read.",
    )
    .argument("<branch>", "branch of the instance")
    .argument("[args...]", "arguments of git")
    .passThroughOptions()
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk git feat/login status\n  $ hjk git feat/login log --oneline -5",
    )
    .action(async (branch, args) => {
      const instance = await findInstance(context, branch, { offerNew: false });
      const deps = context.deps();
      const engine = await context.engine();
      const running = (await engine.inspect(instance.container))?.running === true;
      const color = context.io.hasColor ? ["-c", "color.ui=always"] : [];
      const command = ["git", "--no-pager", ...color, ...args];
      const streams = { stdout: cleanStream(), stderr: cleanStream() };
      const code = await runStreaming(
        running
          ? engine.execCommand(instance.container, command, { tty: false })
          : engine.runCommand(await helperSpec(deps, instance, command, { workspace: true })),
        {
          env: { ...deps.env, ...engine.environment },
          signal: context.signal,
          onOutput: (chunk, stream) => write(context, stream, streams[stream].write(chunk)),
        },
      );
      write(context, "stdout", streams.stdout.end());
      write(context, "stderr", streams.stderr.end());
      await syncAndTell(context, instance, briefSyncMs);
      if (code !== 0) throw new ChildExit(code);
    });
}

function write(context: Context, stream: "stdout" | "stderr", text: string): void {
  if (stream === "stdout") context.io.outRaw(text);
  else context.io.noteRaw(text);
}
