import { expect, test } from "bun:test";
import { mask, secretsOf } from "./mask.ts";

test("only headers that hold a credential are secret, with and without the scheme", () => {
  expect(
    secretsOf({
      authorization: "Bearer abcdefgh1234",
      "anthropic-beta": "oauth-2025-04-20",
      "x-goog-api-key": "a word only",
    }),
  ).toEqual(["Bearer abcdefgh1234", "abcdefgh1234"]);
});

test("a secret is masked wherever chunks end, and nothing else is held back", async () => {
  const secret = "abcabcabd-secret";
  const text = `abcabc${secret}-x-${secret}${secret}abcab`;
  for (let cut = 0; cut <= text.length; cut++) {
    const stream = mask([`Bearer ${secret}`, secret]);
    stream.write(text.slice(0, cut));
    stream.end(text.slice(cut));
    let out = "";
    for await (const chunk of stream) out += String(chunk);
    expect(out).toBe(text.replaceAll(secret, "*".repeat(secret.length)));
  }
  const stream = mask([secret]);
  stream.write("data: words\n\n");
  expect(String(stream.read())).toBe("data: words\n\n");
});
