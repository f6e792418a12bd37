import { readFile, rm } from "node:fs/promises";
import { gatewayCommand } from "../drivers/base-image.ts";
import { labels, type InstanceNetwork } from "../drivers/engine/engine.ts";
import { instanceFiles } from "../drivers/instance-files.ts";
import { HeadjackError, messageOf } from "../errors.ts";
import type { AllowedHost, GatewayConfiguration } from "../gateway/config.ts";
import { gatewayEnvironment } from "../gateway/program.ts";
import { gatewayPorts } from "../gateway/rules.ts";
import { writeAtomically } from "../store/atomic-write.ts";
import type { InstanceRecord } from "../store/records.ts";
import { instanceFolder, type Deps, type GatewayLogin } from "./deps.ts";

/** What an instance's gateway is, kept in its folder: without it, its container has the engine's own network. */
export interface GatewayState {
  /** What its agents show in place of a credential. */
  token: string;
  /** Which of our networks it has. */
  subnet: number;
  /** Hosts that the user has allowed for this instance alone. */
  allow: string[];
  /** Variables of its container with the user's own package registries; absent in those of earlier versions. */
  registries?: Record<string, string>;
  /** When the user last looked at what it refused, in milliseconds. */
  seenAt?: number;
  /** What it has of the user's logins, when it was told, and whether the model has refused it since. */
  login?: GatewayLogin & { toldAt: number; refused?: true; refusedAt?: number };
}

/** Name by which the container knows its gateway. */
export const gatewayHost = "hjk-gateway";

/** Networks of 16 addresses in 10.213.0.0/16. Our own range: the engine's pools run out after some 30 networks. */
const subnets = 4096;
export const subnetAt = (subnet: number, address: number): string =>
  `10.213.${subnet >> 4}.${(subnet & 15) * 16 + address}`;
const gatewayAddress = (subnet: number): string => subnetAt(subnet, 2);

const limits: GatewayConfiguration["limits"] = {
  // An agent with helpers of its own asks some 100 times a minute.
  requestsPerMinute: 1000,
  // Long conversations with pictures have some 30 MB.
  bodyBytes: 64 * 1024 ** 2,
  connections: 256,
};

/** Milliseconds in which a gateway has to answer. */
const answerMs = 15_000;

export const gatewayContainer = (instance: Pick<InstanceRecord, "container">): string =>
  `${instance.container}-gateway`;

/** The gateway of an instance; undefined for one whose container has a network of the user's choice. */
export async function gatewayState(
  deps: Pick<Deps, "folders">,
  instance: Pick<InstanceRecord, "id">,
): Promise<GatewayState | undefined> {
  try {
    const { gateway } = instanceFiles(instanceFolder(deps, instance));
    return JSON.parse(await readFile(gateway, "utf8")) as GatewayState;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function saveState(deps: Deps, instance: InstanceRecord, state: GatewayState): void {
  writeAtomically(instanceFiles(instanceFolder(deps, instance)).gateway, JSON.stringify(state));
}

/** Whether the user's own engine flags choose another network, which no gateway stands before. */
export function hasOwnNetwork(flags: readonly string[]): boolean {
  return flags.some((flag) => /^--net(?:work)?(?:=|$)/.test(flag));
}

/** Makes the container of a gateway, whose network is there. */
export async function createGateway(
  deps: Deps,
  instance: InstanceRecord,
  { subnet }: GatewayState,
): Promise<void> {
  const [engine, image] = await Promise.all([deps.engine(), deps.gateway.image()]);
  await engine.createGateway({
    name: gatewayContainer(instance),
    image,
    labels: gatewayLabels(deps, instance),
    command: gatewayCommand(gatewayAddress(subnet)),
    environment: gatewayEnvironment,
    network: { name: instance.container, address: gatewayAddress(subnet) },
  });
}

/**
 * Makes the network of an instance, whose folder must be there. Undefined where the user's engine flags choose
 * another, which no gateway stands before.
 */
export async function makeNetwork(deps: Deps, instance: InstanceRecord): Promise<GatewayState | undefined> {
  if (hasOwnNetwork(instance.flags)) {
    await rm(instanceFiles(instanceFolder(deps, instance)).gateway, { force: true });
    return undefined;
  }
  const [engine, before, registries] = await Promise.all([
    deps.engine(),
    gatewayState(deps, instance),
    deps.gateway.registries(),
  ]);
  const first = before?.subnet ?? Number.parseInt(instance.id.slice(0, 6), 16) % subnets;
  for (let tried = 0; tried < subnets; tried += 1) {
    const state: GatewayState = {
      token: before?.token ?? `hjk-${crypto.randomUUID()}${crypto.randomUUID()}`,
      subnet: (first + tried) % subnets,
      allow: before?.allow ?? [],
      registries,
      ...(before?.seenAt === undefined ? {} : { seenAt: before.seenAt }),
    };
    // Known before it is made: a crash must leave nothing that nobody knows.
    saveState(deps, instance, state);
    const subnet = `${subnetAt(state.subnet, 0)}/28`;
    if (
      await engine.createNetwork({ name: instance.container, subnet, labels: gatewayLabels(deps, instance) })
    )
      return state;
  }
  throw new HeadjackError("All of the networks that Headjack may make are in use.", { kind: "engine" });
}

function gatewayLabels(deps: Deps, instance: InstanceRecord): Record<string, string> {
  return {
    [labels.gateway]: instance.id,
    [labels.version]: deps.version,
    [labels.store]: deps.store.id(),
  };
}

/** The network of an instance's container, and how programs find the gateway there. */
export function networkThrough(
  instance: InstanceRecord,
  { subnet }: GatewayState,
): { network: InstanceNetwork; environment: Record<string, string> } {
  const proxy = `http://${gatewayHost}:${gatewayPorts.proxy}`;
  const direct = `localhost,127.0.0.1,::1,${gatewayHost}`;
  return {
    network: {
      name: instance.container,
      address: subnetAt(subnet, 3),
      hosts: { [gatewayHost]: gatewayAddress(subnet) },
    },
    // Each tool looks for its own spelling. Java reads none of them.
    environment: {
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      http_proxy: proxy,
      https_proxy: proxy,
      NO_PROXY: direct,
      no_proxy: direct,
      NODE_USE_ENV_PROXY: "1",
      JAVA_TOOL_OPTIONS: ["http", "https"]
        .map((kind) => `-D${kind}.proxyHost=${gatewayHost} -D${kind}.proxyPort=${gatewayPorts.proxy}`)
        .join(" "),
    },
  };
}

/** Where an agent reaches its model, and what it shows there. */
export interface GatewayAccess {
  url: string;
  token: string;
}

/** How the agent of a name reaches its model through the gateway. */
export function accessThrough(state: GatewayState, agent: string): GatewayAccess {
  return { url: `http://${gatewayHost}:${gatewayPorts.api}/${agent}`, token: state.token };
}

/** Makes sure that the gateway of a running instance is at work: it may have been ended behind our back. */
export async function reviveGateway(deps: Deps, instance: InstanceRecord): Promise<void> {
  const [engine, state] = await Promise.all([deps.engine(), gatewayState(deps, instance)]);
  if (state === undefined) return;
  if ((await engine.inspect(gatewayContainer(instance)))?.running === true) return;
  await startGateway(deps, instance);
}

/**
 * Starts a gateway, made again if it is gone, as after the death of whoever made the container beside it, and tells it
 * what it lets through. `agents` are to work beside those of the sessions that are there.
 */
export async function startGateway(
  deps: Deps,
  instance: InstanceRecord,
  agents: readonly string[] = [],
): Promise<void> {
  const [engine, state] = await Promise.all([deps.engine(), gatewayState(deps, instance)]);
  if (state === undefined) return;
  try {
    await engine.start(gatewayContainer(instance));
  } catch (error) {
    if (!(error instanceof HeadjackError) || error.kind !== "not-found") throw error;
    await createGateway(deps, instance, state);
    await engine.start(gatewayContainer(instance));
  }
  await configureGateway(deps, instance, agents);
}

/**
 * Tells a running gateway what it lets through; what it no longer does is cut off at once. Returns what it has of the
 * user's logins.
 */
export async function configureGateway(
  deps: Deps,
  instance: InstanceRecord,
  agents: readonly string[] = [],
  how: { keepProxy?: true } = {},
): Promise<GatewayLogin | undefined> {
  const state = await gatewayState(deps, instance);
  if (state === undefined) return undefined;
  const types = deps.store.sessions(instance.id).map((session) => session.type);
  const { login, ...policy } = await deps.gateway.policy(
    instance,
    [...new Set([...agents, ...types])],
    state.login?.refused === true ? state.login.toldAt : undefined,
  );
  const id = crypto.randomUUID();
  const configuration: GatewayConfiguration = {
    id,
    token: state.token,
    ...policy,
    allow: policy.allow === "all" ? "all" : [...policy.allow, ...state.allow.map((host) => hostEntry(host))],
    keepApis: true,
    ...how,
    limits,
  };
  const engine = await deps.engine();
  // A line that a killed command has begun ends here.
  const input = `\n${JSON.stringify(configuration)}\n`;
  let refused = "";
  try {
    const conversation = await engine.converse(gatewayContainer(instance));
    try {
      await conversation.say({
        input,
        timeoutMs: answerMs,
        isOver: (line) => {
          const answer = parseAnswer(line);
          if (answer?.id !== id) return false;
          if (answer.event === "refused") refused = answer.reason ?? "";
          return answer.event === "configured" || answer.event === "refused";
        },
      });
    } finally {
      conversation.close();
    }
  } catch (error) {
    throw new HeadjackError(`The gateway of ${instance.branch} does not answer: ${messageOf(error)}`, {
      kind: "engine",
      cause: error,
      hints: [
        `Its instance has no network until it does. Make both anew, files kept: hjk recreate ${instance.branch}`,
      ],
    });
  }
  if (refused !== "")
    throw new HeadjackError(`The gateway of ${instance.branch} refused its rules: ${refused}`);
  if (login === undefined && state.login === undefined) return undefined;
  // One that was refused and cannot be renewed stays so, until its file is another.
  const { refusedAt } = state.login ?? {};
  const told = {
    ...(login?.problem !== undefined && state.login?.refused === true
      ? { toldAt: state.login.toldAt, refused: true as const }
      : { toldAt: deps.now() }),
    ...(refusedAt === undefined ? {} : { refusedAt }),
  };
  const { login: _before, ...rest } = (await gatewayState(deps, instance)) ?? state;
  saveState(deps, instance, {
    ...rest,
    ...(login === undefined ? {} : { login: { ...login, ...told } }),
  });
  return login;
}

/** Tells the gateway of a running instance of the user's logins again, where they end or were refused; never fails. */
export async function renewLogins(
  deps: Deps,
  instance: InstanceRecord,
  /** Also where it has just failed: the user may have logged in again. */
  again = false,
): Promise<GatewayLogin | undefined> {
  try {
    const login = (await gatewayState(deps, instance))?.login;
    if (login === undefined) return undefined;
    const isDue = login.problem === undefined ? login.refused === true : again;
    if (!isDue && login.renewAt > deps.now()) return login;
    return await configureGateway(deps, instance, [], { keepProxy: true });
  } catch {
    // It may be going at this moment. Whoever starts an agent is told what is wrong.
    return undefined;
  }
}

/** Milliseconds between two refusals that are believed: an agent may provoke some, and each has the login renewed. */
const refusalMs = 30_000;

/** Notes that the model does not take what the gateway shows it. */
export async function noteRefusedLogin(deps: Deps, instance: InstanceRecord): Promise<void> {
  const state = await gatewayState(deps, instance);
  const refusedAt = deps.now();
  if (state?.login === undefined || refusedAt - (state.login.refusedAt ?? 0) < refusalMs) return;
  saveState(deps, instance, { ...state, login: { ...state.login, refused: true, refusedAt } });
}

/** Reads a line that a gateway prints; between them may be what a crash has left. */
function parseAnswer(line: string): { event?: string; id?: string; reason?: string } | undefined {
  try {
    return JSON.parse(line) as { event?: string; id?: string; reason?: string };
  } catch {
    return undefined;
  }
}

/** `example.com`, `*.example.com` or `example.com:8443`, as it is written in settings. */
export function publicEntry(text: string): AllowedHost {
  const [host = "", port] = text.split(":");
  return { host, ports: port === undefined ? [443, 80] : [Number(port)] };
}

/** The same as the user writes it: it may lie in a private network. */
export function hostEntry(text: string): AllowedHost {
  const entry = publicEntry(text);
  // For what is named with a star anybody may make names, that lead anywhere.
  return entry.host.startsWith("*") ? entry : { ...entry, private: true };
}

/** Allows hosts to one instance, from this moment on. */
export async function allowHost(
  deps: Deps,
  instance: InstanceRecord,
  hosts: readonly string[],
): Promise<void> {
  const state = await gatewayState(deps, instance);
  if (state === undefined) throw noGateway(instance);
  saveState(deps, instance, { ...state, allow: [...new Set([...state.allow, ...hosts])] });
  await noteSeen(deps, instance);
  const running = (await (await deps.engine()).inspect(gatewayContainer(instance)))?.running === true;
  if (running) await configureGateway(deps, instance);
}

/** Notes that the user has seen what the gateway refused. */
export async function noteSeen(deps: Deps, instance: InstanceRecord): Promise<void> {
  const state = await gatewayState(deps, instance);
  if (state === undefined || instance.refused.length === 0) return;
  saveState(deps, instance, { ...state, seenAt: deps.now() });
  deps.store.updateInstance(instance.id, { refused: [] });
}

export function noGateway(instance: InstanceRecord): HeadjackError {
  return new HeadjackError(
    `${instance.branch} has no gateway: its container has a network of your own choice.`,
    {
      hints: ["Engine flags with --network lead around the gateway; nothing is logged or held back there."],
    },
  );
}

/** Ends a gateway; nothing goes through any more. */
export async function stopGateway(deps: Deps, instance: InstanceRecord): Promise<void> {
  await (await deps.engine()).stop(gatewayContainer(instance), 1);
}

/** Removes gateway and network. The container of the instance must be gone. */
export async function removeGateway(deps: Deps, instance: Pick<InstanceRecord, "container">): Promise<void> {
  const engine = await deps.engine();
  await engine.remove(gatewayContainer(instance));
  await engine.removeNetwork(instance.container);
}
