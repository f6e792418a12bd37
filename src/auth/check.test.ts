import { afterAll, expect, test } from "bun:test";
import { checkCredential } from "./check.ts";

const { signal } = new AbortController();
const json = { "content-type": "application/json" };

/** A provider that answers in each of the ways there are. */
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/moved") return Response.redirect("/key", 302);
    if (pathname === "/page")
      return new Response("<h1>Welcome</h1>", { headers: { "content-type": "text/html" } });
    if (pathname === "/oauth")
      return new Response("OAuth authentication is currently not supported.", { status: 401 });
    if (pathname === "/google")
      return new Response('{"error":{"details":[{"reason":"API_KEY_INVALID"}]}}', { status: 400 });
    if (pathname.startsWith("/status/")) return new Response("{}", { status: Number(pathname.slice(8)) });
    const isGood = request.headers.get("x-api-key") === "good";
    return new Response("{}", { status: isGood ? 200 : 401, headers: json });
  },
});
afterAll(() => server.stop(true));

const check = async (path: string, key = "good"): Promise<unknown> =>
  await checkCredential(`http://127.0.0.1:${server.port}${path}`, { "x-api-key": key }, { signal });

test("a credential is accepted, or refused", async () => {
  expect(await check("/key")).toEqual({ is: "accepted" });
  expect(await check("/key", "bad")).toEqual({ is: "refused", status: 401 });
  expect(await check("/google")).toEqual({ is: "refused", status: 400 });
});

test.each([
  ["/status/403", "the answer was 403"],
  ["/status/400", "the answer was 400"],
  ["/status/429", "the answer was 429"],
  ["/status/503", "the answer was 503"],
  // Not followed: the credential would go along.
  ["/moved", "the answer was 302"],
  ["/oauth", "the answer was 401"],
  ["/page", "the answer was no JSON"],
])("%s says nothing of it", async (path, why) => {
  expect(await check(path)).toEqual({ is: "unknown", why });
});

test("a provider that is not there says nothing, and names no credential", async () => {
  const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const url = `http://127.0.0.1:${gone.port}/`;
  await gone.stop(true);
  const verdict = await checkCredential(url, { "x-api-key": "very-secret" }, { signal });
  expect(verdict).toEqual({ is: "unknown", why: expect.any(String) as string });
  expect(JSON.stringify(verdict)).not.toContain("very-secret");
});

test("an interruption is none of these", async () => {
  const aborted = AbortSignal.abort(new Error("interrupted"));
  const url = `http://127.0.0.1:${server.port}/key`;
  const error = await checkCredential(url, {}, { signal: aborted }).catch((reason: unknown) => reason);
  expect(error).toEqual(new Error("interrupted"));
});
