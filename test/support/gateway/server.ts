import { connect } from "node:net";
import process from "node:process";
import { runGateway } from "../../../src/gateway/gateway.ts";

/*
 * The gateway as it is, in a world of the test's: names lead where the test says, and addresses that look public to it are ports of
 * this machine. On the first line it says where it listens; each connection that it makes is a line too.
 */

/** What `World` in gateway.ts says, as its first argument. */
interface Arguments {
  names: Record<string, string[][]>;
  places: Record<string, number>;
  own: string[];
}

const { names, places, own } = JSON.parse(process.argv[2] ?? "") as Arguments;
const asked = new Map<string, number>();

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(): Promise<void> {
  const ports = await runGateway(
    process,
    {
      // Each question gets the next answer, and the last one for ever: a name that rebinds.
      lookup: (host) => {
        const answers = names[host] ?? [];
        const count = asked.get(host) ?? 0;
        asked.set(host, count + 1);
        say({ lookup: host });
        const answer = answers[Math.min(count, answers.length - 1)];
        return answer === undefined ? Promise.reject(new Error("not found")) : Promise.resolve(answer);
      },
      connect: (address, port) => {
        say({ dial: `${address} ${port}` });
        return connect({
          host: "127.0.0.1",
          port: places[`${address} ${port}`] ?? 1,
          allowHalfOpen: true,
        });
      },
      own: () => own,
    },
    { proxy: 0, api: 0 },
  );
  say({ ports });
}

void main();
