import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { eventually, ModelStub, Sandbox, Terminal } from "../support/harness.ts";

/*
 * The tutorial "Running Parallel Agents", steps 2 to 10, as a person does it: its command lines letter
 * for letter at a terminal, with the real Claude Code in the containers. Only the model is a stand-in,
 * and sessions have the names that were made up for them.
 */

const commands = {
  health:
    'hjk run feat/health-endpoint --agent claude -d "Add a GET /api/health endpoint that returns { status: ok, timestamp: <current time> }. Include a test in the API test suite."',
  payment:
    'hjk run feat/payment-errors --agent claude -d "Improve error handling in src/services/payment.js. Wrap external API calls in try-catch blocks, add logging for failures, and return user-friendly error messages. Add tests for error scenarios."',
  docs: 'hjk run docs/user-api --agent claude -d "Write API documentation for the user endpoints in docs/api/users.md. Include request/response examples for each endpoint. Follow the format used in docs/api/products.md."',
  handling:
    'hjk run feat/payment-errors --agent claude -d --name error-handling "Implement the try-catch wrappers for external API calls"',
  tests:
    'hjk run feat/payment-errors --agent claude -d --name error-tests "Write tests for the error handling scenarios in payment.js"',
};

const age = "(?:just\\snow|\\d+[sm]\\sago)";
/** More columns may follow those of the page. */
const activity = "(?:starting|working|waiting:\\squestion|done)(?:\\s\\(\\d+[sm]\\))?";

let stub: ModelStub;
let sandbox: Sandbox;
let terminal: Terminal;
const ids: Record<string, string> = {};
const sessions: Record<string, string> = {};

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
  terminal = await Terminal.open(sandbox);
}, 60_000);

afterAll(async () => {
  await terminal.close();
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
}, 60_000);

/** Types a command that must succeed; returns what it showed. */
async function typed(line: string): Promise<string> {
  const { code, screen } = await terminal.run(line);
  expect({ line, code, screen }).toMatchObject({ code: 0 });
  return screen;
}

async function launch(branch: string, line: string): Promise<void> {
  const screen = await typed(line);
  const output =
    /^Created instance ([0-9a-f]{6,}) for branch (\S+)\nCreated session ([a-z]+-[a-z]+) in instance ([0-9a-f]{6,}) \(detached\)$/m;
  const [, id = "", shownBranch, session = "", again] = output.exec(screen) ?? [];
  expect({ screen, shownBranch, again }).toEqual({ screen, shownBranch: branch, again: id });
  ids[branch] = id;
  sessions[branch] = session;
}

/** A table as text: one regular expression a row, in their order, and nothing else. */
function table(...rows: string[]): RegExp {
  return new RegExp(`^${rows.map((row) => row.replaceAll(" ", " {2,}")).join("\\n")}$`);
}

/** Files that a branch changes. */
async function changed(branch: string): Promise<string> {
  return await sandbox.git("diff", "--name-only", `main...${branch}`);
}

describe("the tutorial", () => {
  test("step 2: launches the first agent", async () => {
    await launch("feat/health-endpoint", commands.health);
  }, 60_000);

  test("step 3: launches two more without waiting for the first", async () => {
    await launch("feat/payment-errors", commands.payment);
    await launch("docs/user-api", commands.docs);
    expect(new Set(Object.values(ids)).size).toBe(3);
  }, 60_000);

  test("step 4: lists all agents", async () => {
    expect(await typed("hjk ps")).toMatch(
      table(
        "BRANCH STATUS SESSIONS CREATED ACTIVITY",
        `feat/health-endpoint running 1 ${age} ${activity}`,
        `feat/payment-errors running 1 ${age} ${activity}`,
        `docs/user-api running 1 ${age} ${activity}`,
      ),
    );
  });

  test("step 5: shows one agent's session, and its log", async () => {
    const name = sessions["feat/health-endpoint"] ?? "";
    expect(await typed("hjk ps feat/health-endpoint")).toMatch(
      table(
        "SESSION TYPE STATUS CREATED ACCESSED ACTIVITY",
        `${name} claude detached ${age} ${age} ${activity}`,
      ),
    );
    // The task is at the top, and scrolls out of a usual screen as the agent goes on.
    await terminal.resize({ cols: 100, rows: 100 });
    await eventually(
      async () => (await typed(`hjk logs feat/health-endpoint ${name}`)).includes("❯ Add a GET /api/health"),
      "the log shows the task",
    );
    await terminal.resize({ cols: 100, rows: 35 });
  }, 60_000);

  test("step 5: follows a log until Ctrl+C", async () => {
    const name = sessions["feat/health-endpoint"] ?? "";
    await terminal.clear();
    await terminal.type(`hjk logs feat/health-endpoint ${name} -f`);
    const screen = await terminal.waitFor(/both\s+are\s+committed/, 60_000);
    expect(screen).toContain("Running the test.");
    const { code } = await terminal.ends(() => terminal.press("C-c"));
    expect(code).toBe(130);
  }, 90_000);

  test("step 6: attaches to one agent after the other, and detaches with Ctrl+B, then d", async () => {
    for (const branch of ["feat/health-endpoint", "feat/payment-errors"]) {
      await terminal.clear();
      await terminal.type(`hjk attach ${branch}`);
      // tmux's line at the bottom says where one is and how to leave.
      const screen = await terminal.waitFor(`${branch}  ${sessions[branch]} (claude)`);
      expect(screen).toMatch(/Ctrl\+B d: detach/);
      await terminal.waitFor("bypass permissions on");
      const detached = await terminal.detach();
      expect(detached.code).toBe(0);
      expect(detached.screen).toContain(`[detached (from session ${ids[branch]}/${sessions[branch]})]`);
    }
  }, 60_000);

  test("step 7: a question stands at the end of the log, and the answer typed after attaching is taken", async () => {
    const logs = `hjk logs feat/payment-errors ${sessions["feat/payment-errors"]} -n 20`;
    let screen = "";
    await eventually(
      async () => {
        screen = await typed(logs);
        // Without the spinner, the agent waits.
        return screen.includes("or only reported?") && !screen.includes("esc to interrupt");
      },
      () => Promise.resolve(`the question is in the log:\n${screen}`),
      60_000,
    );
    expect(screen).toMatch(/should a\s+failed charge be retried, or only reported\?/);
    expect(screen.split("\n").length).toBeLessThanOrEqual(20);
    await terminal.clear();
    await terminal.type("hjk attach feat/payment-errors");
    await terminal.waitFor("or only reported?");
    await terminal.type("Only report it, please.");
    await terminal.waitFor("OK, got: Only report it, please.");
    await terminal.detach();
  }, 120_000);

  test("step 8: the finished work is on its branch, and the user can check it out", async () => {
    await eventually(
      async () =>
        (await typed("hjk logs docs/user-api -n 30")).includes(
          "The user endpoints are described in docs/api/users.md",
        ),
      "the agent says that it is done",
      60_000,
    );
    await typed("hjk ps");
    await terminal.clear();
    await terminal.type("hjk attach docs/user-api");
    await terminal.waitFor("It is committed.");
    await terminal.detach();
    expect(await typed("git checkout docs/user-api")).toContain("Switched to branch 'docs/user-api'");
    expect(await typed("cat docs/api/users.md")).toContain("Adds a user.");
    expect(await sandbox.git("log", "-1", "--format=%s, by %an <%ae>")).toBe(
      "Document the user endpoints, by Ann <ann@example.com>",
    );
    expect(await sandbox.git("status", "--porcelain")).toBe("");
    // The instance has the branch too, and goes on.
    expect((await sandbox.instance("docs/user-api")).status).toBe("running");
  }, 120_000);

  test("steps 2 and 3 are done: each branch has its own agent's work and nothing of the others'", async () => {
    expect((await changed("feat/health-endpoint")).split("\n")).toEqual([
      "src/routes/health.js",
      "test/health.test.js",
    ]);
    expect((await changed("feat/payment-errors")).split("\n")).toEqual([
      "src/services/payment.js",
      "test/payment.test.js",
    ]);
    expect(await changed("docs/user-api")).toBe("docs/api/users.md");
  });

  test("step 9: runs more sessions on one branch, which see each other's changes", async () => {
    const id = ids["feat/payment-errors"];
    expect(await typed(commands.handling)).toEndWith(
      `Created session error-handling in instance ${id} (detached)`,
    );
    expect(await typed(commands.tests)).toEndWith(`Created session error-tests in instance ${id} (detached)`);
    const first = sessions["feat/payment-errors"];
    expect(await typed("hjk ps feat/payment-errors")).toMatch(
      table(
        "SESSION TYPE STATUS CREATED ACCESSED ACTIVITY",
        `${first} claude detached ${age} ${age} ${activity}`,
        `error-handling claude detached ${age} ${age} ${activity}`,
        `error-tests claude detached ${age} ${age} ${activity}`,
      ),
    );
    const { workspace } = await sandbox.instance("feat/payment-errors");
    await eventually(async () => {
      const notes = await Bun.file(join(workspace, "NOTES.md")).text();
      return notes.includes("try-catch wrappers") && notes.includes("Write tests for the error handling");
    }, "both agents write into the one worktree");
  }, 60_000);

  test("step 10: stops and removes finished instances, and keeps the other", async () => {
    for (const branch of ["feat/health-endpoint", "docs/user-api"]) {
      expect(await typed(`hjk stop ${branch}`)).toBe(`Stopped instance ${ids[branch]} for branch ${branch}`);
    }
    const stopped = await typed("hjk ps");
    expect(stopped).toMatch(/^feat\/health-endpoint +stopped +0 /m);
    const kept = await remove("feat/health-endpoint", "");
    expect(kept).toContain("feat/health-endpoint was kept.");
    for (const branch of ["feat/health-endpoint", "docs/user-api"]) {
      const { workspace } = await sandbox.instance(branch);
      const screen = await remove(branch, "y");
      expect(screen).toContain(
        `This will remove instance ${ids[branch]} for branch ${branch}\n` +
          `Worktree at ${workspace} will be deleted.\n` +
          `Are you sure? [y/N] y\n` +
          `Removed instance ${ids[branch]} for branch ${branch}`,
      );
    }
    expect(await typed("hjk ps")).toMatch(
      table("BRANCH STATUS SESSIONS CREATED ACTIVITY", `feat/payment-errors running 3 ${age} ${activity}`),
    );
    // The branches and their commits stay.
    expect(await sandbox.git("show", "feat/health-endpoint:src/routes/health.js")).toContain("timestamp");
    expect(await Bun.file(join(sandbox.repo, "docs/api/users.md")).text()).toContain("Lists the users.");
  }, 90_000);
});

async function remove(branch: string, answer: string): Promise<string> {
  await terminal.clear();
  const { code, screen } = await terminal.ends(async () => {
    await terminal.type(`hjk rm ${branch}`);
    await terminal.waitFor("Are you sure? [y/N]");
    await terminal.type(answer);
  });
  expect(code).toBe(0);
  return screen;
}
