import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { ConfigurationError, parseConfiguration } from "./config.ts";
import type { State } from "./http.ts";
import { Log } from "./log.ts";
import { makeModelApi } from "./model-api.ts";
import type { Outside } from "./outside.ts";
import { makeProxy } from "./proxy.ts";

/** A running gateway. */
export interface Gateway {
  /** Takes a configuration: one line of JSON. */
  configure: (line: string) => void;
  close: () => void;
  /** Where it listens. */
  ports: { proxy: number; api: number };
}

/** Starts a gateway that refuses everything until it is configured. */
export async function startGateway(options: {
  outside: Outside;
  write: (line: string) => void;
  ports: { proxy: number; api: number };
}): Promise<Gateway> {
  const log = new Log(options.write);
  const state: State = { configuration: undefined, open: new Set(), log, outside: options.outside };
  const proxy = makeProxy(state);
  const api = makeModelApi(state);
  const servers = [proxy, api];
  proxy.listen(options.ports.proxy);
  api.listen(options.ports.api);
  await Promise.all(servers.map(async (server) => await once(server, "listening")));
  return {
    configure: (line) => {
      try {
        const configuration = parseConfiguration(line);
        state.configuration = configuration;
        for (const server of servers) server.maxConnections = configuration.limits.connections;
        for (const open of state.open) if (!open.isAllowed(configuration)) open.close();
        log.say({ event: "configured", id: configuration.id });
      } catch (error) {
        const known = error instanceof ConfigurationError ? error : new ConfigurationError("cannot be read");
        log.say({
          event: "refused",
          ...(known.id === undefined ? {} : { id: known.id }),
          reason: known.message,
        });
      }
    },
    close: () => {
      for (const open of state.open) open.close();
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
      log.close();
    },
    ports: {
      proxy: (proxy.address() as AddressInfo).port,
      api: (api.address() as AddressInfo).port,
    },
  };
}
