import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ModelStub, root, runProgram, Sandbox, Terminal } from "../support/harness.ts";

/*
 * Does docs/tutorial.md, block by block, at a terminal. TESTING.md describes the comments that steer it.
 */

interface Block {
  /** Title of the part of the page. */
  section: string;
  line: number;
  language: string;
  text: string;
  /** What the comment above it says after `test:`. */
  directive: string;
}

interface Action {
  verb: "shows" | "type" | "press" | "until" | "exits";
  text: string;
}

/** The image that the tutorial builds. */
const customImage = "my-app-agents";

/** What is typed at `hjk auth`; the stand-in model must see it again. */
const token = "sk-ant-oat01-tutorial";

/** Command lines of the page that this tutorial must cover. `SESSION` is whatever name was made up. */
const required = [
  "cd ~/projects/my-app",
  'hjk run feat/health-endpoint --agent claude -d "Add a GET /api/health endpoint',
  'hjk run feat/payment-errors --agent claude -d "Improve error handling in src/services/payment.js.',
  'hjk run docs/user-api --agent claude -d "Write API documentation for the user endpoints in docs/api/users.md.',
  "hjk ps",
  "hjk ps feat/health-endpoint",
  "hjk logs feat/health-endpoint SESSION",
  "hjk logs feat/health-endpoint SESSION -f",
  "hjk attach feat/health-endpoint",
  "hjk attach feat/payment-errors",
  "hjk logs feat/payment-errors SESSION -n 20",
  "hjk attach docs/user-api",
  "git checkout docs/user-api",
  "cat docs/api/users.md",
  'hjk run feat/payment-errors --agent claude -d --name error-handling "Implement the try-catch wrappers',
  'hjk run feat/payment-errors --agent claude -d --name error-tests "Write tests for the error handling',
  "hjk ps feat/payment-errors",
  "hjk stop feat/health-endpoint",
  "hjk stop docs/user-api",
  "hjk rm feat/health-endpoint",
  "hjk rm docs/user-api",
];

/** What a session's made-up name and an id look like on the page, and what stands there in reality. */
const placeholders = {
  name: {
    onPage: /\b(?:happy-panda|happy-otter|quick-heron|wise-owl|calm-finch)\b/g,
    real: "[a-z]+-[a-z]+",
  },
  id: { onPage: /\b(?=[a-f]*\d)[0-9a-f]{6,7}\b/g, real: "[0-9a-f]{6,40}" },
};
const anyPlaceholder = new RegExp(
  Object.values(placeholders)
    .map(({ onPage }) => onPage.source)
    .join("|"),
  "g",
);

/** In the last column of a table; which of them it is depends on the moment. */
const activity = "(?:starting|working|waiting: question|done)(?: \\(\\d+[smhdw]\\))?";

/** What each placeholder of the page stands for, once it has been seen. */
const bound = new Map<string, string>();

function parse(markdown: string): Block[] {
  const blocks: Block[] = [];
  let directive = "";
  let section = "";
  let open: (Block & { lines: string[] }) | undefined;
  for (const [index, line] of markdown.split("\n").entries()) {
    if (open !== undefined) {
      if (line === "```") {
        blocks.push({ ...open, text: open.lines.join("\n") });
        open = undefined;
      } else open.lines.push(line);
      continue;
    }
    section = /^## (.*)$/.exec(line)?.[1] ?? section;
    const fence = /^```(\w+)$/.exec(line);
    if (fence !== null) {
      open = { section, line: index + 2, language: fence[1] ?? "", text: "", directive, lines: [] };
      directive = "";
    } else directive = /^<!-- test: (.*) -->$/.exec(line)?.[1] ?? (line === "" ? directive : "");
  }
  return blocks;
}

function actionsIn(directive: string): Action[] {
  const found = [...directive.matchAll(/(shows|type|press|until|exits) "([^"]*)"/g)];
  const rest = directive.replaceAll(/(?:shows|type|press|until|exits) "[^"]*"/g, "").trim();
  if (rest !== "") throw new Error(`the comment "test: ${directive}" is not understood at: ${rest}`);
  return found.map(([, verb, text = ""]) => ({ verb: verb as Action["verb"], text }));
}

/** Command lines of a block: without comments, and with a backslash at the end going on in the next. */
function commandsIn(text: string): string[] {
  return text
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replaceAll(anyPlaceholder, (word) => bound.get(word) ?? word));
}

/** The output on the page as a pattern, and the placeholders that it would bind. */
function pattern(text: string): { pattern: RegExp; unbound: string[] } {
  const unbound: string[] = [];
  const special = new RegExp(
    `(?<lines>^\\.\\.\\.$\\n?)|(?<any>\\.\\.\\.)|(?<age>just now|\\b\\d+[smhdw] ago)|(?<name>${placeholders.name.onPage.source})|(?<id>${placeholders.id.onPage.source})|(?<activity>(?<= {2})${activity}$)|(?<gap> {2,})|(?<other>[^])`,
    "gm",
  );
  const source = text.replaceAll(special, (whole, ...rest) => {
    const groups = rest.at(-1) as Record<string, string | undefined>;
    if (groups["lines"] !== undefined) return "(?:.*\\n)*?";
    if (groups["any"] !== undefined) return ".*?";
    if (groups["age"] !== undefined) return "(?:just now|\\d+[smhdw] ago)";
    if (groups["activity"] !== undefined) return activity;
    if (groups["gap"] !== undefined) return " {2,}";
    if (groups["other"] !== undefined) return RegExp.escape(whole);
    const known = bound.get(whole);
    if (known !== undefined) return RegExp.escape(known);
    const earlier = unbound.indexOf(whole);
    if (earlier >= 0) return `\\${earlier + 1}`;
    unbound.push(whole);
    return `(${groups["name"] === undefined ? placeholders.id.real : placeholders.name.real})`;
  });
  // The screen's text gets a newline at its end, which every line of the pattern has too.
  return { pattern: new RegExp(`^${source}${/(?:^|\n)\.\.\.$/.test(text) ? "" : "\\n"}$`), unbound };
}

function compare(block: Block, screen: string): void {
  const tidy = `${screen
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .trimEnd()}\n`;
  const wanted = pattern(block.text);
  const found = wanted.pattern.exec(tidy);
  if (found === null) {
    throw new Error(`docs/tutorial.md:${block.line} says:\n${block.text}\n\nThe terminal shows:\n${tidy}`);
  }
  for (const [index, word] of wanted.unbound.entries()) bound.set(word, found[index + 1] ?? "");
}

const blocks = parse(readFileSync(join(root, "docs", "tutorial.md"), "utf8"));

let stub: ModelStub;
let sandbox: Sandbox;
let terminal: Terminal;
/** The part of the page that failed: what follows it would only fail of it. */
let broken: string | undefined;

/** Types a command and does what the comment says; returns all that it showed. */
async function perform(command: string, actions: Action[]): Promise<string> {
  const until = actions.find((action) => action.verb === "until");
  const wantedCode = Number(actions.find((action) => action.verb === "exits")?.text ?? 0);
  const steps = actions.filter((action) => action.verb !== "until" && action.verb !== "exits");
  for (const deadline = Date.now() + 60_000; ; await Bun.sleep(500)) {
    await terminal.clear();
    const { code, screen } = await terminal.ends(async () => {
      await terminal.type(command);
      for (const { verb, text } of steps) {
        if (verb === "shows") await terminal.waitFor(text, 60_000);
        else if (verb === "type") await terminal.type(text);
        else await terminal.press(text);
      }
    }, 300_000);
    expect({ command, code, screen }).toMatchObject({ code: wantedCode });
    // Text is wrapped by the agent where its screen ends.
    if (until === undefined || screen.replaceAll(/\s+/g, " ").includes(until.text)) return screen;
    if (Date.now() > deadline) throw new Error(`${command} never showed ${until.text}, but:\n${screen}`);
  }
}

async function doBlock(block: Block): Promise<void> {
  const file = /^file (\S+)$/.exec(block.directive)?.[1];
  if (file !== undefined) {
    await mkdir(dirname(join(sandbox.repo, file)), { recursive: true });
    await writeFile(join(sandbox.repo, file), `${block.text}\n`);
  }
  if (block.language !== "bash" || block.directive.startsWith("skip: ")) return;
  const actions = actionsIn(block.directive);
  const commands = commandsIn(block.text);
  if (actions.length > 0) expect(commands).toHaveLength(1);
  const shown: string[] = [];
  for (const command of commands) shown.push(await perform(command, actions));
  const output = blocks[blocks.indexOf(block) + 1];
  if (output?.language === "text") compare(output, shown.filter((text) => text !== "").join("\n"));
}

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create();
  await writeFile(
    join(sandbox.folder, "hjk", "config.yaml"),
    JSON.stringify({ agents: { claude: { base_url: stub.url } } }),
  );
  await mkdir(join(sandbox.folder, "home", "projects"));
  await symlink(sandbox.repo, join(sandbox.folder, "home", "projects", "my-app"));
  terminal = await Terminal.open(sandbox, { cols: 120, rows: 60 });
}, 60_000);

afterAll(async () => {
  await terminal.close();
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
  await runProgram(["docker", "image", "rm", customImage]);
}, 120_000);

describe("docs/tutorial.md", () => {
  test("has every command that it must have", () => {
    const lines = blocks
      .filter((block) => block.language === "bash")
      .flatMap((block) => block.text.split("\n"))
      .map((line) => line.replaceAll(placeholders.name.onPage, "SESSION"));
    for (const wanted of required) {
      const whole = !wanted.includes('"');
      expect({
        wanted,
        there: lines.some((line) => (whole ? line === wanted : line.startsWith(wanted))),
      }).toEqual({ wanted, there: true });
    }
  });

  for (const [section, members] of Map.groupBy(blocks, (block) => block.section)) {
    test(
      section,
      async () => {
        if (broken !== undefined) throw new Error(`not reached, since "${broken}" failed`);
        broken = section;
        for (const block of members) await doBlock(block);
        broken = undefined;
      },
      600_000,
    );
  }

  test("the agents used the credential that was stored", async () => {
    const asked = (await stub.requests()).filter((request) => request.url.includes("/messages"));
    expect(asked.length).toBeGreaterThan(0);
    for (const request of asked) expect(request.headers["authorization"]).toBe(`Bearer ${token}`);
  });
});
