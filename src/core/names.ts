import { HeadjackError } from "../errors.ts";

const maxBranchLength = 200;

/**
 * Refuses branch names that git takes but a terminal, a shell or a file system may not: git itself
 * allows `$(id)`, quotes and emoji. Letters of any language are fine.
 */
export function checkBranchName(branch: string): void {
  const reason = branchFault(branch);
  if (reason === undefined) return;
  throw new HeadjackError(`${describe(branch)} cannot be a branch name: ${reason}.`, {
    kind: "usage",
    hints: ["Use letters, digits and / . _ - + = @ # %, as in feat/health-endpoint."],
  });
}

function branchFault(branch: string): string | undefined {
  if (branch === "") return "it is empty";
  if (branch.length > maxBranchLength) return `it is longer than ${maxBranchLength} characters`;
  if (branch.startsWith("-")) return "it begins with a dash";
  if (branch === "@" || branch === "HEAD") return "git has another use for it";
  const odd = /[^\p{L}\p{N}\p{M}/._\-+=@#%,]/u.exec(branch);
  if (odd !== null) return `it contains ${describe(odd[0])}`;
  if (branch.includes("..") || branch.includes("//") || branch.includes("@{"))
    return "it contains .., // or @{";
  if (/(^|\/)\.|\.(\/|$)|\.lock(\/|$)|^\/|\/$/.test(branch))
    return "a part of it begins or ends with a dot or slash";
  return undefined;
}

/** Refuses session names that tmux, a shell or a table could misread. */
export function checkSessionName(name: string): void {
  if (/^[a-z0-9][a-z0-9_-]{0,49}$/i.test(name)) return;
  throw new HeadjackError(`${describe(name)} cannot be a session name.`, {
    kind: "usage",
    hints: ["Use up to 50 letters, digits, dashes and underscores, as in error-tests."],
  });
}

/** A name as it can be shown: quoted, escaped and short. */
function describe(name: string): string {
  const short = name.length > 60 ? `${name.slice(0, 60)}…` : name;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Folder or container name for a branch: readable, and different for `feat/a` and `feat-a`. */
export function slug(branch: string): string {
  const readable = branch
    .normalize("NFKD")
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .toLowerCase()
    .slice(0, 40);
  const hash = new Bun.CryptoHasher("sha256").update(branch).digest("hex").slice(0, 6);
  return readable === "" ? hash : `${readable}-${hash}`;
}

/** A new instance's id. */
export function newInstanceId(): string {
  return randomHex(3);
}

/** A new session's id, for the store and file names. */
export function newSessionId(): string {
  return randomHex(6);
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}

/** A name such as `happy-panda` that is not among those taken. */
export function newSessionName(taken: ReadonlySet<string>): string {
  for (let attempt = 0; ; attempt += 1) {
    const name = `${pick(adjectives)}-${pick(animals)}${attempt < 50 ? "" : `-${attempt}`}`;
    if (!taken.has(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "happy";
}

const adjectives =
  "able amber brave bright brisk calm clever cosmic crisp curious daring eager early fair fancy fleet fond gentle glad golden grand happy honest humble jolly keen kind lively lucky lunar mellow merry mighty neat nimble noble patient plucky proud quick quiet rapid ready royal shiny silent smart snappy solid spry steady sunny swift tidy tranquil trusty vivid warm wise witty zesty".split(
    " ",
  );
const animals =
  "badger beaver bison camel cheetah cobra condor coral crane cricket deer dolphin dragon eagle falcon ferret finch fox gecko gibbon hare hawk heron hippo ibex jackal jaguar kiwi koala lemur leopard llama lynx magpie marmot marten mole moose otter owl panda panther parrot pelican penguin puffin puma python quail rabbit raven robin salmon seal shark sparrow squid stork swan tiger toucan turtle viper walrus weasel whale wolf wombat yak zebra".split(
    " ",
  );
