import process from "node:process";
import { longestConfiguration } from "./config.ts";
import { startGateway } from "./gateway.ts";
import { world } from "./outside.ts";

/*
 * The gateway: the one program beside an instance through which all its network goes. It runs under Node in a container of its
 * own, so nothing here may need Bun or a package. Configurations with their secrets come on standard input,
 * where neither `docker inspect` nor a list of processes shows them.
 */

/** Output that nobody takes is dropped beyond this. */
const mostUnwritten = 1024 * 1024;

async function main(): Promise<void> {
  process.stdout.on("error", () => {});
  const gateway = await startGateway({
    outside: world,
    write: (line) => {
      if (process.stdout.writableLength < mostUnwritten) process.stdout.write(line);
    },
    ports: { proxy: 3128, api: 8080 },
  });

  let line = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text: string) => {
    const [first = "", ...more] = text.split("\n");
    // Beyond the limit only one character more is kept: enough to be refused.
    line = (line + first).slice(0, longestConfiguration + 1);
    for (const next of more) {
      if (line.trim() !== "") gateway.configure(line);
      line = next;
    }
  });
  // Its end is only that of the client which configured the gateway.
  process.stdin.on("error", () => {});

  const stop = (): void => {
    process.stdin.destroy();
    gateway.close();
  };
  // As the first process of a container it would otherwise not hear them.
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

void main();
