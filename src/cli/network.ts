import type { GatewayPolicy } from "../core/deps.ts";
import { gatewayState, hostEntry, publicEntry } from "../core/gateway.ts";
import { hostsIn, registriesOf, remoteHosts } from "../core/registries.ts";
import { HeadjackError } from "../errors.ts";
import type { ModelApi } from "../gateway/config.ts";
import { decideNetwork } from "../hardening.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { credentialFor } from "./credential.ts";

/** What the gateway of an instance lets through, by the settings of the user and its repository, for the agents of these names. */
export async function gatewayPolicy(
  context: Context,
  instance: InstanceRecord,
  agentNames: readonly string[],
): Promise<GatewayPolicy> {
  const deps = context.deps();
  const { network } = await context.config();
  const decided = decideNetwork(network.mode, instance.hardening.network);
  const proxy = await context.proxy();
  const outside = proxy === undefined ? {} : { proxy };
  const apis: Record<string, ModelApi> = {};
  const allow =
    decided.mode === "none"
      ? []
      : [...network.allow.map((host) => hostEntry(host)), ...decided.allow.map((host) => publicEntry(host))];
  for (const agent of await context.agents()) {
    if (!agentNames.includes(agent.name)) continue;
    const { api, hosts } = await credentialFor(context, agent).catch((error: unknown) => {
      // Of a session that was: whoever starts one is told.
      if (error instanceof HeadjackError && error.kind === "auth") return { api: undefined, hosts: [] };
      throw error;
    });
    allow.push(...hosts);
    if (api !== undefined) apis[agent.name] = api;
  }
  if (decided.mode === "open") return { allow: "all", apis, ...outside };
  if (decided.mode === "none") return { allow, apis, ...outside };
  const own = Object.values((await gatewayState(deps, instance))?.registries ?? {});
  allow.push(
    ...(await remoteHosts(deps, instance)),
    ...(await registriesOf(deps, instance)),
    ...hostsIn(own.join(" ")).map((host) => hostEntry(host)),
  );
  return { allow, apis, ...outside };
}
