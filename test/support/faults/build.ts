import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..", "..", "..");

const replaced: Record<string, string> = {
  "node:fs": "fs.ts",
  "node:fs/promises": "fs-promises.ts",
  "bun:sqlite": "sqlite.ts",
};

const imports = /^import \{([^}]*)\} from "(node:fs|node:fs\/promises|bun:sqlite)";/gm;

/** Takes the names that are steps from the file here, the others from where they were. */
function redirected(list: string, from: string): string {
  const file = join(import.meta.dir, replaced[from] ?? "");
  const steps = new Bun.Transpiler({ loader: "ts" }).scan(readFileSync(file, "utf8")).exports;
  const names = list.split(",").map((name) => name.trim());
  const ours = names.filter((name) => steps.includes(name)).join(", ");
  const others = names.filter((name) => !steps.includes(name)).join(", ");
  return `import { ${ours} } from ${JSON.stringify(file)}; import { ${others} } from "${from}";`;
}

/**
 * Builds the program once more, from the same source, with every call that changes the world outside led
 * through `steps.ts`. The source knows nothing of it.
 */
export async function buildWithFaults(outfile: string): Promise<void> {
  const result = await Bun.build({
    entrypoints: [join(root, "src", "main.ts")],
    compile: { outfile, autoloadBunfig: false, autoloadDotenv: false },
    format: "esm",
    splitting: true,
    bytecode: true,
    minify: true,
    define: { "process.env.NODE_ENV": '"production"' },
    plugins: [
      {
        name: "faults",
        setup(build) {
          build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
            const contents = (await Bun.file(path).text()).replace(imports, (_, list: string, from: string) =>
              redirected(list, from),
            );
            const first = path.endsWith("/src/main.ts")
              ? `import ${JSON.stringify(join(import.meta.dir, "steps.ts"))};\n`
              : "";
            return { contents: first + contents, loader: "ts" };
          });
        },
      },
    ],
  });
  if (!result.success) throw new AggregateError(result.logs, "the build with faults failed");
}
