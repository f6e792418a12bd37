/** What a container may do, the first by default: `sudo` lets its user become root inside. */
export const profileNames = ["strict", "sudo"] as const;
export type Profile = (typeof profileNames)[number];
export const defaultProfile: Profile = profileNames[0];

/** What instances may reach through their gateways; the first by default. */
export const networkModes = ["allowlist", "open", "none"] as const;
export type NetworkMode = (typeof networkModes)[number];
/** How strong the wall around a container is, each stronger than the one before; the first by default. */
export const isolationNames = ["container", "gvisor", "vm"] as const;
export type Isolation = (typeof isolationNames)[number];
export const defaultIsolation: Isolation = isolationNames[0];

/** Whether one isolation is weaker than another. */
export const isWeaker = (one: Isolation, other: Isolation): boolean =>
  isolationNames.indexOf(one) < isolationNames.indexOf(other);

/** How a container is to be held in; what is absent is decided for the machine. */
export interface HardeningSettings {
  profile?: Profile;
  isolation?: Isolation;
  /** Bytes. */
  memory?: number;
  cpus?: number;
  /** Bytes that it may write beside its workspace and its agents' homes. */
  disk?: number;
  /** Processes and threads. */
  pids?: number;
}

/** Of one instance. Without a profile its container was made before there were any. */
export interface Hardening extends HardeningSettings {
  /** What was said on the command line for it, which outlasts a change of the configuration. */
  given: HardeningSettings;
  /** What its repository says of the network, as far as that counts. */
  network?: RepositoryNetwork;
}

/** What a repository says of the network, beside the settings of the user. */
export interface RepositoryNetwork {
  mode?: NetworkMode;
  /** Hosts. */
  allow: string[];
  /** The user's own mode when they approved it: it widens no narrower one that they choose later. */
  approvedUnder: NetworkMode;
}

/** Smallest and largest values that make sense. */
const ranges = {
  memory: [64 * 1024 ** 2, 1024 ** 5],
  disk: [64 * 1024 ** 2, 1024 ** 5],
  cpus: [0.1, 4096],
  pids: [32, 4_194_304],
} as const;

/** What a limit accepts, for messages. */
export const limitExamples = {
  memory: "a size from 64m, such as 512m or 8g",
  disk: "a size from 64m, such as 20g",
  cpus: "a number from 0.1, such as 2 or 1.5",
  pids: "a whole number from 32, such as 2048",
} as const;

/** Value of a limit as people write it; undefined where it is none. */
export function parseLimit(limit: keyof typeof ranges, text: string): number | undefined {
  const size = /^(\d{1,9}(?:\.\d{1,3})?)([mgt])(?:i?b)?$/i;
  const pattern = {
    memory: size,
    disk: size,
    cpus: /^(\d{1,4}(?:\.\d{1,3})?)$/,
    pids: /^(\d{1,7})$/,
  }[limit];
  const [, number = "", unit = ""] = pattern.exec(text) ?? [];
  const value = Number(number) * ({ m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }[unit.toLowerCase()] ?? 1);
  const [least, most] = ranges[limit];
  return number !== "" && value >= least && value <= most ? Math.round(value * 1000) / 1000 : undefined;
}

/** What holds for an instance: the command line before the configuration. */
export function decideHardening(settings: HardeningSettings, given: HardeningSettings): Hardening {
  return { profile: defaultProfile, ...settings, ...given, given };
}

const reach: Record<NetworkMode, number> = { none: 0, allowlist: 1, open: 2 };

/** Whether one mode lets more through than another. */
export function isWider(one: NetworkMode, other: NetworkMode): boolean {
  return reach[one] > reach[other];
}

/** The mode that counts for an instance, and the hosts that its repository adds. */
export function decideNetwork(
  own: NetworkMode,
  repository: RepositoryNetwork | undefined,
): { mode: NetworkMode; allow: string[] } {
  const { mode = own, allow, approvedUnder } = repository ?? { allow: [], approvedUnder: own };
  if (!isWider(approvedUnder, own)) return { mode, allow };
  return { mode: isWider(mode, own) ? own : mode, allow: [] };
}
