import type { Command } from "@commander-js/extra-typings";
import type { Agent, CredentialKind } from "../../agents/agent.ts";
import { resolveCredential, type CredentialStore } from "../../auth/credentials.ts";
import type { Config } from "../../config/config.ts";
import { messageOf } from "../../errors.ts";
import { formatJson } from "../../ui/json.ts";
import { formatTable } from "../../ui/table.ts";
import type { Context } from "../context.ts";

export function addAgents(program: Command, context: Context): void {
  program
    .command("agents")
    .summary("list the agents and what each can do")
    .description(
      "Lists every agent: its version in Headjack's own image, its credential, and what it supports.",
    )
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
IMAGE: the version that Headjack's own image of new instances holds; - when it does not (setting image.agents).
CREDENTIAL: where it would come from now. SUPPORTS: all, or some of resume, transcript, activity, questions and
permissions; docs/agents.md says more.

Examples:
  $ hjk agents
  $ hjk config image.agents "claude opencode"
  $ hjk config agents.opencode.version 1.18.33`,
    )
    .action(async (options) => {
      const config = await context.config();
      const store = await context.credentials();
      const views = await Promise.all(
        (await context.agents()).map((agent) => viewAgent(context, agent, config, store)),
      );
      if (options.json === true) {
        context.io.out(formatJson({ version: 1, agents: views }));
        return;
      }
      const rows = views.map((view) => [
        view.name,
        view.title,
        view.inImage ? (view.version ?? "?") : "-",
        shownCredential(view.credential),
        shownSupport(view.supports),
      ]);
      const headers = ["AGENT", "TITLE", "IMAGE", "CREDENTIAL", "SUPPORTS"];
      context.io.out(formatTable(headers, rows, context.io.table));
    });
}

interface AgentView {
  name: string;
  title: string;
  /** Null for an agent that Headjack's own image cannot hold. */
  version: string | null;
  inImage: boolean;
  credential: CredentialView;
  supports: {
    resume: boolean;
    transcript: boolean;
    /** Where it says what it is doing, beside its conversation. */
    activity: "status-file" | "title" | null;
    /** Whether it tells that it asks for an answer or for a permission. */
    questions: boolean;
    permissions: boolean;
  };
}

interface CredentialView {
  source: "configuration" | "environment" | "stored" | "unusable" | "none";
  kind: CredentialKind | null;
  /** The setting, the variable, or where it is stored; or what is wrong. */
  where: string | null;
}

async function viewAgent(
  context: Context,
  agent: Agent,
  config: Config,
  store: CredentialStore,
): Promise<AgentView> {
  const { signals } = agent;
  const activity =
    signals.status !== undefined ? "status-file" : signals.title !== undefined ? "title" : null;
  return {
    name: agent.name,
    title: agent.title,
    version: config.agents[agent.name]?.version ?? null,
    inImage: config.image.agents.includes(agent.name),
    credential: await viewCredential(context, agent, config.agents[agent.name]?.env ?? {}, store),
    supports: {
      resume: agent.conversation !== undefined || agent.resumesLast === true,
      transcript: agent.conversation !== undefined,
      activity,
      questions: agent.conversation !== undefined,
      permissions: activity !== null,
    },
  };
}

async function viewCredential(
  context: Context,
  agent: Agent,
  configEnv: Record<string, string>,
  store: CredentialStore,
): Promise<CredentialView> {
  try {
    const found = await resolveCredential({ agent, env: context.env, store, configEnv });
    if (found === undefined) return { source: "none", kind: null, where: null };
    const { kind } = found.credential;
    if (found.source === "config")
      return { source: "configuration", kind, where: `agents.${agent.name}.env.${found.name}` };
    if (found.source === "environment") return { source: "environment", kind, where: found.name };
    const isLogin = kind === "subscription" && agent.login !== undefined;
    return { source: "stored", kind, where: isLogin ? found.credential.value : store.where() };
  } catch (error) {
    // One that cannot be read must not keep the others from being shown.
    return { source: "unusable", kind: null, where: messageOf(error) };
  }
}

function shownCredential({ source, where }: CredentialView): string {
  return source === "none" || source === "unusable" ? source : `${source}: ${where}`;
}

function shownSupport(supports: AgentView["supports"]): string {
  const parts = Object.entries(supports);
  const has = parts.filter(([, value]) => value !== false && value !== null).map(([name]) => name);
  return has.length === parts.length ? "all" : has.join(", ") || "start only";
}
