import type { Json } from "../agents/conversation.ts";
import { object } from "../agents/fields.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { gatewayContainer, gatewayState, noGateway, noteRefusedLogin, noteSeen } from "./gateway.ts";

/** A decision of a gateway. */
export interface NetEntry {
  at: Date;
  event: "allow" | "deny" | "api" | "api-deny";
  /** `example.com:443`, or the name of an agent for what goes to its model. */
  target: string;
  method: string;
  path: string;
  /** Why it was refused; empty where it was not. */
  why: string;
  /** Answer of the other side; undefined where there is none to see. */
  status?: number;
  bytes?: number;
  /** Equal ones in a row. */
  times: number;
}

/** Lines of a gateway's output in which refusals are looked for; more is older than anybody remembers. */
const recentLines = 300;

/** The last decisions of an instance's gateway, oldest first; the user has seen its refusals then. */
export async function netLog(deps: Deps, instance: InstanceRecord, lines: number): Promise<NetEntry[]> {
  if ((await gatewayState(deps, instance)) === undefined) throw noGateway(instance);
  const entries = await read(deps, instance, lines);
  await noteSeen(deps, instance);
  return entries;
}

async function read(deps: Deps, instance: InstanceRecord, lines: number): Promise<NetEntry[]> {
  const text = await (await deps.engine()).output(gatewayContainer(instance), lines);
  return text.split("\n").flatMap((line) => parseEntry(line) ?? []);
}

/** The program that prints them is ours, but hosts and paths in them are an agent's: they are cleaned when shown. */
export function parseEntry(line: string): NetEntry | undefined {
  let fields: Json;
  try {
    fields = object(JSON.parse(line));
  } catch {
    return undefined;
  }
  const text = (name: string): string => (typeof fields[name] === "string" ? fields[name] : "");
  const number = (name: string): number | undefined =>
    typeof fields[name] === "number" && Number.isFinite(fields[name]) ? fields[name] : undefined;
  const event = (["allow", "deny", "api", "api-deny"] as const).find((known) => known === fields["event"]);
  const at = new Date(text("t"));
  if (event === undefined || Number.isNaN(at.getTime())) return undefined;
  const [status, bytes, port] = [number("status"), number("bytes"), number("port")];
  return {
    at,
    event,
    target: port === undefined ? text("host") : `${text("host")}:${port}`,
    method: text("method"),
    path: text("path"),
    why: text("why"),
    times: number("times") ?? 1,
    ...(status === undefined ? {} : { status }),
    ...(bytes === undefined ? {} : { bytes }),
  };
}

/** Notes for `ps` which hosts an instance was refused since the user last looked, and whether the model refuses its login. Never fails: it is only a hint. */
export async function noteRefusals(deps: Deps, instance: InstanceRecord): Promise<void> {
  try {
    const state = await gatewayState(deps, instance);
    if (state === undefined) return;
    const since = state.seenAt ?? 0;
    const entries = await read(deps, instance, recentLines);
    const hosts = entries
      .filter((one) => one.event === "deny" && one.why === "not-allowed" && one.at.getTime() > since)
      .map((one) => one.target.replace(/:(?:443|80)$/, ""));
    deps.store.updateInstance(instance.id, { refused: [...new Set(hosts)].slice(-3) });
    const { agents = [], toldAt = 0 } = state.login ?? {};
    const isRefused = entries.some(
      (one) =>
        one.status === 401 && one.at.getTime() > toldAt && one.event === "api" && agents.includes(one.target),
    );
    if (isRefused) await noteRefusedLogin(deps, instance);
  } catch {
    // Its container may be going at this moment.
  }
}
