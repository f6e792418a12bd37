import versions from "../../images/base/versions.json";

const { node: _node, npm: _npm, ...agents } = versions;

/** The version of each agent that the base image can hold, unless the user has chosen another. */
export const agentVersions: Readonly<Record<string, string>> = agents;

const { claude, codex, gemini } = versions;

/** What the base image holds unless the user has chosen other agents. */
export const defaultImage: Readonly<Record<string, string>> = { claude, codex, gemini };

export const defaultImageAgents: readonly string[] = Object.keys(defaultImage);
