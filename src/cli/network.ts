import type { GatewayPolicy } from "../core/deps.ts";
import { hostEntry } from "../core/gateway.ts";
import { registriesOf, remoteHosts } from "../core/registries.ts";
import { HeadjackError } from "../errors.ts";
import type { ModelApi } from "../gateway/config.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";
import { credentialFor } from "./credential.ts";

/** What the gateway of an instance lets through, by the user's settings, for the agents of these names. */
export async function gatewayPolicy(
  context: Context,
  instance: InstanceRecord,
  agentNames: readonly string[],
): Promise<GatewayPolicy> {
  const deps = context.deps();
  const { network } = await context.config();
  const apis: Record<string, ModelApi> = {};
  const allow = network.mode === "none" ? [] : network.allow.map((host) => hostEntry(host));
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
  if (network.mode === "open") return { allow: "all", apis };
  if (network.mode === "none") return { allow, apis };
  allow.push(...(await remoteHosts(deps, instance)), ...(await registriesOf(deps, instance)));
  return { allow, apis };
}
