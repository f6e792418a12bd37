import type { Isolation, NetworkMode, Profile } from "../hardening.ts";
import { isolationNames, networkModes, profileNames } from "../hardening.ts";
import { parseConfig, readValues } from "./document.ts";
import { parseHosts } from "./keys.ts";

/** What a repository asks for. Whoever wrote it may be hostile. */
export interface RepositoryConfig {
  /** Lines of shell that are run as root when the image is made. */
  setup: string[];
  profile?: Profile;
  /** What its instances may reach. */
  network: { mode?: NetworkMode; allow: string[] };
  isolation?: Isolation;
}

/** Reads the text of the file; `where` names it in errors. */
export function parseRepositoryConfig(text: string, where: string): RepositoryConfig {
  const parsed = parseConfig(text, where);
  const values = readValues(parsed, { agentNames: [], home: "/", ofRepository: true });
  const setup = values.get("setup")?.value ?? [];
  const profile = profileNames.find((name) => name === values.get("security.profile")?.value);
  const isolation = isolationNames.find((name) => name === values.get("isolation")?.value);
  const mode = networkModes.find((name) => name === values.get("network.mode")?.value);
  // Read once more: what `readValues` has checked is as it was written.
  const hosts = parseHosts(values.get("network.allow")?.value ?? []);
  return {
    setup: typeof setup === "string" ? [setup].filter((line) => line.trim() !== "") : setup,
    ...(profile === undefined ? {} : { profile }),
    ...(isolation === undefined ? {} : { isolation }),
    network: {
      ...(mode === undefined ? {} : { mode }),
      allow: "value" in hosts && Array.isArray(hosts.value) ? hosts.value : [],
    },
  };
}
