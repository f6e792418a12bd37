import type { Agent, StartRequest } from "./agent.ts";

/** An agent of the user's own, as the configuration describes it. */
export interface CustomAgent {
  name: string;
  /** argv with placeholders: `{prompt}`, `{instructions}` and `{home}`. */
  command: readonly string[];
  /** argv that goes on with the last conversation, with the same placeholders. */
  resume?: readonly string[];
}

/**
 * Any other coding CLI. Nothing is known of it but how it is called: what it needs beside that, its
 * credential too, is in `agents.<name>.env`.
 */
export function customAgent({ name, command, resume }: CustomAgent): Agent {
  return {
    name,
    title: name,
    command: (request) => [
      ...filled(request.resume === undefined ? command : (resume ?? command), request),
      ...(request.args ?? []),
    ],
    ...(command.some(holdsPrompt) ? {} : { promptless: true }),
    ...(resume === undefined ? {} : { resumesLast: true }),
    env: () => ({}),
    seed: () => [],
    signals: {},
    credentials: {},
    hostEnv: [],
    baseUrl: () => ({}),
    model: () => ({ hosts: [] }),
    authHelp: {},
  };
}

const holdsPrompt = (word: string): boolean => word.includes("{prompt}");

/**
 * The words with what the placeholders stand for. Without a prompt its word is left out, and an option
 * just before it whose value it is, as in `--message {prompt}`.
 */
function filled(words: readonly string[], request: StartRequest): string[] {
  const { prompt, instructions, home } = request;
  const values: Record<string, string> = { prompt: prompt ?? "", instructions, home };
  return (
    words
      .filter((word, index) => {
        const next = words[index + 1];
        return prompt !== undefined || !(holdsPrompt(word) || (next === "{prompt}" && word.startsWith("-")));
      })
      // In one pass: a prompt may hold what looks like a placeholder.
      .map((word) =>
        word.replace(/\{(prompt|instructions|home)\}/g, (_all, key: string) => values[key] ?? ""),
      )
  );
}
