import { request as httpRequest } from "node:http";
import type { Duplex } from "node:stream";
import { HeadjackError, messageOf } from "../../errors.ts";
import type { DockerHost } from "./docker-host.ts";

/** An answer of the engine that is not a success. */
export class DockerApiError extends HeadjackError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message, { kind: status === 404 ? "not-found" : "engine" });
    this.status = status;
  }
}

/** The engine's HTTP API over its socket: 1 to 2 ms a question, where the CLI takes 25. */
export class DockerApi {
  readonly #host: DockerHost;

  constructor(host: DockerHost) {
    this.#host = host;
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return parsed(await (await this.#request("GET", path, undefined, signal)).text()) as T;
  }

  async post(path: string, body?: unknown): Promise<unknown> {
    const text = await (await this.#request("POST", path, body)).text();
    return text === "" ? undefined : parsed(text);
  }

  async delete(path: string): Promise<void> {
    await (await this.#request("DELETE", path)).text();
  }

  /** A POST whose answer is the multiplexed output of a program. */
  async stream(path: string, body: unknown, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const response = await this.#request("POST", path, body, signal);
    if (response.body === null) throw new DockerApiError(500, "The engine sent no output stream.");
    return response.body;
  }

  /** A GET whose answer is the multiplexed output of a program. */
  async read(path: string): Promise<ReadableStream<Uint8Array>> {
    return (await this.#request("GET", path)).body ?? new ReadableStream({ start: (end) => end.close() });
  }

  /** Input and (multiplexed) output of a container's own process, in one connection. */
  async attach(container: string): Promise<Duplex> {
    const request = httpRequest(
      `${this.#host.url}/containers/${container}/attach?stream=1&stdin=1&stdout=1`,
      {
        method: "POST",
        headers: { connection: "Upgrade", upgrade: "tcp" },
        ...(this.#host.unix === undefined ? {} : { socketPath: this.#host.unix }),
      },
    );
    return await new Promise((resolve, reject) => {
      request.on("upgrade", (_response, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      request.on("response", (response) => {
        response.resume();
        const status = response.statusCode ?? 500;
        reject(new DockerApiError(status, `The engine does not attach to ${container} (${status}).`));
      });
      request.on("error", (error) => reject(this.#unreachable(error)));
      request.end();
    });
  }

  async #request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${this.#host.url}${path}`, {
        method,
        ...(this.#host.unix === undefined ? {} : { unix: this.#host.unix }),
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
        ...(signal === undefined ? {} : { signal }),
        // Bun gives up a quiet connection after 5 minutes, which a stop with a long grace or a stream may need.
        timeout: false,
      } as BunFetchRequestInit);
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (!response.ok) throw new DockerApiError(response.status, await errorMessage(response));
    return response;
  }

  #unreachable(error: unknown): HeadjackError {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const where = `${this.#host.display}${this.#host.source === "default" ? "" : ` (from ${this.#host.source})`}`;
    const options = { kind: "engine", cause: error } as const;
    if (code === "EACCES" || code === "EPERM") {
      return new HeadjackError(`You may not use the Docker engine at ${where}: permission denied.`, {
        ...options,
        hints: ["Add yourself to the `docker` group and log in again, or use rootless Docker."],
      });
    }
    if (code === "ENOENT" || code === "FileNotFound") {
      return new HeadjackError(`There is no Docker engine at ${where}.`, {
        ...options,
        hints: [
          "Start Docker (`sudo systemctl start docker`, or Docker Desktop), or install it.",
          "If it listens elsewhere, set DOCKER_HOST or choose a `docker context`.",
        ],
      });
    }
    return new HeadjackError(`The Docker engine at ${where} does not answer: ${messageOf(error)}.`, {
      ...options,
      hints: ["Is it running? `docker version` should show a server."],
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HeadjackError("The answer of the Docker engine was cut short, or is none of an engine's.", {
      kind: "engine",
      cause: error,
      hints: ["Try again; `docker version` should show a server."],
    });
  }
}

async function errorMessage(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null && "message" in answer) return String(answer.message);
  } catch {
    // Not JSON: the text itself is the best there is.
  }
  return text.trim() || `The engine answered ${response.status}.`;
}

/** Splits the output of a program without a terminal: frames of an 8-byte header (stream, length) and data. */
export async function demultiplex(
  stream: AsyncIterable<Uint8Array>,
  onOutput: (chunk: Uint8Array, stream: "stdout" | "stderr") => void,
): Promise<void> {
  let buffer = new Uint8Array(0);
  for await (const chunk of stream) {
    const joined = new Uint8Array(buffer.length + chunk.length);
    joined.set(buffer);
    joined.set(chunk, buffer.length);
    buffer = joined;
    let offset = 0;
    while (buffer.length - offset >= 8) {
      const length = new DataView(buffer.buffer, buffer.byteOffset + offset).getUint32(4);
      if (buffer.length - offset < 8 + length) break;
      onOutput(buffer.subarray(offset + 8, offset + 8 + length), buffer[offset] === 2 ? "stderr" : "stdout");
      offset += 8 + length;
    }
    buffer = buffer.slice(offset);
  }
}
