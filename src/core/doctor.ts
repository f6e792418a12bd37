import { baseImage, type ImageAgents } from "../drivers/base-image.ts";
import { labels } from "../drivers/engine/engine.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import { containerUser } from "./container.ts";
import type { Deps } from "./deps.ts";
import { viewInstances } from "./status.ts";

/** One thing that was looked at. */
export interface Finding {
  what: string;
  state: "ok" | "warning" | "problem";
  detail: string;
  /** What to do about it. */
  hint?: string;
}

/** Oldest versions whose features are used: `rev-parse --path-format` and `remain-on-exit-format`. */
const oldest = { git: [2, 31], tmux: [3, 2] } as const;

/** Looks at everything Headjack needs and has made, and changes nothing. */
export async function diagnose(deps: Deps, agents: ImageAgents): Promise<Finding[]> {
  const findings = [
    await check("git", async () => {
      const text = (await deps.git.run(["--version"], { cwd: "/" })).trim();
      return versionFinding("git", text.replace("git version ", ""), oldest.git);
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
    return { what: "engine", state: "ok", detail: `${opened.name} ${await opened.version()}` };
  });
  findings.push(engine);
  if (engine.state !== "ok") return findings;
  findings.push(await check("base image", () => baseImageFinding(deps, agents)));
  findings.push(...(await instanceFindings(deps)), ...(await strayContainers(deps)));
  return findings;
}

async function check(what: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    const hint = error instanceof HeadjackError ? error.hints[0] : undefined;
    return { what, state: "problem", detail: messageOf(error), ...(hint === undefined ? {} : { hint }) };
  }
}

function versionFinding(what: string, text: string, wanted: readonly [number, number]): Finding {
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(text)?.slice(1) ?? []).map(Number);
  const enough = major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
  if (enough) return { what, state: "ok", detail: text };
  return {
    what,
    state: "problem",
    detail: `${text} is too old`,
    hint: `Install ${wanted.join(".")} or newer.`,
  };
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

async function instanceFindings(deps: Deps): Promise<Finding[]> {
  const views = await viewInstances(deps);
  return views.map(({ record, status }) => {
    const what = `instance ${record.id} (${record.branch})`;
    if (status === "missing") {
      return {
        what,
        state: "problem",
        detail: "its container or its workspace has been removed",
        hint: `Bring it back: hjk recreate ${record.branch}. Give it up: hjk rm ${record.branch}`,
      };
    }
    if (record.notice !== "") return { what, state: "warning", detail: record.notice };
    return { what, state: "ok", detail: status };
  });
}

/** Containers with our labels that no record knows: the store was lost, or they were restored from somewhere. */
async function strayContainers(deps: Deps): Promise<Finding[]> {
  const known = new Set(deps.store.instances().map((instance) => instance.container));
  const engine = await deps.engine();
  const ours = await engine.list(`${labels.store}=${deps.store.id()}`);
  return ours
    .filter((container) => !known.has(container.name))
    .map((container) => ({
      what: `container ${container.name}`,
      state: "warning",
      detail: `of ${container.labels[labels.branch] ?? "?"}, but no record knows it`,
      hint: `Remove it when you do not need it: docker rm -f ${container.name}`,
    }));
}
