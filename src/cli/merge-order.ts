import { mergeOrder, type Placed } from "../core/order.ts";
import type { MergeRequest } from "../core/merge.ts";
import { HeadjackError } from "../errors.ts";
import type { InstanceRecord } from "../store/records.ts";
import type { Context } from "./context.ts";

/** The order that conflicts least; said where it is not the expected one. */
export async function chooseOrder(
  context: Context,
  instances: readonly InstanceRecord[],
  how: { into: string; way: MergeRequest["way"] },
  expected?: readonly InstanceRecord[],
): Promise<InstanceRecord[]> {
  const { io, signal } = context;
  io.step("looking for the order that conflicts least");
  const order = await mergeOrder(context.deps(), instances, { ...how, signal });
  io.stepDone();
  const chosen = order.map(({ instance }) => instance);
  if (chosen.some((instance, index) => instance.id !== expected?.[index]?.id)) {
    const places = order.map((one) => placeText(one)).join(", ");
    io.note(`${expected === undefined ? "Order, by fewest conflicts" : "After that, rather"}: ${places}`);
  }
  return chosen;
}

/** What to know where several were to be taken in and one could not be. */
export function stopped(
  error: unknown,
  at: InstanceRecord,
  { into, done, left }: { into: string; done: InstanceRecord[]; left: InstanceRecord[] },
): unknown {
  if (!(error instanceof HeadjackError) || error.kind === "interrupted") return error;
  const taken =
    done.length === 0 ? `Nothing was taken into ${into}.` : `${into} has taken in ${names(done, ", ")}.`;
  const others = left.length === 0 ? "" : ` Not tried: ${names(left, ", ")}.`;
  return new HeadjackError(`Stopped at ${at.branch}: ${ofThisOne(error.message)} ${taken}${others}`, {
    kind: error.kind,
    cause: error,
    hints: [
      ...error.hints.map((hint) => ofThisOne(hint)),
      `Then go on, with the same options: hjk merge ${names([at, ...left])}`,
      ...(left.length === 0 ? [] : [`Or leave it out: hjk merge ${names(left)}`]),
    ],
  });
}

function placeText({ instance, conflicts }: Placed): string {
  if (conflicts === 0) return instance.branch;
  const files = `${conflicts} file${conflicts === 1 ? "" : "s"} in conflict`;
  return `${instance.branch} (${conflicts === undefined ? "conflicts unknown" : files})`;
}

const names = (instances: readonly InstanceRecord[], between = " "): string =>
  instances.map(({ branch }) => branch).join(between);

/** What is said of one branch would be understood of all. */
const ofThisOne = (text: string): string => text.replace("Nothing was changed", "It has changed nothing");
