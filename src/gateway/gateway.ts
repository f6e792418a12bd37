import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { ConfigurationError, longestConfiguration, parseConfiguration } from "./config.ts";
import type { State } from "./http.ts";
import { Log } from "./log.ts";
import { makeModelApi } from "./model-api.ts";
import type { Outside } from "./outside.ts";
import { makeProxy } from "./proxy.ts";

/** Output that nobody takes is dropped beyond this. */
const mostUnwritten = 1024 * 1024;

/** What of a process a gateway needs. */
export interface Surroundings {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  on: (signal: "SIGTERM" | "SIGINT", listener: () => void) => unknown;
}

/**
 * Runs a gateway until SIGTERM: it refuses everything until the first good line on standard input, and each further one
 * takes the place of the one before. Resolves with its ports when it listens.
 */
export async function runGateway(
  surroundings: Surroundings,
  outside: Outside,
  ports: { proxy: number; api: number },
  /** Where it listens; everywhere by default. */
  address?: string,
): Promise<{ proxy: number; api: number }> {
  const { stdin, stdout } = surroundings;
  stdout.on("error", () => {});
  const log = new Log((line) => {
    if (stdout.writableLength < mostUnwritten) stdout.write(line);
  });
  const state: State = { configuration: undefined, open: new Set(), log, outside };
  const proxy = makeProxy(state);
  const api = makeModelApi(state);
  const servers = [proxy, api];

  const configure = (line: string): void => {
    try {
      const { proxy: named, ...read } = parseConfiguration(line);
      const before = state.configuration;
      const kept = read.keepApis === true ? before?.apis : undefined;
      const proxy = read.keepProxy === true && before !== undefined ? before.proxy : named;
      const configuration = {
        ...read,
        apis: { ...kept, ...read.apis },
        ...(proxy === undefined ? {} : { proxy }),
      };
      state.configuration = configuration;
      for (const server of servers) server.maxConnections = configuration.limits.connections;
      for (const open of state.open) if (!open.isAllowed(configuration)) open.close();
      log.say({ event: "configured", id: configuration.id });
    } catch (error) {
      const { id, message } =
        error instanceof ConfigurationError ? error : new ConfigurationError("cannot be read");
      log.say({ event: "refused", ...(id === undefined ? {} : { id }), reason: message });
    }
  };
  const stop = (): void => {
    stdin.destroy();
    for (const open of state.open) open.close();
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    log.close();
  };
  // As the first process of a container it would otherwise not hear them.
  surroundings.on("SIGTERM", stop);
  surroundings.on("SIGINT", stop);

  proxy.listen(ports.proxy, address);
  api.listen(ports.api, address);
  await Promise.all(servers.map(async (server) => await once(server, "listening")));
  readLines(stdin, configure);
  return { proxy: (proxy.address() as AddressInfo).port, api: (api.address() as AddressInfo).port };
}

/** Its end means nothing: it is only that of the client which has sent a configuration. */
function readLines(input: NodeJS.ReadStream, onLine: (line: string) => void): void {
  let line = "";
  input.setEncoding("utf8");
  input.on("error", () => {});
  input.on("data", (text: string) => {
    const [first = "", ...more] = text.split("\n");
    // Beyond the limit only one character more is kept: enough to be refused.
    line = (line + first).slice(0, longestConfiguration + 1);
    for (const next of more) {
      if (line.trim() !== "") onLine(line);
      line = next;
    }
  });
}
