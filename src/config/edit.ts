import { realpathSync } from "node:fs";
import { type Document, isCollection, isMap, isScalar } from "yaml";
import { HeadjackError, messageOf } from "../errors.ts";
import { writeAtomically } from "../store/atomic-write.ts";
import { parseConfig, readValues } from "./document.ts";
import type { ConfigValue, KeyContext } from "./keys.ts";

interface Change {
  file: string;
  /** What the file holds now. */
  text: string;
  path: string[];
  value: ConfigValue;
  context: KeyContext;
}

/** Puts a value in; the file must be valid afterwards, so setting a bad value anew repairs it. */
export function setInText({ file, text, path, value, context }: Change): void {
  const { doc } = parseConfig(text, file);
  try {
    makeSections(doc, path);
    const before = doc.getIn(path, true);
    if (isScalar(before) && typeof value === "string") {
      before.value = value;
    } else {
      const node = doc.createNode(value);
      if (isScalar(before) || isCollection(before)) node.comment = before.comment;
      if (isCollection(node) && isCollection(before)) node.flow = before.flow;
      doc.setIn(path, node);
    }
  } catch (error) {
    throw new HeadjackError(`${path.join(".")} could not be set in ${file}: its section is not plain YAML.`, {
      kind: "usage",
      hints: ["Change the file by hand: hjk config --edit"],
      cause: error,
    });
  }
  const result = render(doc);
  readValues(parseConfig(result, file), context);
  write(file, result);
}

/** Takes a value out, and with it the sections that it leaves empty; false when it was not there. */
export function unsetInText(file: string, text: string, path: string[]): boolean {
  const { doc } = parseConfig(text, file);
  if (!doc.hasIn(path) || !doc.deleteIn(path)) return false;
  for (let section = path.slice(0, -1); section.length > 0; section = section.slice(0, -1)) {
    const node = doc.getIn(section, true);
    if (!isMap(node) || node.items.length > 0) break;
    doc.deleteIn(section);
  }
  write(file, render(doc));
  return true;
}

/** Turns `section:` with nothing below it into one that keys can be put in. */
function makeSections(doc: Document, path: string[]): void {
  for (let depth = 0; depth < path.length; depth++) {
    const section = path.slice(0, depth);
    const node = depth === 0 ? doc.contents : doc.getIn(section, true);
    const empty = node === null || (isScalar(node) && node.value === null);
    if (!empty) continue;
    const map = doc.createNode({});
    if (isScalar(node) && node.comment !== undefined) map.commentBefore = node.comment;
    if (depth === 0) doc.contents = map;
    else doc.setIn(section, map);
  }
}

function render(doc: Document): string {
  if (isMap(doc.contents) && doc.contents.items.length === 0) {
    // An empty map would be written as `{}`; what remains of the file is its comments.
    const comments = [doc.commentBefore, doc.contents.commentBefore, doc.contents.comment, doc.comment];
    const lines = comments.flatMap((comment) => (comment ?? "").split("\n")).filter((line) => line !== "");
    return lines.map((line) => `#${line}\n`).join("");
  }
  return doc.toString({ lineWidth: 0 });
}

/** A link, as users who keep their settings in a repository have, stays: its target is replaced. */
function write(file: string, text: string): void {
  let target = file;
  try {
    target = realpathSync(file);
  } catch {
    // There is no file yet.
  }
  try {
    writeAtomically(target, text);
  } catch (error) {
    throw new HeadjackError(`${target} could not be written: ${messageOf(error)}`, { cause: error });
  }
}
