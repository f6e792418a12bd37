import { messageOf } from "../../../src/errors.ts";
import type { Command } from "./commands.ts";
import { World, type Point } from "./world.ts";

/** What came of killing a command at its points. */
export interface Tried {
  name: string;
  steps: number;
  /** At how many it was killed. */
  points: number;
  /** Points at which something was lost, or was not healed, each with the reason. */
  lost: string[];
}

/** Exit code of a program that SIGKILL has ended. */
const killedCode = 137;

/** Worlds in which commands are tried at the same time. */
const side = 2;

/** Every moment of a command at which killing it can make a difference. */
export function pointsOf(steps: string[]): Point[] {
  return steps.flatMap((line, index): Point[] => {
    const point = { at: index + 1, what: line.slice(2) };
    // A call that is over when it returns leaves what the next step finds.
    return line.startsWith("+ ")
      ? [
          { ...point, when: "before" },
          { ...point, when: "under way" },
        ]
      : [{ ...point, when: "before" }];
  });
}

/**
 * One point of each step, by turns before it and while it is under way; of several steps of one kind in a row, as
 * the writing of many files, one.
 */
export function onePerStep(points: Point[]): Point[] {
  const perStep = points.filter(({ at, when }) => {
    const both = points.filter((other) => other.at === at).length > 1;
    return !both || (when === "before") === (at % 2 === 0);
  });
  return perStep.filter((point, index) => {
    const last = perStep[index - 1];
    return last === undefined || last.when !== point.when || kindOf(last) !== kindOf(point);
  });
}

/** What a step does, without what it does it to. */
const kindOf = ({ what }: Point): string => what.split(" ")[0] ?? "";

/**
 * Tries commands, a few of them at the same time. Each of the answers comes when its command has been tried.
 */
export function tryAll(
  faulty: string,
  commands: readonly Command[],
  pick: (points: Point[]) => Point[],
): Promise<Tried>[] {
  const queue = commands.map((command) => ({ command, ...Promise.withResolvers<Tried>() }));
  const answers = queue.map(({ promise }) => promise);
  const lane = async (): Promise<void> => {
    await using world = await World.create({ faulty });
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      await tryCommand(world, next.command, pick).then(next.resolve, next.reject);
  };
  for (let count = 0; count < side; count += 1) {
    lane().catch((error: unknown) => {
      for (const { reject } of queue.splice(0)) reject(error);
    });
  }
  return answers;
}

/** Runs a command to its end, and then kills it at each of the points that are picked. */
async function tryCommand(
  world: World,
  command: Command,
  pick: (points: Point[]) => Point[],
): Promise<Tried> {
  const { steps, code, stderr } = await world.killed(await command.prepare(world));
  if (code !== 0) throw new Error(`${command.name} does not even work undisturbed: ${stderr}`);
  const points = pick(pointsOf(steps));
  const lost: string[] = [];
  let killed = 0;
  for (const point of points) {
    const { isReached, reason } = await tryPoint(world, command, point);
    // Steps vary by a few from run to run, so the last ones may not be reached.
    if (isReached) killed += 1;
    if (reason === undefined) continue;
    lost.push(`${point.when} step ${point.at} (${point.what}): ${reason}`);
    // What is wrong at one point is not to be found again at each of the others.
    await world.gone();
  }
  return { name: command.name, steps: steps.length, points: killed, lost };
}

/** Kills a command at a point and goes on as a user would; with the reason when that does not work. */
async function tryPoint(
  world: World,
  command: Command,
  point: Point,
): Promise<{ isReached: boolean; reason?: string }> {
  const args = await command.prepare(world);
  const isReached = (await world.killed(args, point)).code === killedCode;
  try {
    await world.ok("ps");
    await command.heals(world, args);
    await world.expectSound();
    return { isReached };
  } catch (error) {
    return { isReached, reason: messageOf(error) };
  }
}
