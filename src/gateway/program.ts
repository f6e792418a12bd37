// Made by the build before everything else.
import program from "../../dist/gateway.text" with { type: "text" };

/** The whole gateway, as `node` runs it: from a file, or after `-e`. */
export const gatewayProgram: string = program;

/**
 * Options of Node with which it needs 15 MB at rest and 20 MB after 80 requests at a time, in place of 25: one thread and small
 * heaps are enough to pass bytes on.
 */
export const gatewayNodeOptions: readonly string[] = [
  "--max-semi-space-size=1",
  "--max-old-space-size=32",
  "--optimize-for-size",
  "--single-threaded",
  "--v8-pool-size=0",
];

/** Environment for the same end. Two threads for names, so that one that does not resolve does not hold up the others. */
export const gatewayEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "1",
  UV_THREADPOOL_SIZE: "2",
};
