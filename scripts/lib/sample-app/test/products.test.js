import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { makeServer } from "../src/server.js";

/** Asks a server of the test's own. */
async function get(path) {
  const server = (await makeServer()).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    return await fetch(`http://127.0.0.1:${server.address().port}${path}`);
  } finally {
    server.close();
  }
}

test("GET /api/products lists the products", async () => {
  const response = await get("/api/products");
  const products = await response.json();
  assert.equal(response.status, 200);
  assert.deepEqual(
    products.map((product) => product.name),
    ["Teapot", "Cup"],
  );
});

test("a path that no route has is not found", async () => {
  assert.equal((await get("/api/nothing")).status, 404);
});
