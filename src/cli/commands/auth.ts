import type { Command } from "@commander-js/extra-typings";
import type { Agent, CredentialKind } from "../../agents/agent.ts";
import { agents } from "../../agents/index.ts";
import { checkCredential } from "../../auth/check.ts";
import { checkShape, cleanValue, type Credential, resolveCredential } from "../../auth/credentials.ts";
import { type LoginAgent, readLogin, renewalMarginMs } from "../../auth/login.ts";
import { ownProxy } from "../../core/user-proxy.ts";
import { HeadjackError } from "../../errors.ts";
import { ago, clock } from "../../ui/time.ts";
import type { Context } from "../context.ts";
import { hasLogin } from "../credential.ts";
import { chooseAgent } from "../start.ts";

const kindNames: Record<CredentialKind, string> = { subscription: "Subscription", "api-key": "API key" };

export function addAuth(program: Command, context: Context): void {
  program
    .command("auth")
    .summary("store the credential of an agent")
    .description(
      "Asks for the subscription token or API key of an agent and keeps it in the system keychain, or in an encrypted " +
        "file where there is none. In a pipe it is read from standard input. Before, the provider is asked whether it takes it. " +
        "The subscription of Codex and Gemini CLI is the login that they keep on this machine, which is used where it is.",
    )
    .argument("<agent>", `agent: ${agents.map((agent) => agent.name).join(", ")}`)
    .option("--subscription", "what is given is a subscription's token")
    .option("--api-key", "what is given is an API key")
    .option("--status", "show whether there is a credential, and where")
    .option("--remove", "forget it")
    .option("--no-check", "do not ask the provider; a credential that it refuses is stored, too")
    .addHelpText(
      "after",
      "\nExamples:\n  $ hjk auth claude\n  $ hjk auth claude --status\n  $ hjk auth codex --subscription\n  $ pass show anthropic | hjk auth claude --api-key",
    )
    .action(async (name, options) => {
      const agent = await chooseAgent(context, name);
      if (Object.keys(agent.credentials).length === 0) {
        throw new HeadjackError(`${agent.title} takes its credential from its environment only.`, {
          kind: "usage",
          hints: [
            `Set it by the variable that ${agent.title} reads: hjk config agents.${agent.name}.env.NAME VALUE`,
          ],
        });
      }
      if (options.status === true) return await status(context, agent);
      if (options.remove === true) return await remove(context, agent);
      const flag =
        options.apiKey === true ? "api-key" : options.subscription === true ? "subscription" : undefined;
      const kind = flag ?? (await askKind(context, agent));
      if (kind === "subscription" && hasLogin(agent)) await chooseLogin(context, agent);
      else await storeCredential(context, agent, kind, options.check);
    });
}

async function askKind(context: Context, agent: Agent): Promise<CredentialKind> {
  const { io } = context;
  const kinds = (["subscription", "api-key"] as const).filter(
    (kind) => agent.credentials[kind] !== undefined,
  );
  if (kinds[0] !== undefined && kinds.length === 1) return kinds[0];
  // A login is not given.
  if (!io.stdinIsTerminal && hasLogin(agent)) return "api-key";
  if (!io.stdinIsTerminal) {
    throw new HeadjackError("Say what standard input holds.", {
      kind: "usage",
      hints: ["Add --subscription or --api-key."],
    });
  }
  io.note(`How do you use ${agent.title}?`);
  for (const [index, kind] of kinds.entries()) {
    const which =
      kind === "subscription" && hasLogin(agent) ? ` (the login of \`${agent.login.command}\`)` : "";
    io.note(`  ${index + 1}. ${kindNames[kind]}${which}`);
  }
  const answer = (await io.ask(`Choose [1-${kinds.length}]: `)).trim();
  const chosen = kinds[Number(answer) - 1];
  if (chosen !== undefined) return chosen;
  throw new HeadjackError(`${JSON.stringify(answer)} is none of the choices; nothing was stored.`, {
    kind: "usage",
  });
}

async function storeCredential(
  context: Context,
  agent: Agent,
  kind: CredentialKind,
  asksProvider: boolean,
): Promise<void> {
  const { io } = context;
  if (agent.credentials[kind] === undefined) {
    throw new HeadjackError(`${agent.title} takes no ${kindNames[kind].toLowerCase()} here.`, {
      kind: "usage",
    });
  }
  let text: string;
  if (io.stdinIsTerminal) {
    const help = agent.authHelp[kind];
    if (help !== undefined) io.note(help);
    text = await io.ask(`${kindNames[kind]} (not shown): `, { secret: true });
  } else text = await io.readAll();
  if (text.trim() === "")
    throw new HeadjackError("Nothing was given, so nothing was stored.", { kind: "usage" });
  const value = cleanValue(text);
  checkShape(agent.name, kind, value);
  if (asksProvider) await askProvider(context, agent, { kind, value });
  const store = await context.credentials();
  await store.set(agent.name, { kind, value });
  io.note(`Kept in: ${store.where()}`);
  io.out("Credentials stored securely.");
}

/** Has the agent's provider judge a credential; throws where that refuses it, and says so otherwise. */
async function askProvider(context: Context, agent: Agent, { kind, value }: Credential): Promise<void> {
  const { io } = context;
  const what = kindNames[kind];
  const config = await context.config();
  const model = agent.model(kind);
  const upstream = "hosts" in model ? "" : (config.agents[agent.name]?.baseUrl ?? model.upstream);
  if ("hosts" in model || model.check === undefined || upstream === "") {
    io.note(`${what} not checked: Headjack does not know whom to ask.`);
    return;
  }
  io.step("asking the provider");
  const verdict = await checkCredential(
    upstream.replace(/\/$/, "") + model.check.path,
    { ...model.check.headers, ...model.headers(value) },
    { signal: context.signal, ...ownProxy(config.network.proxy) },
  );
  io.stepDone();
  const { host } = new URL(upstream);
  if (verdict.is === "refused") {
    throw new HeadjackError(
      `${what} refused by the provider, ${host} (${verdict.status}); nothing was stored.`,
      {
        kind: "auth",
        hints: [`Copy it again, whole: hjk auth ${agent.name}`, "To store it all the same, add --no-check."],
      },
    );
  }
  if (verdict.is === "accepted") io.note(`${what} accepted by the provider, ${host}.`);
  else io.note(`warning: ${what} could not be checked with ${host}: ${verdict.why}.`);
}

/** Has an agent work with the login that its CLI keeps: what is stored is where that is. */
async function chooseLogin(context: Context, agent: Agent & LoginAgent): Promise<void> {
  const { io, env, paths } = context;
  const file = agent.login.file(env, paths.home);
  io.note(agent.authHelp.subscription ?? "");
  await readLogin(agent, file);
  const store = await context.credentials();
  await store.set(agent.name, { kind: "subscription", value: file });
  io.note("It stays there, is read when an agent needs it, and renewed there when it is about to end.");
  io.out(`${agent.title} uses the login in ${file}.`);
}

async function statusOfLogin(context: Context, agent: Agent & LoginAgent, file: string): Promise<void> {
  const { expiresAt } = await readLogin(agent, file);
  const left = expiresAt - Date.now();
  const until =
    left > renewalMarginMs
      ? `good until ${clock(new Date(expiresAt))}`
      : `${left > 0 ? "about to end" : `ended ${ago(new Date(expiresAt), new Date())}`}, renewed when an agent needs it`;
  context.io.out(`${agent.name}: subscription, the login of \`${agent.login.command}\` in ${file}, ${until}`);
}

async function status(context: Context, agent: Agent): Promise<void> {
  const store = await context.credentials();
  const configEnv = (await context.config()).agents[agent.name]?.env ?? {};
  const found = await resolveCredential({ agent, env: context.env, store, configEnv });
  if (found === undefined) {
    throw new HeadjackError(`${agent.title} has no credential.`, {
      kind: "auth",
      hints: [`hjk auth ${agent.name}`],
    });
  }
  if (found.source === "config") context.io.out(`${agent.name}: from agents.${agent.name}.env.${found.name}`);
  else {
    const { kind, value } = found.credential;
    if (kind === "subscription" && hasLogin(agent)) return await statusOfLogin(context, agent, value);
    const where = found.source === "environment" ? `environment variable ${found.name}` : store.where();
    context.io.out(`${agent.name}: ${kindNames[kind].toLowerCase()}, ${where}`);
  }
}

async function remove(context: Context, agent: Agent): Promise<void> {
  const store = await context.credentials();
  const removed = await store.remove(agent.name);
  context.io.out(
    removed ? `Removed the credential of ${agent.name}.` : `There was no credential of ${agent.name}.`,
  );
}
