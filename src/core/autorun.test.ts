import { expect, test } from "bun:test";
import { autorunReason } from "./autorun.ts";

test.each([
  ".gitattributes",
  ".headjack.yaml",
  "deep/below/.gitattributes",
  ".gitmodules",
  ".lfsconfig",
  ".husky/pre-commit",
  ".githooks/post-checkout",
  "lefthook.yml",
  ".pre-commit-config.yaml",
  ".lintstagedrc.json",
  ".github/workflows/ci.yml",
  ".github/actions/setup/action.yml",
  ".gitlab-ci.yml",
  "Jenkinsfile",
  ".claude/settings.json",
  ".codex/config.toml",
  ".gemini/settings.json",
  ".cursor/mcp.json",
  ".mcp.json",
  "AGENTS.md",
  "docs/CLAUDE.md",
  "claude.md",
  "GEMINI.md",
  ".github/copilot-instructions.md",
  ".vscode/tasks.json",
  ".idea/workspace.xml",
  "app.code-workspace",
  ".exrc",
  ".envrc",
  ".env",
  "mise.toml",
  "flake.nix",
  ".devcontainer/devcontainer.json",
  ".devcontainer.json",
  "Dockerfile",
  "compose.override.yaml",
  "package.json",
  "packages/web/package.json",
  ".npmrc",
  ".yarn/plugins/x.cjs",
  "setup.py",
  "pyproject.toml",
  "sitecustomize.py",
  "tests/conftest.py",
  "build.rs",
  ".cargo/config.toml",
  "gradlew",
  "build.gradle.kts",
  "Makefile",
  "GNUmakefile",
  "rules.mk",
  "CMakeLists.txt",
  "justfile",
  "Taskfile.yml",
  "vite.config.ts",
  ".eslintrc.cjs",
  "Gemfile",
])("%s is listed", (path) => {
  expect(autorunReason(path)).toBeString();
});

test.each([
  "README.md",
  "src/package.ts",
  "src/build.ts",
  "src/makefile-parser.ts",
  "docs/agents-guide.md",
  "src/claude.ts",
  "vscode/tasks.json",
  "src/project/index.ts",
  "environment.ts",
  "src/action.ts",
  "huskyish/x",
  "src/configure-app.ts",
])("%s is not", (path) => {
  expect(autorunReason(path)).toBeUndefined();
});

test("a long hostile name costs no time", () => {
  for (const part of ["a/", ".", "-", "docker", ".config", "gradle/", "compose"]) {
    for (let times = 0; times < 100; times += 1) autorunReason(part.repeat(2000));
  }
});
