/** Commands after whose name `--` begins flags of the container engine. */
const withEngineFlags = new Set(["run", "recreate"]);

/** The command's name: the first word that is no option. */
export function calledCommand(argv: readonly string[]): string | undefined {
  return argv.find((word) => !word.startsWith("-"));
}

/** Commands that pass every word behind their branch on to another program. */
const passingThrough = new Set(["exec", "git", "complete"]);

export interface SplitArguments {
  /** What the parser gets. */
  own: string[];
  /** What stands behind `--`, where that means the container engine. */
  engine: string[];
  debug: boolean;
}

/** Takes out what the parser would mix up: the engine's flags, and `--debug`, which may stand anywhere. */
export function splitArguments(argv: readonly string[]): SplitArguments {
  const dash = argv.indexOf("--");
  const command = calledCommand(dash < 0 ? argv : argv.slice(0, dash)) ?? "";
  const dashes = withEngineFlags.has(command) ? dash : -1;
  const words = dashes < 0 ? argv : argv.slice(0, dashes);
  const end = passingThrough.has(command) ? argv.indexOf(command) : words.length;
  const own = words.filter((word, index) => word !== "--debug" || index >= end);
  return { own, engine: dashes < 0 ? [] : argv.slice(dashes + 1), debug: own.length < words.length };
}

/** `hjk ps` in its plain form. */
export interface PlainListing {
  all: boolean;
  json: boolean;
  wide: boolean;
}

/**
 * What `hjk ps` is asked when it is asked nothing that needs the parser: prompts and scripts call it all
 * the time, and loading the parser takes as long as the answer.
 */
export function plainListing(argv: readonly string[]): PlainListing | undefined {
  const [command = "", ...options] = argv;
  if (!["ps", "ls", "list"].includes(command)) return undefined;
  if (!options.every((option) => ["-a", "--all", "--json", "-w", "--wide"].includes(option)))
    return undefined;
  const has = (...names: string[]): boolean => names.some((name) => options.includes(name));
  return { all: has("-a", "--all"), json: has("--json"), wide: has("-w", "--wide") };
}
