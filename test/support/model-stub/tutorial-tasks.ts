import { commit, type Step, type Task } from "./task.ts";
import type { Use } from "./toolbox.ts";

/**
 * The three tasks of the tutorial, done for real on its sample repository (a small shop on node:http,
 * whose server takes the `routes` of every file in src/routes). A prompt is recognised by the one
 * path it cannot do without, so that a reader may word it as they like.
 */
export function tutorialTask(prompt: string): Task | undefined {
  if (prompt.includes("/api/health")) return healthEndpoint();
  if (prompt.includes("src/services/payment.js")) return paymentErrors();
  if (prompt.includes("docs/api/users.md")) return userDocs();
  return undefined;
}

/** How long the stand-in thinks before each step: long enough for a person to see agents at work. */
const pauseMs = Number(process.env["MODEL_STUB_PAUSE_MS"] ?? 600);

function step(say: string, use?: Use): Step {
  return use === undefined ? { say, pauseMs } : { say, use, pauseMs };
}

function runTest(path: string): Use {
  return { kind: "shell", command: `node --test ${path}`, why: "run the new test" };
}

function healthEndpoint(): Task {
  const files = ["src/routes/health.js", "test/health.test.js"];
  return {
    steps: [
      step("I'll look at how the existing routes are written.", {
        kind: "read",
        path: "src/routes/products.js",
      }),
      step("A route is an entry in `routes`. I'll add the health endpoint the same way.", {
        kind: "write",
        path: "src/routes/health.js",
        content: healthRoute,
      }),
      step("Now a test for it.", { kind: "write", path: "test/health.test.js", content: healthTest }),
      step("Running the test.", runTest("test/health.test.js")),
      step("It passes. Committing.", commit("Add GET /api/health", ...files)),
      step(
        "GET /api/health is in place: it returns the status and the current time. " +
          "The test is in test/health.test.js, and both are committed.",
      ),
    ],
  };
}

function paymentErrors(): Task {
  const files = ["src/services/payment.js", "test/payment.test.js"];
  return {
    asks: true,
    steps: [
      step("I'll read the service first.", { kind: "read", path: "src/services/payment.js" }),
      step(
        "Neither call handles a failure. I'll wrap both, log what went wrong, and return plain messages.",
        {
          kind: "write",
          path: "src/services/payment.js",
          content: paymentService,
        },
      ),
      step("Now tests for the error scenarios.", {
        kind: "write",
        path: "test/payment.test.js",
        content: paymentTest,
      }),
      step("Running the tests.", runTest("test/payment.test.js")),
      step("They pass. Committing.", commit("Handle errors of the payment service", ...files)),
      step(
        "Failures of the payment service are now caught, logged and turned into plain messages, and " +
          "this is committed.\n\nQUESTION: should a failed charge be retried, or only reported?",
      ),
    ],
  };
}

function userDocs(): Task {
  return {
    steps: [
      step("I'll read the page whose format I am to follow.", { kind: "read", path: "docs/api/products.md" }),
      step("Now the same for the user endpoints.", {
        kind: "write",
        path: "docs/api/users.md",
        content: usersPage,
      }),
      step("Committing.", commit("Document the user endpoints", "docs/api/users.md")),
      step("The user endpoints are described in docs/api/users.md, each with an example. It is committed."),
    ],
  };
}

const healthRoute = `/** Says that the server is up, for load balancers and monitors. */
function health(_request, response) {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ status: "ok", timestamp: new Date().toISOString() }));
}

export const routes = { "GET /api/health": health };
`;

const healthTest = `import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { routes } from "../src/routes/health.js";

test("GET /api/health returns the status and the time", async () => {
  const server = createServer(routes["GET /api/health"]).listen(0, "127.0.0.1");
  await once(server, "listening");
  const response = await fetch(\`http://127.0.0.1:\${server.address().port}/api/health\`);
  const body = await response.json();
  server.close();
  assert.equal(response.status, 200);
  assert.equal(body.status, "ok");
  assert.ok(Math.abs(Date.parse(body.timestamp) - Date.now()) < 5000);
});
`;

const paymentService = `const api = process.env.PAYMENT_API ?? "https://payments.example.com/v1";

/** Charges a customer. Never throws: the caller gets a message that can be shown to the user. */
export async function chargeCustomer(customer, amount) {
  return call("charge", "/charges", { customer, amount }, "Your payment did not go through. Please try again.");
}

/** Gives the money of a charge back. Never throws either. */
export async function refund(chargeId) {
  return call("refund", "/refunds", { chargeId }, "The refund could not be made. Please contact us.");
}

async function call(action, path, body, message) {
  try {
    const response = await fetch(api + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(\`the payment service answered \${response.status}\`);
    return { ok: true, result: await response.json() };
  } catch (error) {
    console.error(\`payment: \${action} failed: \${error.message}\`);
    return { ok: false, message };
  }
}
`;

const paymentTest = `import assert from "node:assert/strict";
import { test } from "node:test";
import { chargeCustomer, refund } from "../src/services/payment.js";

/** Runs the body with a fetch and a console.error of its own; returns what was logged. */
async function withFetch(fetch, body) {
  const kept = [globalThis.fetch, console.error];
  const logged = [];
  globalThis.fetch = fetch;
  console.error = (line) => logged.push(line);
  try {
    await body();
  } finally {
    [globalThis.fetch, console.error] = kept;
  }
  return logged;
}

test("a charge that works returns the service's answer", async () => {
  await withFetch(async () => Response.json({ id: "ch_1" }), async () => {
    assert.deepEqual(await chargeCustomer("ada", 10), { ok: true, result: { id: "ch_1" } });
  });
});

test("a network failure is logged and told in plain words", async () => {
  const logged = await withFetch(
    async () => {
      throw new Error("connect ECONNREFUSED");
    },
    async () => assert.match((await chargeCustomer("ada", 10)).message, /did not go through/),
  );
  assert.match(logged[0], /charge failed: connect ECONNREFUSED/);
});

test("a refusal of the service is a failure too", async () => {
  const logged = await withFetch(
    async () => new Response("no", { status: 502 }),
    async () => assert.equal((await refund("ch_1")).ok, false),
  );
  assert.match(logged[0], /refund failed: .* 502/);
});
`;

const usersPage = `# Users API

## GET /api/users

Lists the users.

**Response** \`200 OK\`

\`\`\`json
[{ "id": 1, "name": "Ada Lovelace", "email": "ada@example.com" }]
\`\`\`

## GET /api/users/:id

Returns one user.

**Response** \`200 OK\`

\`\`\`json
{ "id": 1, "name": "Ada Lovelace", "email": "ada@example.com" }
\`\`\`

**Response** \`404 Not Found\`

\`\`\`json
{ "error": "There is no such user" }
\`\`\`

## POST /api/users

Adds a user.

**Request**

\`\`\`json
{ "name": "Grace Hopper", "email": "grace@example.com" }
\`\`\`

**Response** \`201 Created\`

\`\`\`json
{ "id": 2, "name": "Grace Hopper", "email": "grace@example.com" }
\`\`\`
`;
