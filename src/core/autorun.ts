/** Files that something on the user's machine runs or obeys without being asked again. */
interface AutorunRule {
  files: RegExp;
  reason: string;
}

const hooks = "runs at your next commit or push, by git hooks";
const install = "runs or decides what runs when packages are installed or scripts started";
const build = "runs when you build";
const tests = "runs when you run the tests";
const tools = "your editor and tools load it as a program";
const ci = "runs in CI, with its secrets";
const editor = "your editor may run it when the folder is opened";
const shell = "your shell may run it when you enter the folder";
const container = "runs when its container or machine is built or started";
const agent = "tells coding agents on your machine what to do, or lets them run programs";

/** What each is listed for; the first rule that matches counts. Names match in any case, as on macOS. */
const rules: readonly AutorunRule[] = [
  {
    files: /(^|\/)\.gitattributes$/i,
    reason: "can make your git run filters and merge drivers that you have",
  },
  { files: /(^|\/)\.gitmodules$/i, reason: "names repositories that your git would fetch" },
  { files: /(^|\/)\.lfsconfig$/i, reason: "names the server that your git would fetch large files from" },
  { files: /(^|\/)(\.husky|\.?git-?hooks|\.hooks)\//i, reason: hooks },
  {
    files:
      /(^|\/)(\.?lefthook(-local)?\.(ya?ml|toml|json)|\.pre-commit-(config|hooks)\.ya?ml|\.overcommit\.yml|\.(lintstaged|commitlint|huskyrc|czrc)[^/]*|(lint-staged|commitlint)\.config\.\w+)$/i,
    reason: hooks,
  },
  {
    files:
      /^\.(github\/(workflows|actions)|circleci|buildkite|gitea\/workflows|forgejo\/workflows|woodpecker|teamcity)\//i,
    reason: ci,
  },
  {
    files:
      /(^|\/)(action\.ya?ml|\.gitlab-ci\.ya?ml|\.travis\.ya?ml|\.?appveyor\.ya?ml|(azure|bitbucket)-pipelines\.ya?ml|\.(drone|woodpecker|cirrus)\.ya?ml|jenkinsfile)$/i,
    reason: ci,
  },
  {
    files:
      /(^|\/)\.(claude|codex|gemini|opencode|cursor|windsurf|clinerules|roo|continue|copilot|agents|kiro|junie|amp|aider|qwen)\//i,
    reason: agent,
  },
  { files: /^\.github\/(copilot|agents|prompts|instructions|hooks|skills|chatmodes)\b/i, reason: agent },
  {
    files:
      /(^|\/)(agents(\.override|\.local)?|claude(\.local)?|gemini|qwen|skill)\.md$|(^|\/)(\.?mcp\.json|opencode\.jsonc?|\.(cursor|windsurf|cline|roo)rules|\.aider[^/]*|\.rules)$/i,
    reason: agent,
  },
  { files: /(^|\/)\.(vscode|idea|vs|zed|fleet|helix|nvim)\//i, reason: editor },
  {
    files:
      /(^|\/)(\.exrc|\.n?vimrc|\.nvim\.lua|\.lvimrc|\.dir-locals(-2)?\.el|[^/]+\.(code-workspace|sublime-project))$/i,
    reason: editor,
  },
  {
    files:
      /(^|\/)(\.envrc|\.env(\.[^/]+)?|\.autoenv(\.zsh)?|\.?mise(\.[^/]+)?\.toml|\.tool-versions|flake\.nix|shell\.nix|default\.nix|devenv\.(nix|yaml)|devbox\.json|\.(bash|zsh)rc|\.(bash_)?profile)$/i,
    reason: shell,
  },
  { files: /(^|\/)\.mise\//i, reason: shell },
  {
    files:
      /(^|\/)(\.devcontainer(\.json$|\/)|(docker|container)file(\.[\w-]+)?$|[^/]+\.dockerfile$|(docker-)?compose[^/]*\.ya?ml$|\.headjack\.ya?ml$|vagrantfile$|tiltfile$|\.gitpod\.ya?ml$|\.replit$|procfile[^/]*$)/i,
    reason: container,
  },
  {
    files:
      /(^|\/)(package\.json|\.npmrc|\.yarnrc(\.yml)?|\.pnpmfile\.c?js|pnpm-workspace\.yaml|bunfig\.toml|binding\.gyp|composer\.json|gemfile|[^/]+\.gemspec|deno\.jsonc?)$|(^|\/)\.yarn\//i,
    reason: install,
  },
  {
    files:
      /(^|\/)(setup\.(py|cfg)|pyproject\.toml|hatch_build\.py|(site|user)customize\.py|[^/]+\.pth|pip\.conf|uv\.toml)$/i,
    reason: install,
  },
  {
    files:
      /(^|\/)(conftest\.py|pytest\.ini|tox\.ini|noxfile\.py|(jest|vitest|playwright|cypress)[.-]?(setup|config)[^/]*)$/i,
    reason: tests,
  },
  {
    files:
      /(^|\/)(build\.rs|\.cargo\/config(\.toml)?|rust-toolchain(\.toml)?|build\.zig|build\.sbt|build\.xml|build\.mill|pom\.xml|mvnw(\.cmd)?|gradlew(\.bat)?|[^/]+\.gradle(\.kts)?|gradle\.properties|mix\.exs|rebar\.config|package\.swift|directory\.build\.(props|targets)|[^/]+\.csproj)$|(^|\/)(\.mvn|gradle\/wrapper|buildsrc)\/|(^|\/)project\/[^/]+\.(sbt|scala|properties)$/i,
    reason: build,
  },
  {
    files:
      /(^|\/)((gnu)?makefile(\.[\w-]+)?|[^/]+\.(mk|cmake)|cmakelists\.txt|configure(\.ac)?|meson\.build|wscript|sconstruct|build(\.bazel)?|workspace(\.bazel)?|module\.bazel|\.bazelrc|earthfile|\.?justfile|[^/]+\.just|taskfile\.ya?ml|rakefile|[^/]+\.rake|dodo\.py|tasks\.py|fabfile\.py|dagger\.json)$/i,
    reason: build,
  },
  {
    files:
      /(^|\/)([^/]+\.config\.[cm]?[jt]sx?|\.(eslint|prettier|babel|stylelint|mocha|swc|release-it|semantic-release)rc(\.[cm]?js)?|(gulp|grunt)file\.\w+|\.(irb|pry|gdb|lldb)(rc|init))$/i,
    reason: tools,
  },
];

/** Why a file of this name would run by itself on the user's machine; undefined when it would not. */
export function autorunReason(path: string): string | undefined {
  return rules.find((rule) => rule.files.test(path))?.reason;
}
