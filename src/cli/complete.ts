import type { Command } from "commander";

/** Something that the word at the cursor could become, and what it is. */
export interface Candidate {
  value: string;
  note: string;
}

/** Candidates for an argument or the value of an option, by the name it has in the help. */
export type ArgumentLists = Record<string, (before: string[]) => Candidate[] | Promise<Candidate[]>>;

/**
 * What the last of the words after `hjk` could become: a command, an option, its value, or an argument.
 * Nothing where only the user can know, as for a prompt.
 */
export async function candidatesFor(
  program: Command,
  words: readonly string[],
  lists: ArgumentLists,
): Promise<Candidate[]> {
  const last = words.at(-1) ?? "";
  const found = words.length <= 1 ? first(program, last) : await within(program, words, lists);
  return found.filter((candidate) => candidate.value.startsWith(last));
}

function first(program: Command, word: string): Candidate[] {
  if (word.startsWith("-")) return optionsOf(program);
  // The help leaves out what is hidden.
  return program
    .createHelp()
    .visibleCommands(program)
    .map((command) => ({ value: command.name(), note: command.summary() }));
}

async function within(
  program: Command,
  words: readonly string[],
  lists: ArgumentLists,
): Promise<Candidate[]> {
  const [name = "", ...rest] = words;
  const command = program.commands.find((one) => one.name() === name || one.aliases().includes(name));
  if (command === undefined) return [];
  const last = rest.pop() ?? "";
  const before: string[] = [];
  let valueOf: Command["options"][number] | undefined;
  for (const word of rest) {
    if (word === "--") return [];
    const option = command.options.find((one) => one.long === word || one.short === word);
    if (option !== undefined) valueOf = option.required || option.optional ? option : undefined;
    else if (valueOf !== undefined) valueOf = undefined;
    else if (!word.startsWith("-")) before.push(word);
  }
  if (valueOf !== undefined && !last.startsWith("-")) {
    const list = lists[valueOf.attributeName()];
    if (valueOf.required || list !== undefined) return (await list?.(before)) ?? [];
  }
  if (last.startsWith("-")) return optionsOf(command);
  const known = command.registeredArguments;
  const argument = known[before.length] ?? (known.at(-1)?.variadic === true ? known.at(-1) : undefined);
  const list = argument === undefined ? undefined : lists[argument.name()];
  return ((await list?.(before)) ?? []).filter((candidate) => !before.includes(candidate.value));
}

function optionsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map((option) => ({ value: option.long ?? option.short ?? "", note: option.description }));
}

/**
 * Scripts that let a shell ask `hjk complete`. Written for the oldest versions in use (bash 3.2 of
 * macOS), and for a shell without any completion set up.
 */
export const completionScripts = {
  // Not COMP_WORDS: bash also cuts at = : and @, which a branch may hold.
  bash: `_hjk() {
  local typed=\${COMP_LINE:0:COMP_POINT} words last before line
  read -ra words <<< "$typed"
  case $typed in *[[:space:]]) words+=("") ;; esac
  last=\${words[\${#words[@]} - 1]}
  before=\${last%"\${last##*["$COMP_WORDBREAKS"]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    COMPREPLY+=("\${line#"$before"}")
  done < <(hjk complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _hjk hjk
`,
  zsh: `#compdef hjk
(( $+functions[compdef] )) || { autoload -U compinit && compinit }
_hjk() {
  local value note
  local -a values lines
  while IFS=$'\\t' read -r value note; do
    values+=("$value")
    lines+=("$value\${note:+  ($note)}")
  done < <(hjk complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  compadd -l -d lines -a values
}
if [[ "\${funcstack[1]}" == _hjk ]]; then _hjk "$@"; else compdef _hjk hjk; fi
`,
  fish: `function __hjk_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l last (commandline --current-token --cut-at-cursor)
    test (count $last) -eq 0; and set last ''
    hjk complete -- $words[2..-1] $last 2>/dev/null
end
complete --command hjk --no-files --arguments '(__hjk_complete)'
`,
};
