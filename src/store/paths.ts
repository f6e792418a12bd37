import { isAbsolute, join, normalize } from "node:path";
import { HeadjackError } from "../errors.ts";

/** Every place on the host that Headjack owns; all absolute. */
export interface Paths {
  /** The user's home, for `~/` in configuration values. */
  home: string;
  configFile: string;
  /** Key of `credentialsFile`; beside the configuration, so that a copy of the data alone opens nothing. */
  credentialsKey: string;
  dataDir: string;
  database: string;
  /** Default of `storage.worktrees`. */
  worktrees: string;
  /** Default of `storage.logs`. */
  logs: string;
  /** One folder an instance: private git directory, state, files for its container. */
  instances: string;
  /** One bare repository a user's repository, where commits land first. */
  hubs: string;
  /** What the sessions of removed instances leave, kept for `undo`. */
  removed: string;
  credentialsFile: string;
  /** Holds sockets; whoever makes it must make it 0700 and check its owner, since it may lie in /tmp. */
  runtimeDir: string;
  tmuxSocket: string;
}

type Variables = Record<string, string | undefined>;

/** Bytes; `sun_path` holds 104 on macOS and 108 on Linux, and tmux wants a little for itself. */
const maxSocketBytes = 100;

/**
 * Where everything lies, by the XDG base directory specification; `HEADJACK_HOME` puts configuration
 * and data into one folder. Looks at nothing on disk and makes nothing.
 */
export function resolvePaths(
  env: Variables,
  platform: NodeJS.Platform,
  uid: number | undefined,
  home: string,
): Paths {
  if (platform === "win32" || uid === undefined) {
    throw new HeadjackError("Headjack does not run on Windows itself.", {
      kind: "usage",
      hints: ["Run `hjk` inside WSL 2."],
    });
  }
  const { configDir, dataDir } = baseFolders(env, home);
  const runtimeDir = runtimeFolder(uid, dataDir);
  return {
    home,
    configFile: join(configDir, "config.yaml"),
    credentialsKey: join(configDir, "credentials.key"),
    dataDir,
    database: join(dataDir, "headjack.db"),
    worktrees: join(dataDir, "worktrees"),
    logs: join(dataDir, "logs"),
    instances: join(dataDir, "instances"),
    hubs: join(dataDir, "hubs"),
    removed: join(dataDir, "removed"),
    credentialsFile: join(dataDir, "credentials.enc"),
    runtimeDir,
    tmuxSocket: socketIn(runtimeDir),
  };
}

function baseFolders(env: Variables, home: string): { configDir: string; dataDir: string } {
  const own = env["HEADJACK_HOME"];
  if (own !== undefined && own !== "") {
    if (!isAbsolute(own)) {
      throw new HeadjackError("HEADJACK_HOME must be an absolute path.", {
        kind: "usage",
        hints: ['For a folder of the current directory, use HEADJACK_HOME="$PWD/folder".'],
      });
    }
    const folder = tidy(own);
    return { configDir: folder, dataDir: join(folder, "data") };
  }
  const folder = (variable: string, fallback: string): string => {
    const given = absolute(env[variable]);
    if (given !== undefined) return join(given, "headjack");
    if (!isAbsolute(home)) {
      throw new HeadjackError("Headjack needs a home directory: HOME is not an absolute path.", {
        hints: ["Set HOME, or HEADJACK_HOME to a folder for everything Headjack keeps."],
      });
    }
    return join(home, fallback, "headjack");
  };
  return {
    configDir: folder("XDG_CONFIG_HOME", ".config"),
    dataDir: folder("XDG_DATA_HOME", ".local/share"),
  };
}

/**
 * Inside the data folder, so that two data folders never share a tmux server and nobody else can have
 * made it; in /tmp where the path would be too long for a socket. Not in XDG_RUNTIME_DIR: systemd
 * empties that at the last logout while sessions go on, and cron has no such variable.
 */
function runtimeFolder(uid: number, dataDir: string): string {
  const folder = join(dataDir, "run");
  if (Buffer.byteLength(socketIn(folder)) < maxSocketBytes) return folder;
  const mark = new Bun.CryptoHasher("sha256").update(dataDir).digest("hex").slice(0, 8);
  return join("/tmp", `headjack-${uid}`, mark);
}

function socketIn(runtimeDir: string): string {
  return join(runtimeDir, "tmux");
}

/** The specification: a relative path in these variables is invalid and to be ignored. */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? tidy(path) : undefined;
}

/** One spelling for one folder, since the runtime folder's name is made from it. */
function tidy(path: string): string {
  const normal = normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}
