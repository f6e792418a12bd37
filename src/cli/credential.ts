import type { Agent, CredentialKind } from "../agents/agent.ts";
import { resolveCredential } from "../auth/credentials.ts";
import { freshLogin, type LoginAgent, renewalMarginMs } from "../auth/login.ts";
import type { LaunchCredential } from "../core/launch.ts";
import { ownProxy } from "../core/user-proxy.ts";
import { HeadjackError } from "../errors.ts";
import type { AllowedHost, ModelApi } from "../gateway/config.ts";
import type { Context } from "./context.ts";

/** The credential of an agent, as it goes into its process or into the gateway of its instance. */
export interface AgentCredential {
  launch: LaunchCredential;
  /** What the gateway puts the credential into; absent for an agent that has to hold it itself. */
  api?: ModelApi;
  /** What that one has to reach. */
  hosts: AllowedHost[];
  /** When the gateway has to be told of another, in Unix milliseconds. */
  renewAt?: number;
}

/** Milliseconds after which what could not be renewed is tried again. */
export const renewalRetryMs = 5 * 60_000;

/** Finds the credential of an agent; one that is needed and missing is an error, one that is only usual is told. */
export async function credentialFor(
  context: Context,
  agent: Agent,
  tell: (text: string) => void = () => undefined,
  refusedSince?: number,
): Promise<AgentCredential> {
  const config = (await context.config()).agents[agent.name];
  const { baseUrl, env = {} } = config ?? {};
  // An agent of the user's own has what it needs in its `env`.
  if (Object.keys(agent.credentials).length === 0) return held({ environment: {}, args: [] }, []);
  const found = await resolveCredential({
    agent,
    env: context.env,
    store: await context.credentials(),
    configEnv: env,
  });
  if (found === undefined) return withoutCredential(agent, baseUrl, env, tell);
  const { kind, value } = found.credential;
  const delivery = agent.credentials[kind];
  if (delivery === undefined) {
    throw new HeadjackError(`${agent.title} cannot use the stored ${kind}.`, {
      kind: "auth",
      hints: [`Store another: hjk auth ${agent.name}`],
    });
  }
  if (kind === "subscription" && hasLogin(agent))
    return await credentialOfLogin(context, agent, value, refusedSince);
  const name = "name" in found ? found.name : undefined;
  const variable = agent.hostEnv.find((one) => one.name === name)?.env ?? delivery.env;
  const { args = [], settings = {} } = delivery;
  const direct = { environment: { ...settings, [variable]: value }, args };
  const model = agent.model(kind, name);
  if ("hosts" in model) return held(direct, model.hosts, baseUrl);
  const upstream = baseUrl ?? model.upstream;
  if (upstream === "") return held(direct, []);
  return {
    launch: { ...direct, throughGateway: { variable, args, settings } },
    api: { upstream, paths: model.paths, headers: model.headers(value) },
    hosts: [],
  };
}

/** Whether the subscription of an agent is a login of its own CLI; what is stored is where that one keeps it. */
export function hasLogin<T extends Agent>(agent: T): agent is T & LoginAgent {
  return agent.login !== undefined;
}

/** The login of the agent's CLI on this machine: only the gateway is given its token, which it would not last with inside. */
async function credentialOfLogin(
  context: Context,
  agent: Agent & LoginAgent,
  file: string,
  refusedSince: number | undefined,
): Promise<AgentCredential> {
  const config = await context.config();
  const { baseUrl, tokenUrl = agent.login.tokenUrl } = config.agents[agent.name] ?? {};
  const { store, now } = context.deps();
  const login = await freshLogin({
    agent,
    file,
    tokenUrl,
    path: context.env["PATH"] ?? "",
    ...ownProxy(config.network.proxy),
    refusedSince,
    now,
    alone: (work) => store.withLock(`login:${agent.name}`, work, { signal: context.signal }),
  });
  const model = agent.model("subscription");
  const delivery = agent.credentials.subscription;
  if ("hosts" in model || delivery === undefined)
    throw new Error(`${agent.name} has a login and no way for it`);
  const { env: variable, args = [], settings = {} } = delivery;
  const renewAt = login.expiresAt - renewalMarginMs;
  return {
    launch: {
      environment: {},
      args,
      gatewayOnly: `The login of ${agent.title}`,
      throughGateway: { variable, args, settings },
    },
    api: {
      upstream: baseUrl ?? model.upstream,
      paths: model.paths,
      headers: model.headers(login.token, login.account),
    },
    hosts: [],
    renewAt: renewAt > now() ? renewAt : now() + renewalRetryMs,
  };
}

function held(launch: LaunchCredential, hosts: string[], baseUrl?: string): AgentCredential {
  const all = hosts.map((host): AllowedHost => ({ host, ports: [443] }));
  if (baseUrl !== undefined) {
    const { hostname, port, protocol } = new URL(baseUrl);
    const ports = [Number(port) || (protocol === "https:" ? 443 : 80)];
    all.push({ host: hostname, ports, private: true });
  }
  return { launch, hosts: all };
}

/** A model gateway of the user's own decides itself whom it serves. */
function withoutCredential(
  agent: Agent,
  baseUrl: string | undefined,
  env: Record<string, string>,
  tell: (text: string) => void,
): AgentCredential {
  const none = { environment: {}, args: [] };
  if (baseUrl === undefined) {
    const variables = agent.hostEnv.map((variable) => variable.name).join(" or ");
    throw new HeadjackError(`${agent.title} has no credential yet, so it could not work.`, {
      kind: "auth",
      hints: [`Store one: hjk auth ${agent.name}`, `Or set ${variables} before you call hjk.`],
    });
  }
  // It may also take a variable of its own, such as ANTHROPIC_AUTH_TOKEN.
  if (Object.keys(env).some((name) => /_(KEY|TOKEN)$/.test(name))) return held(none, [], baseUrl);
  tell(`warning: ${agent.title} has no credential; ${baseUrl} must serve it without one.`);
  for (const [kind, { env: variable, args = [], settings = {} }] of Object.entries(agent.credentials)) {
    const model = agent.model(kind as CredentialKind);
    if ("hosts" in model) continue;
    return {
      launch: { ...none, throughGateway: { variable, args, settings } },
      api: { upstream: baseUrl, paths: model.paths, headers: {} },
      hosts: [],
    };
  }
  return held(none, [], baseUrl);
}
