import { rename } from "node:fs/promises";
import type { Command } from "@commander-js/extra-typings";
import { defaultImage } from "../../agents/versions.ts";
import { diagnose, mend } from "../../core/doctor.ts";
import type { Finding } from "../../core/finding.ts";
import { notificationFinding } from "../../core/notify.ts";
import { messageOf } from "../../errors.ts";
import { DamagedStoreError } from "../../store/store.ts";
import { formatJson } from "../../ui/json.ts";
import { carryRequest } from "../carry.ts";
import type { Context } from "../context.ts";
import { imageAgents } from "../image.ts";
import { ChildExit } from "../report-error.ts";

const marks = { ok: "ok", warning: "warning", problem: "PROBLEM" };

export function addDoctor(program: Command, context: Context): void {
  program
    .command("doctor")
    .summary("check that everything Headjack needs is there and in order")
    .description(
      "Checks git, tmux, the container engine, the base image, the configuration, notifications, the store and every " +
        "instance. Changes nothing without --fix.",
    )
    .option(
      "--fix",
      "mend what can be mended, and say what was done; nothing that could be missed is deleted",
    )
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk doctor\n  $ hjk doctor --fix\n  $ hjk doctor --json | jq '.findings[] | select(.state != \"ok\")'",
    )
    .action(async (options) => {
      const config = context.config();
      // With a configuration that is not in order, the usual ones are looked at; what is wrong comes below.
      const agents = await config.then(imageAgents, () => defaultImage);
      const worktrees = await config.then(
        ({ storage }) => storage.worktrees,
        () => context.paths.worktrees,
      );
      const carry = await carryRequest(context).catch(() => ({ wanted: [], onCarried: () => undefined }));
      const setAside = options.fix === true ? await setAsideDamagedStore(context) : [];
      const look = (): Promise<Finding[]> => diagnose(context.deps(), agents, { worktrees, carry });
      const findings = [...setAside, ...(options.fix === true ? await mend(look) : await look())];
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
          if (finding.fixed !== undefined) context.io.out(`${" ".repeat(9)}mended: ${finding.fixed}`);
          if (finding.hint !== undefined) context.io.out(`${" ".repeat(9)}${finding.hint}`);
        }
      }
      if (findings.some((finding) => finding.state === "problem")) throw new ChildExit(1);
    });
}

/** Moves a store that cannot be read out of the way; what it held is recorded again from what is there. */
async function setAsideDamagedStore(context: Context): Promise<Finding[]> {
  try {
    context.deps().store.id();
    return [];
  } catch (error) {
    if (!(error instanceof DamagedStoreError)) throw error;
    const file = context.paths.database;
    const kept = `${file}.damaged-${Date.now().toString(36)}`;
    await rename(file, kept);
    // A log without its database would be taken for that of the new one.
    for (const end of ["-wal", "-shm"]) await rename(file + end, kept + end).catch(() => undefined);
    return [{ what: "store", state: "ok", detail: error.message, fixed: `begun anew; the old is ${kept}` }];
  }
}
