import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { HeadjackError } from "../errors.ts";
import { childEnvironment, type Environment } from "./process.ts";

/** Connections at a time; each is a program of the engine's, and three in the container. */
const maxConnections = 64;

/** A port of this machine's loopback whose connections are carried on by a program each. */
export interface Forwarding {
  port: number;
  close: () => Promise<void>;
}

/**
 * Listens on a port of this machine alone; 0 is any that is free. What comes in goes to the input of a program, and
 * its output back. `onFailed` is told of a connection that came to nothing.
 */
export async function forwardTo(
  port: number,
  command: readonly string[],
  options: { env: Environment; onFailed: () => void },
): Promise<Forwarding> {
  const open = new Set<Socket>();
  // The other side may have more to say when one side has said all.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    carry(socket, command, options).catch(() => socket.destroy());
  });
  server.maxConnections = maxConnections;
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    throw new HeadjackError(`Port ${port} of this machine cannot be had: ${(error as Error).message}`, {
      cause: error,
      hints: ["Leave --port out, and a free one is taken."],
    });
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function carry(
  socket: Socket,
  [program = "", ...args]: readonly string[],
  { env, onFailed }: { env: Environment; onFailed: () => void },
): Promise<void> {
  const child = spawn(program, args, { env: childEnvironment(env), stdio: ["pipe", "pipe", "ignore"] });
  // Either side may go away at any moment.
  for (const stream of [socket, child.stdin, child.stdout]) stream.on("error", () => undefined);
  // Its input stays open while an answer is awaited: to the program its end is that of the whole connection.
  socket.pipe(child.stdin, { end: false });
  child.stdout.pipe(socket);
  socket.once("close", () => {
    child.stdin.end();
    // What nobody reads any more would keep it from ending.
    child.stdout.resume();
  });
  const code = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(127));
    child.once("close", (exit) => resolve(exit ?? 1));
  });
  if (code !== 0 && socket.bytesWritten === 0) onFailed();
  socket.end();
  socket.destroySoon();
}
