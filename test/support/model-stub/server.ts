/**
 * A stand-in for the model APIs of Anthropic, OpenAI and Google, for tests and for `npm run try`:
 * the real CLIs talk to it and do real work, with no account and no network. What it answers is
 * decided by the prompt (scripts.ts).
 *
 *     MODEL_STUB_PORT=8790 node server.ts
 *
 * It needs Node 24 and nothing else, so that it runs in a container of the base image.
 * GET /_health says that it listens, GET /_requests what it received and GET /_journal when it was at
 * work (journal.ts), newest last. POST /_logins sets which logins are good (logins.ts), /_token/... renews them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { anthropic } from "./anthropic.ts";
import { completions } from "./completions.ts";
import { strikes } from "./faults.ts";
import { codeAssist, codeAssistAside, gemini } from "./gemini.ts";
import { enter, journal } from "./journal.ts";
import { type Json, record } from "./json.ts";
import { changeLogins, mayAsk, renew } from "./logins.ts";
import { type Protocol, sendJson, usage } from "./protocol.ts";
import { responses } from "./responses.ts";
import { answer, promptsOf } from "./scripts.ts";

const port = Number(process.env["MODEL_STUB_PORT"] ?? 8790);

/** Folder for the body of each request, for whoever wants to see what a CLI sends. */
const dumpDir = process.env["MODEL_STUB_DUMP"];

/** What was received, as GET /_requests shows it. */
interface Received {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  model?: string;
  /** Start of the newest prompt of a person. */
  prompt?: string;
}

const received: Received[] = [];
const protocols: Protocol[] = [anthropic, responses, completions, gemini, codeAssist];
let count = 0;

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const method = request.method ?? "GET";
  const url = request.url ?? "/";
  const path = new URL(url, "http://stand-in").pathname;
  if (path === "/_health") return sendJson(response, 200, { ok: true });
  if (path === "/_requests") return sendJson(response, 200, received);
  if (path === "/_journal") return sendJson(response, 200, journal());
  const body = await readBody(request);
  if (path === "/_logins") return sendJson(response, 200, changeLogins(body));
  if (path.startsWith("/_token/")) {
    const answer = renew(path, body);
    return sendJson(response, answer.status, answer.body);
  }
  const entry: Received = { method, url, headers: request.headers };
  received.push(entry);
  if (received.length > 500) received.shift();

  if (!mayAsk(path, request.headers))
    return sendJson(response, 401, { error: { code: 401, status: "UNAUTHENTICATED", message: refused } });
  const protocol = method === "POST" ? protocols.find((candidate) => candidate.serves(path)) : undefined;
  if (protocol === undefined) return answerAside(entry, path, response);
  const conversation = protocol.read(body);
  const prompts = promptsOf(conversation.turns);
  entry.prompt = start(prompts.all.at(-1) ?? "");
  if (typeof body["model"] === "string") entry.model = body["model"];
  const next = answer(conversation);
  const client = request.socket.remoteAddress ?? "";
  const fault =
    next.fault !== undefined && strikes([protocol.agent, client, ...prompts.all], next.fault)
      ? next.fault
      : undefined;
  enter(
    response,
    {
      agent: protocol.agent,
      side: conversation.tools.length === 0,
      prompt: entry.prompt,
      prompts: prompts.open.map(start),
    },
    fault !== undefined && fault.status === undefined,
  );
  if (fault?.status !== undefined) {
    const failure = protocol.failure(fault.status, fault.retryAfter);
    return sendJson(response, failure.status, failure.body, failure.headers);
  }
  await sleep(next.step.pauseMs ?? 0);
  await protocol.send(response, { body, path }, { ...next.reply, dies: fault !== undefined });
}

/** Of a token that is not good. */
const refused = "Your authentication token is not valid.";

function start(prompt: string): string {
  return prompt.slice(0, 200);
}

/** The small requests beside the conversation. Unknown ones get a 404, as a proxy would answer. */
function answerAside({ method, headers }: Received, path: string, response: ServerResponse): void {
  if (method === "HEAD") {
    response.end();
  } else if (path.endsWith("/count_tokens")) {
    sendJson(response, 200, { input_tokens: usage.input });
  } else if (path.endsWith(":countTokens")) {
    sendJson(response, 200, { totalTokens: usage.input });
  } else if (path.startsWith("/v1internal:")) {
    sendJson(response, 200, codeAssistAside(path));
  } else if (method === "GET" && path.endsWith("/models")) {
    if (hasBadKey(headers)) sendJson(response, 401, { error: { type: "authentication_error" } });
    else sendJson(response, 200, { object: "list", data: [], models: [], has_more: false });
  } else {
    sendJson(response, 404, { error: { type: "not_found_error", message: "not in the stand-in" } });
  }
}

/** Whether a credential is one that the provider does not know: any with this word in it. */
function hasBadKey(headers: IncomingMessage["headers"]): boolean {
  return ["authorization", "x-api-key", "x-goog-api-key"].some((name) =>
    String(headers[name] ?? "").includes("revoked"),
  );
}

/** The body, of JSON or a form; Codex may compress it. Anything else counts as empty. */
async function readBody(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  let raw = Buffer.concat(chunks);
  if (raw.length === 0) return {};
  const unpack = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };
  const encoding = request.headers["content-encoding"];
  if (encoding === "gzip" || encoding === "br" || encoding === "zstd") raw = unpack[encoding](raw);
  if (dumpDir !== undefined) writeFileSync(`${dumpDir}/${String(++count).padStart(4, "0")}.json`, raw);
  if (request.headers["content-type"] === "application/x-www-form-urlencoded")
    return Object.fromEntries(new URLSearchParams(raw.toString()));
  try {
    return record(JSON.parse(raw.toString()));
  } catch {
    return {};
  }
}

if (dumpDir !== undefined) mkdirSync(dumpDir, { recursive: true });

const server = createServer((request, response) => {
  handle(request, response).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    response.destroy();
  });
});
// Codex's built-in provider tries a WebSocket first; 426 sends it to HTTP at once, anything else
// makes it retry for seconds.
server.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 426 Upgrade Required\r\n\r\n"));
server.listen(port, "0.0.0.0", () => {
  const address = server.address();
  const listening = typeof address === "object" ? address?.port : port;
  process.stdout.write(`model stand-in listens on port ${listening}\n`);
});

// As the first process of a container it would not be ended by a signal it does not handle.
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
