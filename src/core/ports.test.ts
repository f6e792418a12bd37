import { expect, test } from "bun:test";
import { readListening } from "./ports.ts";

/** A line as the kernel writes it, with a state: 0A listens, 01 is connected. */
const line = (address: string, port: string, state = "0A"): string =>
  `   0: ${address}:${port} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 123 1 0000000000000000 100 0 0 10 0`;

test("reads what listens, of both families", () => {
  const text = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    line("0100007F", "0BB8"),
    line("00000000", "1F90"),
    line("0363D60A", "0050"),
    line("00000000000000000000000001000000", "1435"),
    line("00000000000000000000000000000000", "0BB8"),
  ].join("\n");
  expect(readListening(text)).toEqual([
    { port: 80, address: "other" },
    { port: 3000, address: "any" },
    { port: 5173, address: "loopback" },
    { port: 8080, address: "any" },
  ]);
});

test("leaves out connections, the engine's resolver and what is no line of the kernel's", () => {
  const lines = [
    line("0100007F", "0BB8", "01"),
    line("0B00007F", "8000"),
    "0: \u001B[31m:0BB8 x 0A ",
    " 0: 0100007F:99999 0:0 0A ",
  ];
  expect(readListening(lines.join("\n"))).toEqual([]);
});
