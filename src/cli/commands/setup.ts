import type { Command } from "@commander-js/extra-typings";
import { resolveCommit } from "../../drivers/git/repository.ts";
import { HeadjackError } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import { approve, describeAsks, isApproved, readAsks } from "../asks.ts";
import type { Context } from "../context.ts";

export function addSetup(program: Command, context: Context): void {
  program
    .command("setup")
    .summary("show and approve what a repository asks for")
    .description(
      "Shows what this repository asks for in its .headjack.yaml, its Dockerfile.headjack and its devcontainer.json, and whether you have approved " +
        "it. Until then nothing of it is done.",
    )
    .option("--approve", "approve it, once for this content")
    .option("--from <ref>", "branch or commit whose file is read (default: HEAD)")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
.headjack.yaml, committed at the top of a repository:
  setup:
    - apt-get update && apt-get install -y postgresql
    - npm install -g pnpm
  security:
    profile: strict
  network:
    mode: allowlist
    allow: [files.example.com]

setup is run as root when a container's image is made: on top of the image that you use, without the repository's files and
without secrets, once for all instances. security.profile and network.mode can narrow yours; where they are wider, they need
your approval, too, and so do hosts that network.allow adds. These must be public: what lies in a private network only you allow.
So it is with isolation (container, gvisor, vm): a stronger one holds at once, a weaker one needs your approval.
Dockerfile.headjack there is what the image itself is built from; docs/images.md says with which files.
devcontainer.json goes before it. All are read at the commit where a branch begins, never where an agent writes.

Examples:
  $ hjk setup
  $ hjk setup --approve
  $ hjk setup --from feat/login`,
    )
    .action(async (options) => {
      const { io } = context;
      const repository = await context.repository();
      const from = options.from ?? "HEAD";
      const commit = await resolveCommit(context.git, context.cwd, from);
      if (commit === undefined) {
        throw new HeadjackError(`There is no commit "${from}" in ${repository.name}.`, { kind: "not-found" });
      }
      const asks = await readAsks(context, repository, commit, (await context.config()).hardening);
      if (options.approve === true) approve(context, repository, asks);
      const approved = isApproved(context, repository, asks);
      if (options.json === true) {
        const { setup, profile = null, isolation = null, mode, hosts, image, devcontainer } = asks;
        const network = { mode: mode?.wanted ?? null, allow: hosts };
        const files = { dockerfile: image?.text ?? null, devcontainer: devcontainer?.text ?? null };
        io.out(formatJson({ version: 1, commit, setup, profile, isolation, network, ...files, approved }));
        return;
      }
      const lines = describeAsks(asks);
      if (lines.length === 0)
        return io.note(`${repository.name} asks for nothing at ${commit.slice(0, 12)}.`);
      io.note(`${repository.name} asks for this at ${commit.slice(0, 12)}:`);
      for (const line of lines) io.out(line);
      io.note(
        approved
          ? "Approved."
          : `Not approved. Approve it: hjk setup --approve --from ${commit.slice(0, 12)}`,
      );
    });
}
