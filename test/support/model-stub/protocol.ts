import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Conversation, Reply } from "./conversation.ts";
import type { Json } from "./json.ts";

/** An error answer, with what goes with it at the real API. */
export interface Failure {
  status: number;
  headers: Record<string, string>;
  body: Json;
}

/** One model API: how its requests are read and its answers are written. */
export interface Protocol {
  /** The agent that speaks it. */
  agent: string;
  /** Whether a POST to this path is a request for an answer. */
  serves: (path: string) => boolean;
  read: (body: Json) => Conversation;
  /** The error that this API has for a refused key (401), a rate limit (429), or overload (529). */
  failure: (status: number, retryAfter: number) => Failure;
  send: (response: ServerResponse, request: { body: Json; path: string }, reply: Reply) => Promise<void>;
}

/** Token counts that every answer claims, so that a test can find them again. */
export const usage = { input: 1234, output: 56, cacheRead: 1000, cacheWrite: 200 };

/** An identifier in the manner of the APIs: a prefix and something unique. */
export function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/** An answer that was not asked for as a stream. */
export function sendWhole(response: ServerResponse, reply: Reply, body: unknown): void {
  if (reply.dies === true) response.destroy();
  else sendJson(response, 200, body);
}

/** A stream of server-sent events. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  }

  send(data: Json, event?: string): void {
    if (this.#response.destroyed) return;
    const head = event === undefined ? "" : `event: ${event}\n`;
    this.#response.write(`${head}data: ${JSON.stringify(data)}\n\n`);
  }

  /** Hands the text on word by word, at a pace, until the other side hangs up or the reply has it die. */
  async words(reply: Reply, sendWord: (word: string) => void): Promise<void> {
    const words = reply.say?.match(/\s*\S+\s*/g) ?? [];
    for (const [index, word] of words.entries()) {
      if (reply.dies === true && index >= words.length / 2) this.#response.destroy();
      if (this.#response.destroyed) return;
      sendWord(word);
      if (reply.wordMs > 0) await sleep(reply.wordMs);
    }
  }

  end(): void {
    this.#response.end();
  }

  /** Ends as OpenAI's older APIs do, with a line that is no JSON. */
  done(): void {
    this.#response.end("data: [DONE]\n\n");
  }
}
