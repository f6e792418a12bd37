import { LoginError } from "../auth/login.ts";
import type { GatewayLogin, GatewayPolicy } from "../core/deps.ts";
import { gatewayState, hostEntry, publicEntry } from "../core/gateway.ts";
import { hostsIn, registriesOf, remoteHosts } from "../core/registries.ts";
import { HeadjackError } from "../errors.ts";
import type { ModelApi } from "../gateway/config.ts";
import { decideNetwork } from "../hardening.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { type AgentCredential, credentialFor, renewalRetryMs } from "./credential.ts";

/** What the gateway of an instance lets through, by the settings of the user and its repository, for the agents of these names. */
export async function gatewayPolicy(
  context: Context,
  instance: InstanceRecord,
  agentNames: readonly string[],
  refusedSince?: number,
): Promise<GatewayPolicy> {
  const deps = context.deps();
  const { network } = await context.config();
  const decided = decideNetwork(network.mode, instance.hardening.network);
  const proxy = await context.proxy();
  const outside = proxy === undefined ? {} : { proxy };
  const apis: Record<string, ModelApi> = {};
  let login: GatewayLogin | undefined;
  const allow =
    decided.mode === "none"
      ? []
      : [...network.allow.map((host) => hostEntry(host)), ...decided.allow.map((host) => publicEntry(host))];
  for (const agent of await context.agents()) {
    if (!agentNames.includes(agent.name)) continue;
    const found = await credentialFor(context, agent, undefined, refusedSince).catch((error: unknown) => {
      // Of a session that was: whoever starts one is told.
      if (!(error instanceof HeadjackError) || error.kind !== "auth") throw error;
      return error;
    });
    login = withLoginOf(login, agent.name, found, deps.now());
    if (found instanceof HeadjackError) continue;
    allow.push(...found.hosts);
    if (found.api !== undefined) apis[agent.name] = found.api;
  }
  const rules = { apis, ...outside, ...(login === undefined ? {} : { login }) };
  if (decided.mode === "open") return { allow: "all", ...rules };
  if (decided.mode === "none") return { allow, ...rules };
  const own = Object.values((await gatewayState(deps, instance))?.registries ?? {});
  allow.push(
    ...(await remoteHosts(deps, instance)),
    ...(await registriesOf(deps, instance)),
    ...hostsIn(own.join(" ")).map((host) => hostEntry(host)),
  );
  return { allow, ...rules };
}

/** Adds what an agent has of a login: the first that ends is the first to be renewed. */
function withLoginOf(
  login: GatewayLogin | undefined,
  agent: string,
  found: AgentCredential | HeadjackError,
  now: number,
): GatewayLogin | undefined {
  const own = found instanceof LoginError ? `${found.message} ${found.hints[0] ?? ""}.` : undefined;
  const renewAt = found instanceof HeadjackError ? now + renewalRetryMs : found.renewAt;
  if (renewAt === undefined || (found instanceof HeadjackError && own === undefined)) return login;
  const problem = login?.problem ?? own;
  return {
    agents: [...(login?.agents ?? []), agent],
    renewAt: Math.min(renewAt, login?.renewAt ?? Infinity),
    ...(problem === undefined ? {} : { problem }),
  };
}
