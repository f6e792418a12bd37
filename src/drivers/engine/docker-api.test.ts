import { expect, test } from "bun:test";
import { demultiplex } from "./docker-api.ts";

function frame(stream: 1 | 2, text: string): Buffer {
  const data = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

async function split(chunks: Uint8Array[]): Promise<{ stdout: string; stderr: string; order: string }> {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  const bytes = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let order = "";
  await demultiplex(stream, (chunk, name) => {
    bytes[name].push(Buffer.from(chunk));
    order += name === "stdout" ? "o" : "e";
  });
  return {
    stdout: Buffer.concat(bytes.stdout).toString(),
    stderr: Buffer.concat(bytes.stderr).toString(),
    order,
  };
}

const message = Buffer.concat([frame(1, "one "), frame(2, "größer"), frame(1, ""), frame(1, "two")]);

test("takes frames apart, in one chunk", async () => {
  expect(await split([message])).toEqual({ stdout: "one two", stderr: "größer", order: "oeoo" });
});

test("wherever the chunks are cut, also inside a header", async () => {
  for (let cut = 0; cut <= message.length; cut += 1) {
    const parts = [message.subarray(0, cut), message.subarray(cut)];
    expect(await split(parts)).toEqual({ stdout: "one two", stderr: "größer", order: "oeoo" });
  }
  const bytes = Array.from(message, (byte) => Uint8Array.of(byte));
  expect(await split(bytes)).toEqual({ stdout: "one two", stderr: "größer", order: "oeoo" });
});

test("a large frame in many chunks", async () => {
  const text = "0123456789abcdef".repeat(200_000);
  const large = frame(1, text);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < large.length; at += 32_768) chunks.push(large.subarray(at, at + 32_768));
  const result = await split(chunks);
  expect(result.stdout === text).toBe(true);
});

test("a frame that ends early says nothing, and what came before stays", async () => {
  expect(await split([message.subarray(0, message.length - 1)])).toMatchObject({ stdout: "one " });
});
