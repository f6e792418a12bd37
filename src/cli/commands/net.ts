import type { Command } from "@commander-js/extra-typings";
import { parseHosts } from "../../config/keys.ts";
import { allowHost } from "../../core/gateway.ts";
import { netLog, type NetEntry } from "../../core/net-log.ts";
import { HeadjackError } from "../../errors.ts";
import { cleanText } from "../../ui/clean.ts";
import { formatJson } from "../../ui/json.ts";
import { size } from "../../ui/size.ts";
import { formatTable } from "../../ui/table.ts";
import { ago, iso } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { findInstance } from "../find.ts";
import { countOption } from "../options.ts";

/** Entries that are shown unless another number is asked for. */
const usualLines = 50;

export function addNet(program: Command, context: Context): void {
  const net = program
    .command("net")
    .summary("see and widen what an instance may reach")
    .description(
      "What an instance may reach goes through its gateway: the model of its agents, the hosts that the package managers " +
        "of its image use, those that the repository comes from, and those of `network.allow`.",
    )
    .addHelpText(
      "after",
      `
What you allow holds from that moment until the instance is removed. For all instances, from when their gateways next
start, there are the settings network.allow, and network.mode: open for every public host, none for the models only.

Only TLS and plain HTTP pass, by name. Private networks only by a name that you have allowed.

Examples:
  $ hjk net log feat/login
  $ hjk net log feat/login --json | jq -r '.entries[] | select(.event == "deny") | .target'
  $ hjk net allow feat/login example.com "*.example.org" db.example.com:5432
  $ hjk config network.allow "example.com *.example.org"`,
    );
  net
    .command("log")
    .summary("list what an instance has asked for")
    .argument("<branch>", "branch of the instance")
    .option("-n, --lines <number>", `how many of the last entries (default: ${usualLines})`, countOption)
    .option("--json", "as JSON")
    .action(async (branch, options) => {
      const instance = await findInstance(context, branch);
      const entries = await netLog(context.deps(), instance, options.lines ?? usualLines);
      if (options.json === true) {
        const all = entries.map((entry) => ({ ...entry, at: iso(entry.at) }));
        context.io.out(formatJson({ version: 1, branch: instance.branch, entries: all }));
        return;
      }
      if (entries.length === 0 && context.io.stdoutIsTerminal) {
        context.io.note(`${instance.branch} has asked for nothing yet.`);
        return;
      }
      context.io.out(
        formatTable(
          ["TIME", "DECISION", "TARGET", "REQUEST", "ANSWER"],
          entries.map((entry) => row(entry, context.io.stdoutIsTerminal)),
          context.io.table,
        ),
      );
    });
  net
    .command("allow")
    .summary("let an instance reach hosts")
    .argument("<branch>", "branch of the instance")
    .argument("<host...>", "such as example.com, *.example.com or example.com:8443")
    .action(async (branch, hosts) => {
      const parsed = parseHosts(hosts);
      if ("expected" in parsed) {
        throw new HeadjackError(`${hosts.join(" ")}: expected ${parsed.expected}.`, {
          kind: "usage",
          hints: parsed.hint === undefined ? [] : [parsed.hint],
        });
      }
      const instance = await findInstance(context, branch);
      await allowHost(context.deps(), instance, parsed.value as string[]);
      context.io.out(`${instance.branch} may reach ${(parsed.value as string[]).join(", ")}`);
    });
}

function row(entry: NetEntry, isForPeople: boolean): string[] {
  const decision = { allow: "allowed", deny: "refused", api: "model", "api-deny": "refused" }[entry.event];
  const times = entry.times > 1 ? ` (${entry.times} times)` : "";
  const answer = [
    ...(entry.why === "" ? [] : [entry.why]),
    ...(entry.status === undefined ? [] : [String(entry.status)]),
    ...(entry.bytes === undefined ? [] : [size(entry.bytes)]),
  ];
  return [
    isForPeople ? ago(entry.at, new Date()) : iso(entry.at),
    decision + times,
    cleanText(entry.target),
    cleanText([entry.method, entry.path].filter((part) => part !== "").join(" ")),
    cleanText(answer.join(" ")),
  ];
}
