import type { RepositoryConfig } from "../config/repository.ts";
import { ensureSetupImage } from "../core/image.ts";
import { fileAt, type Repository } from "../drivers/git/repository.ts";
import { HeadjackError } from "../errors.ts";
import {
  decideHardening,
  type Hardening,
  type HardeningSettings,
  isWider,
  type NetworkMode,
  type RepositoryNetwork,
} from "../hardening.ts";
import type { Context } from "./context.ts";
import { buildProgress } from "./progress.ts";

/** In a repository, at its top. */
const fileName = ".headjack.yaml";

/** Bytes; whoever has more to say puts it into a script of the repository's, or an image. */
const maxFileBytes = 64 * 1024;

/** What a repository asks for at a commit that only the user can let it do, and what it does unasked. */
export interface Asks {
  setup: string[];
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
}

/** Reads what a repository asks for at a commit; never from a workspace, where an agent writes. */
export async function readAsks(
  context: Context,
  repository: Repository,
  commit: string,
  own: HardeningSettings,
): Promise<Asks> {
  const found = await repositoryConfig(context, repository, commit);
  if (found === undefined) return { setup: [], hosts: [] };
  const profile = own.profile ?? "strict";
  return {
    setup: found.setup,
    ...(found.profile === "sudo" && profile === "strict" ? { profile: found.profile } : {}),
    ...(found.profile === "strict" && profile !== "strict" ? { narrower: found.profile } : {}),
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

function asksAnything({ setup, profile, mode, hosts }: Asks): boolean {
  return setup.length + hosts.length > 0 || profile !== undefined || mode !== undefined;
}

/** What an approval is for: each other content needs another. */
function hashOf({ setup, profile, mode, hosts }: Asks): string {
  const network = mode === undefined && hosts.length === 0 ? [] : [mode ?? null, hosts];
  const content = JSON.stringify([setup, profile ?? null, ...network]);
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

/** Whether the user has let the repository do all that it asks for. */
export function isApproved(context: Context, repository: Repository, asks: Asks): boolean {
  return !asksAnything(asks) || context.deps().store.isApproved(repository.id, hashOf(asks));
}

export function approve(context: Context, repository: Repository, asks: Asks): void {
  const { store } = context.deps();
  store.saveRepo({ id: repository.id, gitDir: repository.gitDir, name: repository.name });
  store.approve(repository.id, hashOf(asks), Date.now());
}

const modeMeans: Record<NetworkMode, string> = {
  none: "the models of its agents alone",
  allowlist: "package registries and the hosts that are allowed",
  open: "every public host",
};

/** Lines for people. A line of shell may have several of its own, and none of these looks like one of ours. */
export function describeAsks(asks: Asks): string[] {
  return [
    ...(asks.profile === undefined
      ? []
      : [`the profile ${asks.profile}: its agents may become root in their container`]),
    ...(asks.mode === undefined
      ? []
      : [`network.mode ${asks.mode.wanted}: ${modeMeans[asks.mode.wanted]} (yours is ${asks.mode.own})`]),
    ...(asks.hosts.length === 0 ? [] : [`to reach these hosts: ${asks.hosts.join(", ")}`]),
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
  { image, given, setup }: { image: string; given: HardeningSettings; setup: boolean },
): Promise<{ image: string; hardening: Hardening }> {
  const own = decideHardening((await context.config()).hardening, given);
  const asks = commit === "" ? { setup: [], hosts: [] } : await readAsks(context, repository, commit, own);
  // What the user said on the command line is neither widened nor narrowed.
  if (given.profile !== undefined) {
    delete asks.profile;
    delete asks.narrower;
  }
  const narrowed: Hardening = {
    ...own,
    ...(asks.narrower === undefined ? {} : { profile: asks.narrower }),
    ...(asks.network === undefined ? {} : { network: asks.network.unasked }),
  };
  if (!setup || !asksAnything(asks)) return { image, hardening: narrowed };
  if (!isApproved(context, repository, asks)) await askFor(context, repository, commit, asks);
  return {
    image:
      asks.setup.length === 0
        ? image
        : await ensureSetupImage(context.deps(), image, asks.setup, buildProgress(context)),
    hardening: {
      ...narrowed,
      ...(asks.profile === undefined ? {} : { profile: asks.profile }),
      ...(asks.network === undefined ? {} : { network: asks.network.approved }),
    },
  };
}

async function askFor(context: Context, repository: Repository, commit: string, asks: Asks): Promise<void> {
  const { io } = context;
  io.stepDone();
  io.note(`${repository.name} asks for this in ${fileName} at ${commit.slice(0, 12)}:`);
  for (const line of describeAsks(asks)) io.note(`  ${line}`);
  const asked = io.stdinIsTerminal && io.stderrIsTerminal;
  if (asked && (await io.confirm("Let it?"))) return approve(context, repository, asks);
  throw new HeadjackError("Nothing was made: you have not approved what the repository asks for.", {
    kind: "usage",
    hints: [
      `Approve it, once for this content: hjk setup --approve --from ${commit.slice(0, 12)}`,
      "Or go on without it: --no-setup",
    ],
  });
}
