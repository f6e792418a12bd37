import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { JournalEntry } from "../support/model-stub/journal.ts";

/* The stand-in for the model APIs, spoken to as each CLI does. That the CLIs understand it shows test/acceptance. */

let stub: Bun.Subprocess<"ignore", "pipe", "inherit">;
let url = "";

beforeAll(async () => {
  const server = join(import.meta.dir, "..", "support", "model-stub", "server.ts");
  stub = Bun.spawn([process.execPath, "--config=/dev/null", "--no-env-file", server], {
    env: { PATH: process.env["PATH"], MODEL_STUB_PORT: "0" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  for await (const chunk of stub.stdout) {
    url = `http://127.0.0.1:${/port (\d+)/.exec(new TextDecoder().decode(chunk))?.[1] ?? ""}`;
    break;
  }
});

afterAll(() => stub.kill());

/** The fields of the three APIs' events that the tests look at. */
interface StreamEvent {
  type?: string;
  delta?: string | { text?: string; partial_json?: string };
  arguments?: string;
  candidates?: { content: { parts: { text?: string; functionCall?: { args: unknown } }[] } }[];
}

interface Speaker {
  agent: string;
  path: string;
  body: (prompt: string, tools: string[]) => object;
  /** The words that an event brings, and the arguments of a tool that it calls. */
  said: (event: StreamEvent) => string | undefined;
  called: (event: StreamEvent) => string | undefined;
}

const speakers: Speaker[] = [
  {
    agent: "claude",
    path: "/v1/messages",
    body: (prompt, tools) => ({
      stream: true,
      messages: [{ role: "user", content: prompt }],
      tools: tools.map((name) => ({ name })),
    }),
    said: ({ delta }) => (typeof delta === "object" ? delta.text : undefined),
    called: ({ delta }) => (typeof delta === "object" ? delta.partial_json : undefined),
  },
  {
    agent: "codex",
    path: "/v1/responses",
    body: (prompt, tools) => ({
      stream: true,
      input: [{ type: "message", role: "user", content: [{ type: "input_text", text: prompt }] }],
      tools: tools.map((name) => ({ name, type: "function" })),
    }),
    said: ({ type, delta }) =>
      type === "response.output_text.delta" && typeof delta === "string" ? delta : undefined,
    called: (event) => event.arguments,
  },
  {
    agent: "gemini",
    path: "/v1beta/models/m:streamGenerateContent",
    body: (prompt, tools) => ({
      contents: [{ role: "user", parts: [{ text: prompt }] }],
      tools: [{ functionDeclarations: tools.map((name) => ({ name })) }],
    }),
    said: (event) => event.candidates?.[0]?.content.parts[0]?.text,
    called: (event) => {
      const call = event.candidates?.[0]?.content.parts[0]?.functionCall;
      return call && JSON.stringify(call.args);
    },
  },
];

/** What one request brings: its status, and the events that came before the end or a break. */
async function ask(speaker: Speaker, prompt: string, tools = ["some_tool"]) {
  const response = await fetch(url + speaker.path, {
    method: "POST",
    body: JSON.stringify(speaker.body(prompt, tools)),
  });
  let text = "";
  let broken = false;
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  } catch {
    broken = true;
  }
  const events = [...text.matchAll(/^data: (.*)$/gm)].map(
    (match) => JSON.parse(match[1] ?? "{}") as StreamEvent,
  );
  return {
    status: response.status,
    headers: response.headers,
    text,
    broken,
    said: events.map((event) => speaker.said(event) ?? "").join(""),
    called: events.map((event) => speaker.called(event) ?? "").join(""),
  };
}

async function lastOf(speaker: Speaker, prompt: string): Promise<JournalEntry | undefined> {
  const journal = (await (await fetch(`${url}/_journal`)).json()) as JournalEntry[];
  return journal.findLast((entry) => entry.agent === speaker.agent && entry.prompt === prompt);
}

describe.each(speakers)("$agent", (speaker) => {
  test("an echo is exact, and the journal knows it", async () => {
    const since = Date.now();
    const prompt = `SCRIPT:echo ${speaker.agent}-17`;
    expect(await ask(speaker, prompt)).toMatchObject({ status: 200, said: `ECHO ${speaker.agent}-17` });
    const entry = await lastOf(speaker, prompt);
    expect(entry).toMatchObject({ status: 200, how: "answered", side: false, prompts: [prompt] });
    expect(entry?.at).toBeWithin(since, Date.now() + 1);
    expect(entry?.endedAt).toBeWithin(entry?.at ?? 0, Date.now() + 1);
  });

  test("a question's last paragraph says that it is one", async () => {
    expect((await ask(speaker, "SCRIPT:question")).said.split("\n\n").at(-1)).toStartWith("QUESTION: ");
  });

  test("a slow answer waits before the first byte and between words", async () => {
    const since = performance.now();
    const { said } = await ask(speaker, "SCRIPT:slow SECONDS:0.5 PAUSE_MS:300 WORD_MS:100");
    expect(said).toBe("word0 word1 word2 word3 word4");
    expect(performance.now() - since).toBeGreaterThan(750);
  });

  test.each(["SCRIPT:flaky429 TIMES:2", "SCRIPT:flaky529 TIMES:2"])(
    "%s: twice, each time anew",
    async (prompt) => {
      const statuses = [];
      for (let attempt = 0; attempt < 6; attempt += 1) statuses.push((await ask(speaker, prompt)).status);
      const failed = prompt.includes("429") ? 429 : speaker.agent === "claude" ? 529 : 503;
      expect(statuses).toEqual([failed, failed, 200, failed, failed, 200]);
    },
  );

  test("a rate limit says when to try again", async () => {
    const { headers, text } = await ask(speaker, "SCRIPT:err429 RETRY_AFTER:7");
    expect(headers.get("retry-after") ?? /"retryDelay":"(\d+)s"/.exec(text)?.[1]).toBe("7");
  });

  test("an answer breaks off in the middle, once", async () => {
    const first = await ask(speaker, "SCRIPT:die");
    expect(first.broken).toBeTrue();
    expect(first.said).toStartWith("This answer");
    expect(await lastOf(speaker, "SCRIPT:die")).toMatchObject({ how: "died" });
    const second = await ask(speaker, "SCRIPT:die");
    expect(second.broken).toBeFalse();
    expect(second.said).toEndWith("Done.");
    expect(second.said).toStartWith(first.said);
    expect((await ask(speaker, "SCRIPT:diealways")).broken).toBeTrue();
    expect((await ask(speaker, "SCRIPT:diealways")).broken).toBeTrue();
  });

  test("a background task is the agent's own where it has them", async () => {
    const tool = { claude: "Bash", codex: "exec_command", gemini: "run_shell_command" }[speaker.agent] ?? "";
    const { called } = await ask(speaker, "SCRIPT:background SECONDS:9", [tool]);
    expect(called).toContain("sleep 9");
    expect(called).toContain(speaker.agent === "claude" ? '"run_in_background":true' : "> /dev/null 2>&1 &");
  });
});
