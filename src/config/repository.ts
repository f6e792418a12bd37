import type { Profile } from "../hardening.ts";
import { profileNames } from "../hardening.ts";
import { parseConfig, readValues } from "./document.ts";

/** What a repository asks for. Whoever wrote it may be hostile. */
export interface RepositoryConfig {
  /** Lines of shell that are run as root when the image is made. */
  setup: string[];
  profile?: Profile;
}

/** Reads the text of the file; `where` names it in errors. */
export function parseRepositoryConfig(text: string, where: string): RepositoryConfig {
  const parsed = parseConfig(text, where);
  const values = readValues(parsed, { agentNames: [], home: "/", ofRepository: true });
  const setup = values.get("setup")?.value ?? [];
  const profile = profileNames.find((name) => name === values.get("security.profile")?.value);
  return {
    setup: typeof setup === "string" ? [setup].filter((line) => line.trim() !== "") : setup,
    ...(profile === undefined ? {} : { profile }),
  };
}
