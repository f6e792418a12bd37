import type { RepositoryConfig } from "../config/repository.ts";
import {
  ensureDevcontainerImage,
  ensureRepositoryImage,
  type DevcontainerImage,
  type RepositoryImage,
} from "../core/built-image.ts";
import { ensureSetupImage, isBaseImage } from "../core/image.ts";
import { ensureToolsImage } from "../core/tools-image.ts";
import { fileAt, type Repository } from "../drivers/git/repository.ts";
import type { LayerSettings } from "../drivers/tools-image.ts";
import { HeadjackError } from "../errors.ts";
import {
  decideHardening,
  defaultIsolation,
  type Hardening,
  type HardeningSettings,
  type Isolation,
  isWeaker,
  isWider,
  type NetworkMode,
  type RepositoryNetwork,
} from "../hardening.ts";
import type { Context } from "./context.ts";
import { ensureBelow, ensureNamed, ensureOwnBase, imageAgents, type ImageChoice } from "./image.ts";
import { buildProgress } from "./progress.ts";
import {
  describeDevcontainer,
  describeRepositoryImage,
  maxFileBytes,
  readDevcontainerImage,
  readRepositoryImage,
} from "./repository-image.ts";

/** In a repository, at its top. */
const fileName = ".headjack.yaml";

/** What a repository asks for at a commit that only the user can let it do, and what it does unasked. */
export interface Asks {
  setup: string[];
  /** Its own Dockerfile. */
  image?: RepositoryImage;
  /** Its devcontainer.json, which goes before. */
  devcontainer?: DevcontainerImage;
  /** The profile, where it is wider than the user's own. */
  profile?: "sudo";
  /** The profile, where it is narrower. */
  narrower?: "strict";
  /** The network's mode, where it is wider than the user's own. */
  mode?: { wanted: NetworkMode; own: NetworkMode };
  /** Hosts that the user's own settings do not let through. */
  hosts: string[];
  /** All that it says of the network, and what of that counts without an approval. */
  network?: { approved: RepositoryNetwork; unasked: RepositoryNetwork };
  /** The isolation, where it is weaker than the user's own. */
  isolation?: Isolation;
  /** The isolation, where it is stronger. */
  stronger?: Isolation;
}

/** Reads what a repository asks for at a commit; never from a workspace, where an agent writes. */
export async function readAsks(
  context: Context,
  repository: Repository,
  commit: string,
  own: HardeningSettings,
  wanted: { image: boolean; devcontainer: boolean } = { image: true, devcontainer: true },
): Promise<Asks> {
  const [found, image, devcontainer] = await Promise.all([
    repositoryConfig(context, repository, commit),
    wanted.image ? readRepositoryImage(context, repository, commit) : undefined,
    wanted.devcontainer ? readDevcontainerImage(context, repository, commit) : undefined,
  ]);
  const images = {
    ...(image === undefined ? {} : { image }),
    ...(devcontainer === undefined ? {} : { devcontainer }),
  };
  if (found === undefined) return { setup: [], hosts: [], ...images };
  const profile = own.profile ?? "strict";
  const isolation = own.isolation ?? defaultIsolation;
  return {
    setup: found.setup,
    ...images,
    ...(found.profile === "sudo" && profile === "strict" ? { profile: found.profile } : {}),
    ...(found.profile === "strict" && profile !== "strict" ? { narrower: found.profile } : {}),
    ...(found.isolation !== undefined && isWeaker(found.isolation, isolation)
      ? { isolation: found.isolation }
      : {}),
    ...(found.isolation !== undefined && isWeaker(isolation, found.isolation)
      ? { stronger: found.isolation }
      : {}),
    ...networkAsks(found.network, (await context.config()).network),
  };
}

/** Splits what a repository says of the network into what widens the user's own settings, and what does not. */
function networkAsks(
  { mode: wanted, allow }: RepositoryConfig["network"],
  own: { mode: NetworkMode; allow: readonly string[] },
): Pick<Asks, "mode" | "hosts" | "network"> {
  if (wanted === undefined && allow.length === 0) return { hosts: [] };
  const mode = wanted ?? own.mode;
  const wider = isWider(mode, own.mode);
  // The other modes do not look at hosts, and a list of them is less than `open`.
  const isLess = own.mode === "open";
  const hosts = mode !== "allowlist" || isLess ? [] : allow.filter((host) => !own.allow.includes(host));
  const kept = wanted === undefined ? {} : { mode: wanted };
  return {
    ...(wider ? { mode: { wanted: mode, own: own.mode } } : {}),
    hosts,
    network: {
      approved: { ...kept, allow: isLess ? allow : hosts, approvedUnder: own.mode },
      unasked: { ...(wider ? {} : kept), allow: isLess ? allow : [], approvedUnder: own.mode },
    },
  };
}

async function repositoryConfig(
  context: Context,
  repository: Repository,
  commit: string,
): Promise<RepositoryConfig | undefined> {
  const text = await fileAt(context.git, repository, commit, fileName, maxFileBytes);
  if (text === undefined) return undefined;
  // Loaded only where there is a file: start-up time counts.
  const { parseRepositoryConfig } = await import("../config/repository.ts");
  return parseRepositoryConfig(text, `${fileName} at ${commit.slice(0, 12)}`);
}

function asksAnything({ setup, profile, isolation, image, devcontainer, mode, hosts }: Asks): boolean {
  return (
    setup.length + hosts.length > 0 ||
    [profile, isolation, image, devcontainer, mode].some((asked) => asked !== undefined)
  );
}

/** What an approval is for: each other content needs another. */
function hashOf({ setup, profile, isolation, image, devcontainer, mode, hosts }: Asks): string {
  const files = devcontainer ?? image;
  const asked = [
    setup,
    profile ?? null,
    ...(isolation === undefined ? [] : [isolation]),
    ...(files === undefined ? [] : [files.file, files.content]),
    ...(mode === undefined && hosts.length === 0 ? [] : [{ mode: mode ?? null, hosts }]),
  ];
  return new Bun.CryptoHasher("sha256").update(JSON.stringify(asked)).digest("hex");
}

/** Whether the user has let the repository do all that it asks for. */
export function isApproved(context: Context, repository: Repository, asks: Asks): boolean {
  return !asksAnything(asks) || context.deps().store.isApproved(repository.id, hashOf(asks));
}

export function approve(context: Context, repository: Repository, asks: Asks): void {
  const { store } = context.deps();
  store.saveRepo({ id: repository.id, gitDir: repository.gitDir, name: repository.name });
  const { image, setup, ...rest } = asks;
  delete rest.devcontainer;
  const others = { ...rest, setup };
  // Whoever lets it do all of it lets it do a part, as where the user names an image.
  const parts = [asks, others, ...(image === undefined ? [] : [{ ...others, image }])];
  for (const part of parts) store.approve(repository.id, hashOf(part), Date.now());
}

const modeMeans: Record<NetworkMode, string> = {
  none: "the models of its agents alone",
  allowlist: "package registries and the hosts that are allowed",
  open: "every public host",
};

/** Lines for people. What the repository wrote may have several lines, and none of these looks like one of ours. */
export function describeAsks(asks: Asks): string[] {
  return [
    ...(asks.profile === undefined
      ? []
      : [`the profile ${asks.profile}: its agents may become root in their container`]),
    ...(asks.isolation === undefined
      ? []
      : [`the isolation ${asks.isolation}: a weaker wall around its containers than yours`]),
    ...(asks.mode === undefined
      ? []
      : [`network.mode ${asks.mode.wanted}: ${modeMeans[asks.mode.wanted]} (yours is ${asks.mode.own})`]),
    ...(asks.hosts.length === 0 ? [] : [`to reach these hosts: ${asks.hosts.join(", ")}`]),
    ...(asks.devcontainer === undefined ? [] : describeDevcontainer(asks.devcontainer)),
    ...(asks.image === undefined ? [] : describeRepositoryImage(asks.image)),
    ...(asks.setup.length === 0 ? [] : ["to run as root, with the network, when the image is made:"]),
    ...asks.setup.flatMap((line) =>
      line.split("\n").map((part, index) => `  ${index === 0 ? "$" : "|"} ${part}`),
    ),
  ];
}

/**
 * The image and the hardening of a new container: the user's, with what the repository asks for at the
 * commit. That is done only once the user has approved it; who is not at a terminal cannot be asked.
 */
export async function containerFor(
  context: Context,
  repository: Repository,
  commit: string,
  { choice, given, setup }: { choice: ImageChoice; given: HardeningSettings; setup: boolean },
): Promise<{ image: string; hardening: Hardening }> {
  const own = decideHardening((await context.config()).hardening, given);
  const usual = choice.kind === "usual" && setup;
  const wanted = { image: usual, devcontainer: usual && choice.devcontainer };
  const asks: Asks =
    commit === "" ? { setup: [], hosts: [] } : await readAsks(context, repository, commit, own, wanted);
  // What the user said on the command line is neither widened nor narrowed.
  if (given.profile !== undefined) {
    delete asks.profile;
    delete asks.narrower;
  }
  if (given.isolation !== undefined) {
    delete asks.isolation;
    delete asks.stronger;
  }
  if (asks.devcontainer !== undefined) delete asks.image;
  const narrowed: Hardening = {
    ...own,
    ...(asks.narrower === undefined ? {} : { profile: asks.narrower }),
    ...(asks.stronger === undefined ? {} : { isolation: asks.stronger }),
    ...(asks.network === undefined ? {} : { network: asks.network.unasked }),
  };
  const granted: Asks = setup ? asks : { setup: [], hosts: [] };
  if (asksAnything(granted) && !isApproved(context, repository, granted))
    await askFor(context, repository, commit, granted);
  const image = await imageFor(context, repository, commit, choice, granted);
  return {
    image:
      granted.setup.length === 0
        ? image
        : await ensureSetupImage(context.deps(), image, granted.setup, buildProgress(context)),
    hardening: {
      ...narrowed,
      ...(granted.profile === undefined ? {} : { profile: granted.profile }),
      ...(granted.isolation === undefined ? {} : { isolation: granted.isolation }),
      ...(granted.network === undefined ? {} : { network: granted.network.approved }),
    },
  };
}

/** The image below a repository's setup, with all that agents need. */
async function imageFor(
  context: Context,
  repository: Repository,
  commit: string,
  choice: ImageChoice,
  { image, devcontainer }: Asks,
): Promise<string> {
  const deps = context.deps();
  const config = await context.config();
  const progress = buildProgress(context);
  const withTools = async (from: string, settings?: LayerSettings): Promise<string> =>
    isBaseImage(from)
      ? from
      : await ensureToolsImage(deps, from, {
          ...progress,
          agents: imageAgents(config),
          ...(settings === undefined ? {} : { settings }),
        });
  if (choice.kind === "named") return await withTools(await ensureNamed(context, choice.image));
  if (choice.kind === "base") return await ensureOwnBase(context);
  if (devcontainer !== undefined) {
    if (devcontainer.leftOut.length > 0) {
      context.io.stepDone();
      context.io.note(`Left out of ${devcontainer.file}: ${devcontainer.leftOut.join("; ")}.`);
    }
    const made = await ensureDevcontainerImage(deps, repository, commit, devcontainer, progress);
    const { hooks, environment, user } = made.settings;
    return await withTools(made.image, { replaces: user, environment, hooks: JSON.stringify(hooks) });
  }
  if (image !== undefined) {
    await ensureBelow(context, image.text);
    return await withTools(await ensureRepositoryImage(deps, repository, commit, image, progress));
  }
  const { baseImage } = config.default;
  return baseImage === undefined
    ? await ensureOwnBase(context)
    : await withTools(await ensureNamed(context, baseImage));
}

async function askFor(context: Context, repository: Repository, commit: string, asks: Asks): Promise<void> {
  const { io } = context;
  io.stepDone();
  io.note(`${repository.name} asks for this at ${commit.slice(0, 12)}:`);
  for (const line of describeAsks(asks)) io.note(`  ${line}`);
  const asked = io.stdinIsTerminal && io.stderrIsTerminal;
  if (asked && (await io.confirm("Let it?"))) return approve(context, repository, asks);
  throw new HeadjackError("Nothing was made: you have not approved what the repository asks for.", {
    kind: "usage",
    hints: [
      `Approve it, once for this content: hjk setup --approve --from ${commit.slice(0, 12)}`,
      `Or go on without it: --no-setup${asks.devcontainer === undefined ? "" : ", or --no-devcontainer"}`,
    ],
  });
}
