import type { Duplex } from "node:stream";
import { HeadjackError } from "../../errors.ts";
import { demultiplex } from "./docker-api.ts";
import type { Conversation, Saying } from "./engine.ts";

/** Characters of a line that are kept. */
const maxLine = 64 * 1024;

/** Input and output of a container's own process, over one connection to the engine. */
export class DockerConversation implements Conversation {
  readonly #connection: Duplex;
  readonly #ended: Promise<void>;
  #onLine: ((line: string) => void) | undefined;

  constructor(connection: Duplex) {
    this.#connection = connection;
    const decoder = new TextDecoder();
    let rest = "";
    this.#ended = demultiplex(connection, (chunk, stream) => {
      if (stream !== "stdout") return;
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = (lines.pop() ?? "").slice(-maxLine);
      for (const line of lines) this.#onLine?.(line);
      // It fails when it is closed in the middle of something.
    }).catch(() => {});
  }

  async say({ input, isOver, timeoutMs }: Saying): Promise<void> {
    const over = Promise.withResolvers<void>();
    this.#onLine = (line) => {
      if (isOver(line)) over.resolve();
    };
    const fail = (why: string): void => over.reject(new HeadjackError(why, { kind: "engine" }));
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    void this.#ended.then(() => fail("it ended without an answer"));
    try {
      this.#connection.write(input);
      await over.promise;
    } finally {
      clearTimeout(timer);
      this.#onLine = undefined;
    }
  }

  close(): void {
    this.#connection.destroy();
  }
}
