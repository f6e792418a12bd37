import { baseImage, type ImageAgents } from "../drivers/base-image.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import { isolationNames } from "../hardening.ts";
import { containerUser } from "./container.ts";
import type { Deps } from "./deps.ts";
import type { Finding } from "./finding.ts";
import { findDamage, type RepairSettings } from "./repair.ts";

/** How often it is looked again for what mending has brought to light. */
const maxRounds = 3;

/** Oldest versions whose features are used: `rev-parse --path-format` and `remain-on-exit-format`. */
const oldest = { git: [2, 31], tmux: [3, 2] } as const;

/** The oldest git that merges without a worktree: `merge-tree --write-tree`. */
const oldestForForecasts = [2, 38] as const;

/** Looks at everything Headjack needs and has made, and changes nothing. */
export async function diagnose(
  deps: Deps,
  agents: ImageAgents,
  settings: RepairSettings,
): Promise<Finding[]> {
  const findings = [
    await check("git", async () => {
      const text = (await deps.git.run(["--version"], { cwd: "/" })).trim();
      return gitFinding(text.replace("git version ", ""));
    }),
    await check("tmux", async () => versionFinding("tmux", await deps.tmux.version(), oldest.tmux)),
    await check("store", async () => {
      const answer = await Promise.resolve(deps.store.integrity());
      return answer === "ok"
        ? { what: "store", state: "ok", detail: "sound" }
        : {
            what: "store",
            state: "problem",
            detail: answer,
            hint: "Copy it away, then ask for help with the copy.",
          };
    }),
  ];
  const engine = await check("engine", async () => {
    const opened = await deps.engine();
    return engineFinding(`${opened.name} ${await opened.version()}`, (await opened.capacity()).lacks);
  });
  findings.push(engine);
  if (engine.state === "problem") return findings;
  findings.push(await check("isolation", () => isolationFinding(deps)));
  findings.push(await check("base image", () => baseImageFinding(deps, agents)));
  findings.push(...(await findDamage(deps, settings)));
  return findings;
}

/** Mends what can be mended, and again what comes to light by that; says of each what was done, or why not. */
export async function mend(look: () => Promise<Finding[]>): Promise<Finding[]> {
  const told: Finding[] = [];
  let findings = await look();
  for (let round = 1; round <= maxRounds; round += 1) {
    const broken = findings.filter((one) => one.fix !== undefined && !told.some((old) => isSame(old, one)));
    if (broken.length === 0) break;
    for (const { fix, hint: _, ...finding } of broken) {
      try {
        told.push({ ...finding, state: "ok", fixed: (await fix?.()) ?? "" });
      } catch (error) {
        const hint = error instanceof HeadjackError ? error.hints[0] : undefined;
        const detail = `${finding.detail}; not mended: ${messageOf(error)}`;
        told.push({ ...finding, detail, ...(hint === undefined ? {} : { hint }) });
      }
    }
    findings = await look();
  }
  const left = findings.filter((one) => !told.some((old) => isSame(old, one)));
  return [...told, ...left];
}

const isSame = (a: Finding, b: Finding): boolean =>
  a.what === b.what && (a.detail === b.detail || a.detail.startsWith(`${b.detail}; `));

async function check(what: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    const hint = error instanceof HeadjackError ? error.hints[0] : undefined;
    return { what, state: "problem", detail: messageOf(error), ...(hint === undefined ? {} : { hint }) };
  }
}

function gitFinding(text: string): Finding {
  const finding = versionFinding("git", text, oldest.git);
  if (finding.state !== "ok" || isAtLeast(text, oldestForForecasts)) return finding;
  return {
    what: "git",
    state: "warning",
    detail: `${text} cannot merge on trial: \`hjk ps\` does not know which branches are in conflict, and \`hjk merge\` not which to take in first`,
    hint: `Install ${oldestForForecasts.join(".")} or newer.`,
  };
}

function versionFinding(what: string, text: string, wanted: readonly [number, number]): Finding {
  if (isAtLeast(text, wanted)) return { what, state: "ok", detail: text };
  return {
    what,
    state: "problem",
    detail: `${text} is too old`,
    hint: `Install ${wanted.join(".")} or newer.`,
  };
}

function isAtLeast(text: string, wanted: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(text)?.slice(1) ?? []).map(Number);
  return major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
}

function engineFinding(name: string, lacks: readonly string[]): Finding {
  if (lacks.length === 0) return { what: "engine", state: "ok", detail: name };
  return {
    what: "engine",
    state: lacks.includes("seccomp") ? "problem" : "warning",
    detail: `${name}, which lacks ${lacks.join(", ")}: containers are held in less than docs/security.md says`,
    hint: "`docker info` says why, in its last lines.",
  };
}

/** Which isolations there are runtimes for; whether one holds is proven when an instance starts. */
async function isolationFinding(deps: Deps): Promise<Finding> {
  const { runtimes } = await (await deps.engine()).capacity();
  const others = isolationNames.flatMap((name) => {
    if (name === "container") return [];
    const runtime = runtimes[name];
    return [runtime === undefined ? `no runtime for ${name}` : `${name} by ${runtime}`];
  });
  return { what: "isolation", state: "ok", detail: ["container", ...others].join(", ") };
}

async function baseImageFinding(deps: Deps, agents: ImageAgents): Promise<Finding> {
  const engine = await deps.engine();
  const image = await baseImage(deps.env, containerUser(deps), agents);
  if (await engine.imageExists(image.tag)) return { what: "base image", state: "ok", detail: image.tag };
  return {
    what: "base image",
    state: "warning",
    detail: `${image.tag} is not built yet; the first \`hjk run\` builds it`,
  };
}
