/**
 * Paths of the context that a Dockerfile copies from, as far as it names them; undefined where that could be any. What it
 * copies beside is not in its context then, so that nothing hangs on whether the builder reads it as we do.
 */
export function copiedPaths(text: string): string[] | undefined {
  if (/^#\s*escape\s*=/im.test(text) || /^\s*RUN\s.*--mount=\S*bind/im.test(text)) return undefined;
  const paths: string[] = [];
  for (const line of text.replaceAll(/\\[ \t]*\r?\n/g, " ").split("\n")) {
    const [, rest] = /^\s*(?:ONBUILD\s+)?(?:COPY|ADD)\s+(.*?)\s*$/i.exec(line) ?? [];
    if (rest === undefined) continue;
    const [, flags = "", words = ""] = /^((?:--\S+\s+)*)(.*)$/.exec(rest) ?? [];
    if (/--from=/.test(flags)) continue;
    if (/^\[|["'\\$*?<[\]]/.test(words)) return undefined;
    for (const source of words.split(/\s+/).slice(0, -1)) {
      if (/^(?:https?:|git@|ssh:|git:)/.test(source)) continue;
      const parts = source.split("/").filter((part) => part !== "" && part !== ".");
      if (parts.length === 0 || parts.includes("..")) return undefined;
      paths.push(parts.join("/"));
    }
  }
  return [...new Set(paths)];
}

/** Whether it builds on Headjack's own base image, which is made first then. */
export const isOnBaseImage = (text: string): boolean =>
  /^\s*FROM\s+(?:--\S+\s+)*headjack-base(?:\s|$|:latest)/im.test(text);
