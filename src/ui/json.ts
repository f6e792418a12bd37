/**
 * A value as JSON for a program to read. Characters that could steer a terminal are escaped, so that it
 * is the same text, and the same value, after being cleaned for one.
 */
export function formatJson(value: object): string {
  return escaped(JSON.stringify(value, undefined, 2));
}

/** The same in one line, for a list of which each line is one. */
export function formatJsonLine(value: object): string {
  return escaped(JSON.stringify(value));
}

function escaped(json: string): string {
  return json.replaceAll(/[^\P{C}\n]|[\u2028\u2029]/gu, (character) =>
    [...utf16(character)].map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join(""),
  );
}

function* utf16(text: string): Generator<number> {
  for (let index = 0; index < text.length; index += 1) yield text.charCodeAt(index);
}
