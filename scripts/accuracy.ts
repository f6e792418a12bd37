// npm run bench:agents: is what hjk says of the agents true, and does what is sent to them arrive?
//   -- --rounds N   turns of each agent (default 36: more than 200 changes of state)
//   -- --write      also writes the figures to docs/performance.md
//
// The real CLIs talk to the stand-in model, whose journal says when it was truly at work.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ModelStub, root, Sandbox } from "../test/support/harness.ts";
import { sessionOf, stateText } from "../test/support/watching.ts";

const agents = ["claude", "codex", "gemini"];

/** A state counts as late when it is not seen within this time, and as wrong when it is seen later than that. */
const graceMs = 1000;

/** What a turn is asked, and the state that it ends in. */
const turns: [prompt: string, end: string][] = [
  ["SCRIPT:slow SECONDS:3 WORD_MS:200", "done"],
  ["SCRIPT:question PAUSE_MS:2500", "waiting: question"],
  ["SCRIPT:sleep SECONDS:3", "done"],
  ["SCRIPT:slow SECONDS:2 PAUSE_MS:2000", "done"],
];

interface Sample {
  branch: string;
  state: string;
  /** Times before and after the question, Unix milliseconds. */
  asked: number;
  answered: number;
}

/** One turn as it truly was. */
interface Turn {
  branch: string;
  begin: number;
  end: number;
  state: string;
}

const argument = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const say = (text: string): void => void process.stderr.write(`==> ${text}\n`);

async function main(): Promise<void> {
  const rounds = argument("--rounds", 36);
  const stub = await ModelStub.start({ MODEL_STUB_SLOW_SECONDS: "3" });
  const sandbox = await Sandbox.create({ stub });
  Object.assign(sandbox.env, { OPENAI_API_KEY: "sk-stand-in", GEMINI_API_KEY: "stand-in" });
  try {
    for (const agent of agents) {
      await sandbox.ok(["run", agent, "--agent", agent, "-d", "REPLY: ready"]);
      await sandbox.ok(["wait", agent, "--for", "done", "--timeout", "2m"]);
    }
    const states = await measureStates(sandbox, stub, rounds);
    const messages = await measureMessages(sandbox, stub, Math.ceil((rounds * 200) / 36));
    report(states, messages);
  } finally {
    await sandbox[Symbol.asyncDispose]();
    await stub.stop();
  }
}

// States

async function measureStates(sandbox: Sandbox, stub: ModelStub, rounds: number) {
  say(`${rounds} turns of each of ${agents.length} agents, looked at all the time`);
  const samples: Sample[] = [];
  const watching = new AbortController();
  const watcher = watch(sandbox, samples, watching.signal);
  const truth = (await Promise.all(agents.map((agent) => work(sandbox, stub, agent, rounds)))).flat();
  watching.abort();
  await watcher;
  return judge(truth, samples);
}

async function watch(sandbox: Sandbox, samples: Sample[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const asked = Date.now();
    const text = await sandbox.ok(["ps", "--json"]);
    const { instances } = JSON.parse(text) as {
      instances: { branch: string; activity: { state: string; reason: string | null } | null }[];
    };
    for (const { branch, activity } of instances) {
      const reason = activity?.reason == null ? "" : `: ${activity.reason}`;
      samples.push({ branch, state: `${activity?.state ?? "none"}${reason}`, asked, answered: Date.now() });
    }
  }
}

async function work(sandbox: Sandbox, stub: ModelStub, agent: string, rounds: number): Promise<Turn[]> {
  const found: Turn[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const [script, state] = turns[round % turns.length] ?? ["", ""];
    // The number tells the turn in the journal.
    const prompt = `Turn ${agent}-${round}. ${script}`;
    await sandbox.ok(["send", agent, prompt]);
    const asked = () =>
      stub.journal().then((all) => all.filter((one) => one.prompt.startsWith(`Turn ${agent}-${round}.`)));
    await sandbox.ok(["wait", agent, "--timeout", "2m"]);
    // Longer than a late answer could take to be seen.
    await Bun.sleep(2 * graceMs);
    const requests = (await asked()).filter((one) => !one.side);
    const begin = Math.min(...requests.map((one) => one.at));
    const end = Math.max(...requests.map((one) => one.endedAt ?? Infinity));
    if (!Number.isFinite(begin) || !Number.isFinite(end)) throw new Error(`no request for ${prompt}`);
    found.push({ branch: agent, begin, end, state });
  }
  return found;
}

function judge(truth: Turn[], samples: Sample[]) {
  const result = { changes: 0, right: 0, late: 0, wrong: 0, samples: samples.length, delays: [] as number[] };
  const note = (at: number, state: string, until: number, branch: string): void => {
    result.changes += 1;
    const seen = samples.filter(
      (one) => one.branch === branch && one.answered >= at && one.answered <= until,
    );
    const first = seen.find((one) => one.state === state);
    const settled = seen.filter((one) => one.asked > at + graceMs);
    if (settled.some((one) => one.state !== state)) {
      result.wrong += 1;
      const odd = settled.find((one) => one.state !== state);
      say(`wrong: ${branch} was ${odd?.state} ${(odd?.asked ?? 0) - at} ms after it became ${state}`);
    } else if (first === undefined || first.answered - at > graceMs) result.late += 1;
    else result.right += 1;
    if (first !== undefined) result.delays.push(Math.max(0, first.answered - at));
  };
  for (const { branch, begin, end, state } of truth) {
    note(begin, "working", end, branch);
    note(end, state, end + 2 * graceMs, branch);
  }
  return result;
}

// Messages

async function measureMessages(sandbox: Sandbox, stub: ModelStub, count: number) {
  say(`${count} messages to agents that are done, at work, ask a question or just begin`);
  const result = { sent: 0, taken: 0, lost: 0, doubled: 0, refused: 0, wronglyTaken: 0, inShell: 0 };
  const tokens = new Map<string, string>();
  const each = Math.ceil(count / agents.length);
  await Promise.all(
    agents.map(async (agent) => {
      for (let index = 0; index < each; index += 1) {
        const token = `T${agent}${index}E`;
        if (index % 3 === 1) await sandbox.ok(["send", agent, "SCRIPT:slow SECONDS:2"]);
        if (index % 3 === 2) {
          await sandbox.ok(["send", agent, "SCRIPT:question"]);
          await sandbox.ok(["wait", agent, "--timeout", "1m"]);
        }
        tokens.set(token, agent);
        const sent = await sandbox.hjk(["send", agent, `SCRIPT:echo ${token}`]);
        result.sent += 1;
        if (sent.code === 0) result.taken += 1;
        else say(`not taken: ${token}: ${sent.stderr.trim()}`);
        await sandbox.ok(["wait", agent, "--timeout", "1m"]);
      }
    }),
  );
  const asked = (await stub.journal()).filter((one) => !one.side && one.how === "answered");
  for (const [token, agent] of tokens) {
    const told = asked.filter((one) => one.prompts.some((prompt) => prompt.includes(token))).length;
    if (told === 0) result.lost += 1;
    const transcript = await sandbox.ok(["transcript", agent, "--jsonl"]);
    const said = transcript
      .split("\n")
      .filter((line) => line.includes('"role":"user"') && line.includes(token));
    if (told > 1 || said.length > 1) result.doubled += 1;
  }
  await measureRefusals(sandbox, result);
  return result;
}

/** Where words would become keys of a dialog or commands of a shell, nothing may be typed. */
async function measureRefusals(
  sandbox: Sandbox,
  result: { refused: number; wronglyTaken: number; inShell: number },
): Promise<void> {
  await sandbox.ok(["send", "claude", "SCRIPT:asktool"]);
  await sandbox.ok(["wait", "claude", "--for", "waiting", "--timeout", "1m"]);
  await sandbox.ok(["exec", "-d", "-n", "shell", "codex"]);
  await sandbox.ok(["exec", "-d", "-n", "ended", "gemini", "true"]);
  for (let index = 0; index < 10; index += 1) {
    for (const target of [["claude"], ["codex", "shell"], ["gemini", "ended"]]) {
      const sent = await sandbox.hjk(["send", ...target, `touch /workspace/in-shell-${index}`]);
      result[sent.code === 0 ? "wronglyTaken" : "refused"] += 1;
    }
  }
  for (const agent of agents) {
    const files = (await sandbox.inside(agent, ["ls", "/workspace"])).stdout;
    result.inShell += files.split("\n").filter((name) => name.startsWith("in-shell-")).length;
  }
  if (stateText(await sessionOf(sandbox, "claude")) !== "waiting: question") result.wronglyTaken += 1;
}

function report(
  states: Awaited<ReturnType<typeof measureStates>>,
  messages: Awaited<ReturnType<typeof measureMessages>>,
): void {
  const delays = states.delays.toSorted((a, b) => a - b);
  const delay = (part: number): string => `${delays[Math.floor((delays.length - 1) * part)] ?? 0} ms`;
  const section = `## What hjk says of the agents, and what it sends them

Made by \`npm run bench:agents -- --write\` with the real Claude Code, Codex and Gemini CLI and the stand-in model, whose
journal is the truth: when it was asked and when its last answer ended.

| states, sampled by \`hjk ps --json\` all the time (${states.samples} samples) | |
|---|---|
| changes of state | ${states.changes} |
| seen within 1 s, and not contradicted afterwards | ${states.right} |
| seen later than 1 s | ${states.late} |
| wrong | ${states.wrong} |
| time until it was seen: median, 95 %, longest | ${delay(0.5)}, ${delay(0.95)}, ${delay(1)} |

| messages by \`hjk send\` to agents that were done, at work or asking | |
|---|---|
| sent | ${messages.sent} |
| reported as taken | ${messages.taken} |
| lost | ${messages.lost} |
| doubled | ${messages.doubled} |
| refused, to a dialog, a shell or an ended session | ${messages.refused} |
| taken there all the same | ${messages.wronglyTaken} |
| run by a shell | ${messages.inShell} |
`;
  process.stdout.write(section);
  if (!process.argv.includes("--write")) return;
  const file = join(root, "docs", "performance.md");
  const text = readFileSync(file, "utf8");
  const [head = "", ...sections] = text.split(/^(?=## )/m);
  const at = sections.findIndex((one) => one.startsWith("## What hjk says of the agents"));
  sections.splice(at < 0 ? sections.length : at, at < 0 ? 0 : 1, `${section}\n`);
  writeFileSync(file, `${[head, ...sections].join("").trimEnd()}\n`);
}

await main();
