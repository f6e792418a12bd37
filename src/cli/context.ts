import { homedir } from "node:os";
import type { Agent } from "../agents/agent.ts";
import { agents } from "../agents/index.ts";
import type { CredentialStore } from "../auth/credentials.ts";
import type { Config } from "../config/config.ts";
import type { Deps } from "../core/deps.ts";
import type { Engine } from "../drivers/engine/engine.ts";
import { Git } from "../drivers/git/git.ts";
import { openRepository, type Repository } from "../drivers/git/repository.ts";
import type { UpstreamProxy } from "../gateway/config.ts";
import { childEnvironment, type Environment } from "../drivers/process.ts";
import { Tmux } from "../drivers/tmux.ts";
import { resolvePaths, type Paths } from "../store/paths.ts";
import { Store } from "../store/store.ts";
import { Io } from "../ui/io.ts";
import { version } from "./version.ts";

/** What a command works with. */
export interface Context {
  io: Io;
  /** Environment as the user set it. */
  env: Environment;
  cwd: string;
  paths: Paths;
  signal: AbortSignal;
  /** Words after the first `--`, for commands that take flags of the engine there. */
  engineFlags: string[];
  deps: () => Deps;
  config: () => Promise<Config>;
  /** The built-in agents, then those of the configuration. */
  agents: () => Promise<readonly Agent[]>;
  credentials: () => Promise<CredentialStore>;
  /** The user's proxy, through which gateways go out; tells what of it cannot be used. */
  proxy: () => Promise<UpstreamProxy | undefined>;
  /** The repository that the user stands in. */
  repository: () => Promise<Repository>;
  git: Git;
  tmux: Tmux;
  engine: () => Promise<Engine>;
}

/** Composition root: the only file that names concrete drivers. Everything is opened on first use. */
export function buildContext(process: NodeJS.Process, signal: AbortSignal, engineFlags: string[]): Context {
  const env = process.env;
  const forChildren = childEnvironment(env);
  const uid = process.getuid?.();
  const paths = resolvePaths(env, process.platform, uid, env["HOME"] ?? homedir());
  const git = new Git(forChildren);
  const tmux = new Tmux({
    socket: paths.tmuxSocket,
    env: forChildren,
    eventCommand: [...selfCommand(), "internal", "session-event"],
  });
  // Depends on nothing but the environment until `runtime.name` has a second value.
  const engine = once(async () => {
    const { DockerEngine } = await import("../drivers/engine/docker.ts");
    return await DockerEngine.open(forChildren, paths.dataDir);
  });
  // Depends on the paths.
  const store = once(() => new Store(paths.database));
  const config = once(async () => {
    const { loadConfig } = await import("../config/config.ts");
    return await loadConfig({
      file: paths.configFile,
      env,
      agentNames: agents.map((agent) => agent.name),
      paths,
    });
  });
  const allAgents = once(async () => {
    const { customAgent } = await import("../agents/custom.ts");
    const own = Object.entries((await config()).agents);
    return [
      ...agents,
      ...own.flatMap(([name, { custom }]) =>
        custom === undefined ? [] : [customAgent({ name, ...custom })],
      ),
    ];
  });
  const credentials = once(async () => {
    const { openCredentials } = await import("../auth/open.ts");
    return await openCredentials(paths, env);
  });
  const cwd = process.cwd();
  const context: Context = {
    io: new Io(process),
    env,
    cwd,
    paths,
    signal,
    engineFlags,
    config,
    agents: allAgents,
    credentials,
    proxy: once(async () => {
      const { userProxy } = await import("../core/user-proxy.ts");
      const { proxy, note } = userProxy(env, (await config()).network.proxy);
      if (note !== undefined) context.io.note(`warning: ${note}`);
      return proxy;
    }),
    git,
    tmux,
    engine,
    repository: once(() => openRepository(git, cwd)),
    deps: once(() => ({
      store: store(),
      git,
      tmux,
      engine,
      gateway: {
        image: once(async () => {
          const { ensureGatewayImage } = await import("../core/image.ts");
          const { buildProgress } = await import("./progress.ts");
          return await ensureGatewayImage(context.deps(), buildProgress(context));
        }),
        registries: once(async () => {
          const { userRegistries } = await import("../core/user-registries.ts");
          const { variables, notes } = await userRegistries(env, paths.home);
          for (const note of notes) context.io.note(`warning: ${note}`);
          return variables;
        }),
        policy: async (instance, names, refusedSince) => {
          const { gatewayPolicy } = await import("./network.ts");
          return await gatewayPolicy(context, instance, names, refusedSince);
        },
      },
      env: forChildren,
      folders: {
        instances: paths.instances,
        hubs: paths.hubs,
        removed: paths.removed,
        runtime: paths.runtimeDir,
      },
      maxSnapshotBytes: async () => (await config()).snapshots.maxBytes,
      user: { uid: uid ?? 1000, gid: process.getgid?.() ?? 1000 },
      version,
      now: () => Date.now(),
    })),
  };
  return context;
}

/** argv that runs this program again, from its binary or from its source. */
function selfCommand(): string[] {
  const compiled = Bun.main.startsWith("/$bunfs/");
  return compiled ? [process.execPath] : [process.execPath, "--config=/dev/null", "--no-env-file", Bun.main];
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
