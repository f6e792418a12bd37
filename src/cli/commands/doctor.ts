import type { Command } from "@commander-js/extra-typings";
import { defaultImage } from "../../agents/versions.ts";
import { diagnose } from "../../core/doctor.ts";
import { notificationFinding } from "../../core/notify.ts";
import { messageOf } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import type { Context } from "../context.ts";
import { imageAgents } from "../image.ts";
import { ChildExit } from "../report-error.ts";

const marks = { ok: "ok", warning: "warning", problem: "PROBLEM" };

export function addDoctor(program: Command, context: Context): void {
  program
    .command("doctor")
    .summary("check that everything Headjack needs is there and in order")
    .description(
      "Checks git, tmux, the container engine, the base image, the configuration, notifications, the store and every instance. Changes nothing.",
    )
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk doctor\n  $ hjk doctor --json | jq '.findings[] | select(.state != \"ok\")'",
    )
    .action(async (options) => {
      const config = context.config();
      // With a configuration that is not in order, the usual ones are looked at; what is wrong comes below.
      const agents = await config.then(imageAgents, () => defaultImage);
      const findings = await diagnose(context.deps(), agents);
      try {
        const { notify } = await config;
        findings.push({ what: "configuration", state: "ok", detail: context.paths.configFile });
        findings.push(notificationFinding(context.deps(), notify));
      } catch (error) {
        findings.push({
          what: "configuration",
          state: "problem",
          detail: messageOf(error),
          hint: "hjk config --edit",
        });
      }
      if (options.json === true) {
        context.io.out(formatJson({ version: 1, findings }));
      } else {
        for (const finding of findings) {
          context.io.out(`${marks[finding.state].padEnd(8)} ${finding.what}: ${finding.detail}`);
          if (finding.hint !== undefined) context.io.out(`${" ".repeat(9)}${finding.hint}`);
        }
      }
      if (findings.some((finding) => finding.state === "problem")) throw new ChildExit(1);
    });
}
