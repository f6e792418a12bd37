import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Conversation, Reply } from "./conversation.ts";
import type { Json } from "./json.ts";

/** One model API: how its requests are read and its answers are written. */
export interface Protocol {
  /** Whether a POST to this path is a request for an answer. */
  serves: (path: string) => boolean;
  read: (body: Json) => Conversation;
  /** The body of an error answer. */
  failure: (status: number) => Json;
  send: (response: ServerResponse, request: { body: Json; path: string }, reply: Reply) => Promise<void>;
}

/** Token counts that every answer claims, so that a test can find them again. */
export const usage = { input: 1234, output: 56, cacheRead: 1000, cacheWrite: 200 };

/** An identifier in the manner of the APIs: a prefix and something unique. */
export function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** A stream of server-sent events. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  }

  send(data: Json, event?: string): void {
    const head = event === undefined ? "" : `event: ${event}\n`;
    this.#response.write(`${head}data: ${JSON.stringify(data)}\n\n`);
  }

  /** Hands the text on word by word, at a pace, until the other side hangs up. */
  async words(text: string, wordMs: number, sendWord: (word: string) => void): Promise<void> {
    for (const word of text.match(/\s*\S+\s*/g) ?? []) {
      if (this.#response.destroyed) return;
      sendWord(word);
      await sleep(wordMs);
    }
  }

  end(): void {
    this.#response.end();
  }
}
