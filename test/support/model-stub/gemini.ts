import type { ServerResponse } from "node:http";
import type { Reply, Turn } from "./conversation.ts";
import { type Json, record, records, text } from "./json.ts";
import { EventStream, type Protocol, sendWhole, usage } from "./protocol.ts";

/** The generateContent API, as Gemini CLI speaks it. */
export const gemini: Protocol = {
  agent: "gemini",
  serves: (path) => /\/models\/.*:(generateContent|streamGenerateContent)$/.test(path),
  read: (body) => ({
    turns: records(body["contents"]).flatMap(turnsOf),
    tools: records(body["tools"])
      .flatMap((tool) => records(tool["functionDeclarations"]))
      .map((declaration) => text(declaration["name"])),
  }),
  failure: (status, retryAfter) => {
    // Its status for an overload is 503.
    const code = status === 529 ? 503 : status;
    const { name = "INTERNAL", message = "Internal error encountered." } = errors[code] ?? {};
    const details = code === 429 ? limitDetails(retryAfter) : [];
    return { status: code, headers: {}, body: { error: { code, status: name, message, details } } };
  },
  send: async (response, request, reply) => await answer(response, request, reply, (chunk) => chunk),
};

/** The same with a login with Google: inside of other words, at another place. */
export const codeAssist: Protocol = {
  ...gemini,
  serves: (path) => /^\/v1internal:(generateContent|streamGenerateContent)$/.test(path),
  read: (body) => gemini.read(record(body["request"])),
  send: async (response, { body, path }, reply) =>
    await answer(response, { body: record(body["request"]), path }, reply, (chunk) => ({ response: chunk })),
};

/** What the CLI asks that server before and beside its conversation. */
export function codeAssistAside(path: string): Json {
  if (!path.endsWith(":loadCodeAssist")) return {};
  return { currentTier: { id: "free-tier", name: "stand-in" }, cloudaicompanionProject: "project-of-ann" };
}

async function answer(
  response: ServerResponse,
  { body, path }: { body: Json; path: string },
  reply: Reply,
  wrap: (chunk: Json) => Json,
): Promise<void> {
  const said = wantsSchema(body) ? { ...reply, say: JSON.stringify(routing) } : reply;
  if (!path.endsWith(":streamGenerateContent")) {
    const parts = said.say === undefined ? [] : [{ text: said.say }];
    return sendWhole(response, said, wrap(chunk([...parts, ...callParts(said)], true)));
  }
  const stream = new EventStream(response);
  await stream.words(said, (word) => stream.send(wrap(chunk([{ text: word }], false))));
  const calls = callParts(said);
  stream.send(wrap(chunk(calls.length > 0 ? calls : [{ text: "" }], true)));
  stream.end();
}

const errors: Record<number, { name: string; message: string }> = {
  401: { name: "UNAUTHENTICATED", message: "Request had invalid authentication credentials." },
  429: {
    name: "RESOURCE_EXHAUSTED",
    message: "You exceeded your current quota, please check your plan and billing details.",
  },
  503: { name: "UNAVAILABLE", message: "The model is overloaded. Please try again later." },
};

/** What tells the CLI that it is a limit of each minute, and when to try again. */
function limitDetails(retryAfter: number): Json[] {
  const type = "type.googleapis.com/google.rpc";
  const quotaId = "GenerateRequestsPerMinutePerProjectPerModel";
  return [
    { "@type": `${type}.QuotaFailure`, violations: [{ quotaId, quotaValue: "15" }] },
    { "@type": `${type}.RetryInfo`, retryDelay: `${retryAfter}s` },
  ];
}

/** What the CLI's side requests (which model? who speaks next?) want to hear, all in one. */
const routing = {
  reasoning: "stand-in",
  model_choice: "flash",
  complexity_reasoning: "stand-in",
  complexity_score: 10,
  next_speaker: "user",
};

function wantsSchema(body: Json): boolean {
  const config = record(body["generationConfig"]);
  return config["responseSchema"] !== undefined || config["responseJsonSchema"] !== undefined;
}

function callParts({ call }: Reply): Json[] {
  if (call === undefined) return [];
  // Without a signature the CLI warns; any base64 will do.
  return [{ functionCall: { name: call.name, args: call.args }, thoughtSignature: "c3RhbmQtaW4=" }];
}

function chunk(parts: Json[], last: boolean): Json {
  const content = { role: "model", parts };
  return {
    candidates: [{ content, index: 0, ...(last ? { finishReason: "STOP" } : {}) }],
    usageMetadata: {
      promptTokenCount: usage.input,
      candidatesTokenCount: usage.output,
      totalTokenCount: usage.input + usage.output,
      cachedContentTokenCount: usage.cacheRead,
    },
    modelVersion: "stand-in",
  };
}

function turnsOf(content: Json): Turn[] {
  const role = content["role"] === "model" ? "assistant" : "user";
  return records(content["parts"]).flatMap((part): Turn[] => {
    if (part["functionResponse"] !== undefined) return [{ role: "tool", text: "" }];
    return part["text"] === undefined ? [] : [{ role, text: text(part["text"]) }];
  });
}
