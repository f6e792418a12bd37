import type { Command } from "@commander-js/extra-typings";
import { listeningPorts } from "../../core/ports.ts";
import { HeadjackError } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";

export function addPorts(program: Command, context: Context): void {
  program
    .command("ports")
    .summary("what listens in an instance, and where it can be reached")
    .description(
      "Lists the TCP ports on which something listens in an instance, and the ports of this machine that hjk forward leads there.",
    )
    .argument("<branch>", "branch of the instance")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExamples:\n  $ hjk ports feat/login\n  $ hjk forward feat/login 3000")
    .action(async (branch, options) => {
      const instance = await findInstance(context, branch, { offerNew: false });
      const details = await (await context.engine()).inspect(instance.container);
      if (details?.running !== true) {
        throw new HeadjackError(`The instance of ${instance.branch} does not run.`, {
          hints: [`Start it: hjk start ${instance.branch}`],
        });
      }
      const ports = await listeningPorts(context.deps(), instance);
      if (options.json === true) {
        context.io.out(formatJson({ version: 1, ports }));
        return;
      }
      if (ports.length === 0)
        return context.io.note(`Nothing listens in the instance of ${instance.branch}.`);
      const rows = ports.map(({ port, address, forwarded }) => [
        String(port),
        address,
        forwarded.map((hostPort) => `127.0.0.1:${hostPort}`).join(", "),
      ]);
      context.io.out(formatTable(["PORT", "LISTENS ON", "FORWARDED FROM"], rows, context.io.table));
    });
}
