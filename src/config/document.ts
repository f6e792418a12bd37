import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { HeadjackError } from "../errors.ts";
import { type ConfigValue, type KeyContext, type KeySpec, lookup, unknownKeyHints } from "./keys.ts";

/** A value in the file and its place, both counted from 1. */
export interface FileValue {
  value: ConfigValue;
  line: number;
  column: number;
}

/** What a YAML mistake is called; the parser's own words may repeat a secret from the file. */
const mistakes: Record<string, string> = {
  ALIAS_PROPS: "an alias cannot have an anchor or a tag",
  BAD_ALIAS: "this alias is not valid",
  BAD_DQ_ESCAPE: 'an unknown escape in a text in "double quotes"',
  BAD_INDENT: "the indentation does not fit the lines above",
  BAD_SCALAR_START: "a text that begins with this character must be in quotes",
  BLOCK_AS_IMPLICIT_KEY: "a second `key: value` on one line",
  DUPLICATE_KEY: "this key is there twice in its section",
  MISSING_CHAR: "a character such as a closing quote, bracket or colon is missing",
  MULTILINE_IMPLICIT_KEY: "a key without a colon after it",
  MULTIPLE_DOCS: "`---` begins a second document, but only one is read",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAB_AS_INDENT: "a tab is used to indent; YAML wants spaces",
  UNEXPECTED_TOKEN: "something does not belong here, perhaps for want of quotes",
};

/** A parsed file that remembers its comments, and where each thing in it stands. */
export interface ConfigDocument {
  doc: Document;
  file: string;
  lines: LineCounter;
}

/** Parses; refuses what is not valid YAML or has a key twice, naming the place. */
export function parseConfig(text: string, file: string): ConfigDocument {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, keepSourceTokens: false });
  const parsed = { doc, file, lines };
  const first = doc.errors.toSorted((a, b) => a.pos[0] - b.pos[0])[0];
  if (first !== undefined) {
    const what = mistakes[first.code] ?? `not valid YAML (${first.code})`;
    throw refused(parsed, first.pos[0], `${what}.`);
  }
  return parsed;
}

/** The context with the agents that the file defines: the sections of no built-in one that have a command. */
export function withCustomAgents(parsed: ConfigDocument, context: KeyContext): KeyContext {
  if (context.ofRepository === true) return context;
  const file = followAlias(parsed, parsed.doc.contents);
  const section = isMap(file) ? followAlias(parsed, file.get("agents", true)) : undefined;
  const names = (isMap(section) ? section.items : []).flatMap(({ key, value }) => {
    const name = isScalar(key) && typeof key.value === "string" ? key.value : undefined;
    if (name === undefined || context.agentNames.includes(name)) return [];
    const agent = followAlias(parsed, value);
    return isMap(agent) && agent.has("command") ? [name] : [];
  });
  return { ...context, customAgents: names };
}

/** Every value of the file by its key; refuses unknown keys and bad values, naming the place. */
export function readValues(parsed: ConfigDocument, context: KeyContext): Map<string, FileValue> {
  const values = new Map<string, FileValue>();
  readSection(parsed, parsed.doc.contents, [], withCustomAgents(parsed, context), values);
  return values;
}

function readSection(
  parsed: ConfigDocument,
  given: unknown,
  path: string[],
  context: KeyContext,
  values: Map<string, FileValue>,
): void {
  const node = followAlias(parsed, given);
  // `section:` with nothing (or only comments) below it, or an empty file.
  if (node === null || (isScalar(node) && node.value === null)) return;
  if (!isMap(node)) {
    const name = path.length === 0 ? "the file" : path.join(".");
    throw refused(parsed, offsetOf(given), `${name}: expected a section of keys, found ${kindOf(node)}.`);
  }
  for (const { key: keyNode, value } of node.items) {
    if (!isScalar(keyNode) || typeof keyNode.value !== "string") {
      throw refused(parsed, offsetOf(keyNode, offsetOf(node)), "expected a key that is a text.");
    }
    const here = [...path, keyNode.value];
    const found = lookup(here, context);
    if (found.kind === "section") {
      readSection(parsed, value, here, context, values);
    } else if (found.kind === "key") {
      values.set(here.join("."), readValue(parsed, found.spec, value, offsetOf(keyNode), context));
    } else {
      throw refused(
        parsed,
        offsetOf(keyNode),
        `unknown key "${here.join(".")}".`,
        unknownHints(here, context),
      );
    }
  }
}

function unknownHints(path: string[], context: KeyContext): string[] {
  const last = path.at(-1) ?? "";
  if (last.includes(".") && lookup([...path.slice(0, -1), ...last.split(".")], context).kind === "key") {
    return [
      "A dot is no section in YAML: write each part on a line of its own, indented by two more spaces.",
    ];
  }
  return unknownKeyHints(path, context);
}

function readValue(
  parsed: ConfigDocument,
  spec: KeySpec,
  given: unknown,
  keyOffset: number,
  context: KeyContext,
): FileValue {
  const offset = offsetOf(given, keyOffset);
  const name = spec.path.join(".");
  const raw = rawValue(parsed, spec, followAlias(parsed, given), offset);
  const result = spec.parse(raw, context);
  if ("expected" in result) {
    const hints = result.hint === undefined ? [] : [result.hint];
    throw refused(parsed, offset, `${name}: expected ${result.expected}.`, hints);
  }
  const { line, col } = parsed.lines.linePos(offset);
  return { value: raw, line, column: col };
}

/** The text, or list of texts, of a node. */
function rawValue(parsed: ConfigDocument, spec: KeySpec, node: unknown, offset: number): ConfigValue {
  const text = scalarText(node, spec);
  if (text !== undefined) return text;
  if (spec.list === true && isSeq(node)) {
    return node.items.map((item) => {
      const word = scalarText(followAlias(parsed, item), spec);
      if (word !== undefined) return word;
      const place = offsetOf(item, offset);
      throw refused(
        parsed,
        place,
        `${spec.path.join(".")}: expected a text in the list, found ${kindOf(item)}.`,
      );
    });
  }
  // What the Go version of Headjack wrote by itself for a `runtime.flags` that nobody had set.
  if (spec.list === true && isMap(node) && node.items.length === 0) return [];
  const wanted = spec.list === true ? "a list of texts" : "a text";
  const hints = isScalar(node) && node.value !== null ? ["Put it in quotes."] : [];
  throw refused(parsed, offset, `${spec.path.join(".")}: expected ${wanted}, found ${kindOf(node)}.`, hints);
}

/** As written, so that `1.10` stays `1.10` where numbers are allowed. */
function scalarText(node: unknown, spec: KeySpec): string | undefined {
  if (!isScalar(node)) return undefined;
  if (typeof node.value === "string") return node.value;
  const plain = typeof node.value === "number" || typeof node.value === "boolean";
  return plain && spec.scalars === true ? (node.source ?? String(node.value)) : undefined;
}

function followAlias(parsed: ConfigDocument, node: unknown): unknown {
  if (!isAlias(node)) return node;
  const target = node.resolve(parsed.doc);
  if (target === undefined) throw refused(parsed, offsetOf(node), "this alias has no anchor above it.");
  return target;
}

function kindOf(node: unknown): string {
  if (isMap(node)) return "a section";
  if (isSeq(node)) return "a list";
  if (!isScalar(node) || node.value === null) return "nothing";
  return typeof node.value === "object" ? "binary data" : `a ${typeof node.value}`;
}

function offsetOf(node: unknown, otherwise = 0): number {
  return isNode(node) ? (node.range?.[0] ?? otherwise) : otherwise;
}

function refused(parsed: ConfigDocument, offset: number, what: string, hints: string[] = []): HeadjackError {
  const { line, col } = parsed.lines.linePos(offset);
  return new HeadjackError(`${parsed.file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${what}`, {
    kind: "usage",
    hints,
  });
}
