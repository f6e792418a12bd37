import type { Reply, Turn } from "./conversation.ts";
import { type Json, record, records, text } from "./json.ts";
import { EventStream, type Protocol, sendJson, usage } from "./protocol.ts";

/** The generateContent API, as Gemini CLI speaks it. */
export const gemini: Protocol = {
  serves: (path) => /:(generateContent|streamGenerateContent)$/.test(path),
  read: (body) => ({
    turns: records(body["contents"]).flatMap(turnsOf),
    tools: records(body["tools"])
      .flatMap((tool) => records(tool["functionDeclarations"]))
      .map((declaration) => text(declaration["name"])),
  }),
  failure: (status) => ({
    error: {
      code: status,
      status: status === 429 ? "RESOURCE_EXHAUSTED" : "UNAUTHENTICATED",
      message: `the stand-in was asked to fail: ${status}`,
    },
  }),
  send: async (response, { body, path }, reply) => {
    const answer = wantsSchema(body) ? { ...reply, say: JSON.stringify(routing) } : reply;
    if (!path.endsWith(":streamGenerateContent")) {
      const said = answer.say === undefined ? [] : [{ text: answer.say }];
      return sendJson(response, 200, chunk([...said, ...callParts(answer)], true));
    }
    const stream = new EventStream(response);
    await stream.words(answer.say ?? "", answer.wordMs, (word) =>
      stream.send(chunk([{ text: word }], false)),
    );
    const calls = callParts(answer);
    stream.send(chunk(calls.length > 0 ? calls : [{ text: "" }], true));
    stream.end();
  },
};

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
