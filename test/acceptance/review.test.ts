import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, exists, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram, Sandbox, Terminal } from "../support/harness.ts";
import { Instance } from "../support/workbench.ts";

/* What a branch holds, shown without running or believing anything of it. */

const minute = 60_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
}, minute);
afterAll(async () => await sandbox[Symbol.asyncDispose](), minute);

interface DiffJson {
  base: string;
  head: string;
  snapshot: number | null;
  uncommitted: string[];
  files: {
    path: string;
    oldPath: string | null;
    status: string;
    binary: boolean;
    additions: number | null;
  }[];
}

describe("hjk diff", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/diff");
    await instance.inside(`
      printf 'one\\ntwo\\n' > added.txt; git add -A; git commit -qm one
      git mv README.md GUIDE.md; printf '\\0\\1' > blob.bin; git add -A; git commit -qm two`);
  }, minute);
  afterAll(async () => await instance.remove(), minute);

  test(
    "is what git says of the same commits, and brings them home first",
    async () => {
      const shown = await instance.hjk("diff");
      expect(shown).toMatchObject({ code: 0, stderr: "" });
      const plain = await instance.git("diff", "--find-renames", "main", "feat/diff");
      expect(shown.stdout.trim()).toBe(plain);
      expect((await instance.hjk("diff", "--name-only")).stdout).toBe("GUIDE.md\nadded.txt\nblob.bin\n");
      expect((await instance.hjk("diff", "--stat")).stdout).toContain("README.md => GUIDE.md");
      const files = (await instance.hjk("diff", "--files")).stdout.split("\n");
      expect(files).toContain("added\t2\t0\tadded.txt");
      expect(files).toContain("added\tbinary\tbinary\tblob.bin");
      const json = JSON.parse((await instance.hjk("diff", "--json")).stdout) as DiffJson;
      expect(json.head).toBe(await instance.at());
      expect(json.files).toContainEqual(
        expect.objectContaining({ path: "GUIDE.md", oldPath: "README.md", status: "renamed" }),
      );
    },
    minute,
  );

  test(
    "what is in no commit is shown too, as a snapshot, but for ignored files",
    async () => {
      const other = await Instance.make(sandbox, "feat/uncommitted");
      await other.commit("committed.txt");
      expect(JSON.parse((await other.hjk("diff", "--json")).stdout)).toMatchObject({ snapshot: null });
      await other.inside(`
      echo changed >> README.md; git add README.md; echo new > untracked.txt
      echo node_modules > .gitignore; mkdir -p node_modules; echo x > node_modules/x`);
      const json = JSON.parse((await other.hjk("diff", "--json")).stdout) as DiffJson;
      expect(json).toMatchObject({ snapshot: 1, uncommitted: [".gitignore", "README.md", "untracked.txt"] });
      expect(json.head).toBe(await other.at());
      expect((await other.hjk("diff")).stdout).toContain("+changed");
      expect((await other.hjk("diff", "--committed", "--name-only")).stdout).toBe("committed.txt\n");
      await other.inside("rm untracked.txt");
      expect((await other.hjk("diff", "--name-only")).stdout).not.toContain("untracked.txt");
      expect((await other.hjk("diff", "--snapshot", "1", "--name-only")).stdout).toContain("untracked.txt");
      expect(await other.hjk("diff", "--snapshot", "99")).toMatchObject({ code: 3 });
      // Also of a stopped one, whose files nobody can change.
      await other.hjk("stop");
      expect((await other.hjk("diff")).stdout).toContain("+changed");
      await other.remove();
    },
    minute,
  );

  test(
    "--patch is exact: git makes the same tree of it",
    async () => {
      const patch = await instance.hjk("diff", "--patch");
      const index = { ...sandbox.env, GIT_INDEX_FILE: join(sandbox.folder, "index-of-patch") };
      const git = (args: string[], input?: string) =>
        runProgram(["git", ...args], {
          cwd: sandbox.repo,
          env: index,
          ...(input === undefined ? {} : { input }),
        });
      await git(["read-tree", "main"]);
      expect(await git(["apply", "--cached"], patch.stdout)).toMatchObject({ code: 0 });
      expect((await git(["write-tree"])).stdout.trim()).toBe(await instance.at("feat/diff^{tree}"));
      const one = await instance.hjk("diff", "--patch", "--stat");
      expect(one.code).toBe(2);
    },
    minute,
  );

  test(
    "on a terminal it is in the user's pager, in colour; the pager of git's configuration too",
    async () => {
      const pager = join(sandbox.folder, "pager");
      await writeFile(pager, `#!/bin/sh\ncat -v > "$OUT"\n`);
      await chmod(pager, 0o755);
      const out = join(sandbox.folder, "paged");
      const terminal = await Terminal.open(sandbox, { env: { OUT: out, GIT_PAGER: undefined } });
      for (const set of [`GIT_PAGER='${pager}'`, `PAGER='${pager}'`]) {
        await writeFile(out, "");
        expect((await terminal.run(`${set} hjk diff feat/diff`)).code).toBe(0);
        expect(await Bun.file(out).text()).toContain("^[[32m+one^[[m\n");
      }
      await sandbox.git("config", "core.pager", `sed -e 's/^/piped through: /' | cat -v > "$OUT"`);
      expect((await terminal.run("hjk diff feat/diff")).code).toBe(0);
      expect(await Bun.file(out).text()).toContain("piped through: ^[[32m+one^[[m\n");
      await sandbox.git("config", "core.pager", "false");
      expect((await terminal.run("hjk diff feat/diff")).code).toBe(0);
      await sandbox.git("config", "--unset", "core.pager");
      expect((await terminal.run("hjk diff feat/diff --patch")).code).toBe(2);
      await terminal.close();
    },
    minute,
  );
});

interface ReviewJson {
  commitCount: number;
  commits: { subject: string; at: string }[];
  files: { path: string }[];
  autorun: { path: string; reason: string }[];
  links: { path: string; target: string; escapes: boolean }[];
  submodules: string[];
  executables: string[];
  large: { path: string; bytes: number }[];
  binary: string[];
  uncommitted: string[];
}

describe("hjk review", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.make(sandbox, "feat/review");
    await instance.inside(`
      mkdir -p .husky .github/workflows .claude .vscode; for file in .husky/pre-commit .github/workflows/ci.yml \
        .claude/settings.json .vscode/tasks.json .envrc Makefile .gitattributes CLAUDE.md; do echo x > $file; done
      sed -i 's/"scripts": {/"scripts": { "postinstall": "true",/' package.json
      git add -A; git commit -qm 'set up'
      ln -s /etc/passwd out; ln -s ../../up deep-out; ln -s README.md inside; mkdir d; ln -s ../README.md d/inside
      echo '#!/bin/sh' > run.sh; chmod +x run.sh; chmod +x README.md
      head -c 3000000 /dev/zero | tr '\\0' a > large.txt; printf '\\0' > blob.bin
      git add -A; git commit -qm 'more'; echo x > untracked.txt`);
  }, minute);
  afterAll(async () => await instance.remove(), minute);

  test(
    "attack 7: names what deserves a look, and why",
    async () => {
      const review = JSON.parse((await instance.hjk("review", "--json")).stdout) as ReviewJson;
      expect(review.commits.map((commit) => commit.subject)).toEqual(["set up", "more"]);
      expect(review.commits[0]?.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(review.autorun.map((file) => file.path)).toEqual([
        ".claude/settings.json",
        ".envrc",
        ".gitattributes",
        ".github/workflows/ci.yml",
        ".husky/pre-commit",
        ".vscode/tasks.json",
        "CLAUDE.md",
        "Makefile",
        "package.json",
      ]);
      expect(review.autorun.every((file) => file.reason !== "")).toBe(true);
      expect(review.links).toEqual([
        { path: "d/inside", target: "../README.md", escapes: false },
        { path: "deep-out", target: "../../up", escapes: true },
        { path: "inside", target: "README.md", escapes: false },
        { path: "out", target: "/etc/passwd", escapes: true },
      ]);
      expect(review.executables).toEqual(["README.md", "run.sh"]);
      expect(review.large).toEqual([{ path: "large.txt", bytes: 3_000_000 }]);
      expect(review.binary).toEqual(["blob.bin"]);
      expect(review.uncommitted).toEqual(["untracked.txt"]);
    },
    minute,
  );

  test(
    "for a person: the summary, then the diff",
    async () => {
      const { stdout, code } = await instance.hjk("review");
      expect(code).toBe(0);
      const [summary = "", diff] = stdout.split(/^(?=diff --git)/m);
      expect(summary).toStartWith("feat/review: 2 commits, ");
      expect(summary).toContain("  .envrc  (your shell may run it");
      expect(summary).toContain("  out -> /etc/passwd  (leads out of the repository)");
      expect(summary).toContain("  large.txt  (2.9 MiB)");
      expect(summary).toContain("In no commit:\n  untracked.txt");
      expect(diff).toStartWith("diff --git");
      expect((await instance.hjk("review", "--summary")).stdout.trim()).toBe(summary.trim());
    },
    minute,
  );
});

describe("hostile branches", () => {
  test(
    "attributes, filters and diff programs run nothing, and hide nothing",
    async () => {
      const instance = await Instance.make(sandbox, "evil/attributes");
      const trace = join(sandbox.folder, "ran");
      const settings = ["diff.evil.textconv", "diff.evil.command", "filter.evil.clean", "filter.evil.smudge"];
      // Programs that the user has for themselves, and that the branch asks for.
      for (const name of settings) await sandbox.git("config", name, `touch ${trace}; cat`);
      await sandbox.git("config", "diff.external", `touch ${trace}; true`);
      await instance.inside(`
      printf '* diff=evil filter=evil\\n*.txt -diff\\n' > .gitattributes; echo hidden > secret.txt
      git add -A; git commit -qm evil`);
      const shown = await instance.hjk("diff");
      expect(shown.stdout).toContain("+hidden");
      expect((await instance.hjk("diff", "--stat")).stdout).toContain("secret.txt");
      expect(await exists(trace)).toBe(false);
      for (const name of [...settings, "diff.external"]) await sandbox.git("config", "--unset", name);
      await instance.remove();
    },
    minute,
  );

  test(
    "escape sequences in names and contents do not reach the terminal, nor can they hide a line",
    async () => {
      const instance = await Instance.make(sandbox, "evil/escapes");
      await instance.inside(String.raw`
      printf '\033]52;c;ZXZpbA==\a\033[8mhidden\033[0m\033[2K\rdiff --git a/good b/good\n' > text.txt
      printf 'x' > "$(printf 'a\033]0;title\a\nname')"; printf 'y' > "$(printf '\342\200\256txt.exe')"
      git add -A; git commit -qm "$(printf 'subject \033]0;title\a')"`);
      for (const form of [[], ["--stat"], ["--name-only"], ["--files"], ["--json"]]) {
        const { stdout } = await instance.hjk("diff", ...form);
        expect(stdout.replaceAll("\n", "").replaceAll("\t", "")).not.toMatch(/\p{C}/u);
      }
      for (const form of [[], ["--json"]]) {
        const { stdout } = await instance.hjk("review", ...form);
        expect(stdout.replaceAll("\n", "").replaceAll("\t", "")).not.toMatch(/\p{C}/u);
        expect(stdout).toContain("subject");
      }
      const lines = (await instance.hjk("diff")).stdout.split("\n");
      expect(lines.find((line) => line.includes("hidden"))).toMatch(/^\+hidden.diff --git a\/good b\/good$/u);
      await instance.remove();
    },
    minute,
  );

  test(
    "submodules, which were kept out of the repository, are seen all the same",
    async () => {
      const instance = await Instance.make(sandbox, "evil/submodule");
      await instance.inside(`
        git init -q sub; git -C sub -c user.name=a -c user.email=a commit -q --allow-empty -m x; git add sub 2>/dev/null; git commit -qm sub`);
      const { stdout, stderr } = await instance.hjk("review");
      expect(stderr).toContain("submodules (sub)");
      expect(stdout).toContain("Submodules:\n  sub\n");
      expect(await instance.at()).toBe(await instance.at("main"));
      await instance.remove();
    },
    minute,
  );

  test(
    "a repository that the agent has planted where the user stands chooses no pager",
    async () => {
      const instance = await Instance.make(sandbox, "evil/planted");
      const trace = join(sandbox.folder, "paged-by-agent");
      await instance.inside(`
        git init -q sub; git -C sub config core.pager 'touch ${trace}; cat'; git -C sub config pager.diff 'touch ${trace}; cat'
        printf 'gitdir: ${sandbox.repo}/.git\\n' > d; mkdir e; mv d e/.git; echo x > x.txt; git add x.txt; git commit -qm x`);
      const terminal = await Terminal.open(sandbox, { env: { PAGER: "cat", GIT_PAGER: undefined } });
      for (const folder of ["sub", "e"]) {
        await terminal.run(`cd ${join(await instance.workspace, folder)}`);
        expect((await terminal.run(`hjk diff ${instance.id}`)).screen).toContain("+x");
        // Nor is it taken for a checkout of the user's.
        for (const command of ["merge", "apply"])
          expect((await terminal.run(`hjk ${command} ${instance.id}`)).code).toBe(2);
      }
      expect(await exists(trace)).toBe(false);
      await terminal.close();
      await instance.remove();
    },
    minute,
  );

  test(
    "10,000 files",
    async () => {
      const instance = await Instance.make(sandbox, "evil/many");
      await instance.inside(
        "mkdir many; cd many; seq 10000 | xargs -n 500 touch; seq 10000 | while read n; do echo $n > $n; done; git add -A; git commit -qm many",
      );
      const { stdout } = await instance.hjk("diff", "--name-only");
      expect(stdout.trim().split("\n")).toHaveLength(10_000);
      // Whoever has seen enough need not wait for the rest.
      const terminal = await Terminal.open(sandbox, { env: { GIT_PAGER: "head -n 1" } });
      const seen = await terminal.run("hjk diff evil/many");
      expect(seen).toMatchObject({ code: 0, screen: "diff --git a/many/1 b/many/1" });
      await terminal.close();
      expect((await instance.hjk("diff")).stdout.match(/^diff --git/gm)).toHaveLength(10_000);
      const review = JSON.parse((await instance.hjk("review", "--json")).stdout) as ReviewJson;
      expect(review.files).toHaveLength(10_000);
      expect((await instance.hjk("review", "--summary")).stdout).toContain("  and 9900 more\n");
      await instance.remove();
    },
    2 * minute,
  );
});
