import { type Command, Option } from "@commander-js/extra-typings";
import { runCheck } from "../../core/check.ts";
import { uncommittedFiles } from "../../core/loss.ts";
import { checkTarget, mergeInstance, type MergeOutcome, type MergeRequest } from "../../core/merge.ts";
import { sendText } from "../../core/send.ts";
import { waitFor } from "../../core/wait.ts";
import { HeadjackError } from "../../errors.ts";
import type { InstanceRecord } from "../../store/records.ts";
import { cleanStream } from "../../ui/clean.ts";
import { activityText } from "../activity.ts";
import type { Context } from "../context.ts";
import { checkedOutBranch, findInstance, findSession, syncAndTell } from "../find.ts";
import { chooseOrder, stopped } from "../merge-order.ts";
import { removeAndTell } from "../remove.ts";
import { startAndSetUp } from "../set-up.ts";

/** Names of files in a message at most. */
const shownAtMost = 20;

/** Milliseconds until an agent must have taken what it is asked to do. */
const sendTimeoutMs = 120_000;

interface Options {
  into?: string;
  squash?: true;
  rebase?: true;
  /** False for `--no-ff`. */
  ff: boolean;
  message?: string;
  check?: string;
  fix?: true;
  allowUncommitted?: true;
  rm?: true;
  inOrder?: true;
}

export function addMerge(program: Command, context: Context): void {
  program
    .command("merge")
    .summary("take branches into yours")
    .description(
      "Takes the branch of an instance into the branch that you have checked out. It is put together aside; your " +
        "branch and your files follow only when that has succeeded, so a conflict leaves everything as it was. " +
        "Several are taken in one after the other, in the order that conflicts least, up to the first that cannot be.",
    )
    .argument("<branch...>", "branches of the instances")
    .option("--into <branch>", "a branch of yours to take it in (default: the one that is checked out)")
    .addOption(new Option("--squash", "as one commit of yours").conflicts(["rebase", "ff"]))
    .addOption(new Option("--rebase", "its commits one by one, on top of yours").conflicts(["squash", "ff"]))
    .option("--no-ff", "make a merge commit also where your branch could simply move forward")
    .option("-m, --message <text>", "message of the commit that is made")
    .option("--check <command>", "run this in the instance first, and stop if it fails")
    .option("--fix", "on a conflict ask the agent to resolve it, wait, and try once more")
    .option("--allow-uncommitted", "leave out what is in no commit, without being refused")
    .option("--in-order", "take several in as they are named")
    .option("--rm", "remove the instance afterwards, as hjk rm does, without a question")
    .addHelpText(
      "after",
      `
Hooks, filters and merge drivers do not run while it is put together. Your identity and signing key are used.
Exit codes: 1 for a conflict, a check that failed, or anything else that kept it out; your branch is as it was then.

Examples:
  $ hjk merge feat/login
  $ hjk merge feat/login --squash --check "npm test" --rm
  $ hjk merge feat/login --into develop --fix
  $ hjk merge feat/login feat/search docs/api --check "npm test"`,
    )
    .action(async (branches, options) => {
      const instances = await findDistinct(context, branches);
      const [first] = instances;
      if (first === undefined) return;
      if (instances.length > 1 && options.message !== undefined) {
        throw new HeadjackError("One message does not fit several branches.", {
          kind: "usage",
          hints: ["Merge them one by one, or without -m."],
        });
      }
      const into = options.into ?? (await checkedOutBranch(context, first));
      for (const instance of instances) {
        await checkTarget(context.deps(), instance, into);
        await refuseUncommitted(context, instance, options);
      }
      if (instances.length === 1) return await takeIn(context, first, into, options);
      await takeInAll(context, instances, into, options);
    });
}

/** The instances that are meant, each once, all of one repository. */
async function findDistinct(context: Context, branches: readonly string[]): Promise<InstanceRecord[]> {
  const found = new Map<string, InstanceRecord>();
  for (const branch of branches) {
    const instance = await findInstance(context, branch, { offerNew: false });
    found.set(instance.id, instance);
  }
  const instances = [...found.values()];
  if (new Set(instances.map(({ repoId }) => repoId)).size <= 1) return instances;
  throw new HeadjackError("These branches are in more than one repository.", {
    kind: "usage",
    hints: ["Merge those of each repository by themselves."],
  });
}

/** Takes in one after the other; after each it is looked again which one is the next. */
async function takeInAll(
  context: Context,
  instances: readonly InstanceRecord[],
  into: string,
  options: Options,
): Promise<void> {
  const { io } = context;
  const how = { into, way: wayOf(options) };
  const done: InstanceRecord[] = [];
  let rest = options.inOrder === true ? [...instances] : await chooseOrder(context, instances, how);
  for (let [next] = rest; next !== undefined; [next] = rest) {
    const left = rest.slice(1);
    try {
      await takeIn(context, next, into, options);
    } catch (error) {
      io.stepDone();
      throw stopped(error, next, { into, done, left });
    }
    done.push(next);
    rest = left;
    if (options.inOrder !== true && left.length > 1) rest = await chooseOrder(context, left, how, left);
  }
}

async function takeIn(
  context: Context,
  instance: InstanceRecord,
  into: string,
  options: Options,
): Promise<void> {
  const { io } = context;
  let outcome = await attempt(context, instance, into, options);
  if (outcome.kind === "conflict" && options.fix === true) {
    await askToResolve(context, instance, into, outcome);
    await refuseUncommitted(context, instance, options);
    outcome = await attempt(context, instance, into, options);
  }
  io.stepDone();
  if (outcome.kind === "conflict") throw conflict(instance, into, outcome);
  io.out(
    outcome.kind === "nothing"
      ? `${into} has everything of ${instance.branch} already`
      : `Took ${instance.branch} into ${into}: ${counted(outcome.commits, "commit")}, now at ${outcome.commit.slice(0, 10)}`,
  );
  const { warning } = context.deps().store.instanceById(instance.id) ?? instance;
  if (warning !== "") io.note(`warning: ${instance.branch}: ${warning}`);
  if (options.rm === true) await removeAndTell(context, instance, false);
}

const wayOf = (options: Options): MergeRequest["way"] =>
  options.squash === true ? "squash" : options.rebase === true ? "rebase" : "merge";

async function refuseUncommitted(
  context: Context,
  instance: InstanceRecord,
  options: Options,
): Promise<void> {
  if (options.allowUncommitted === true) return;
  context.io.step(`looking at ${instance.branch}`);
  const files = await uncommittedFiles(context.deps(), instance);
  if (files.length === 0) return;
  const { branch } = instance;
  throw new HeadjackError(
    `${branch} has ${counted(files.length, "file")} in no commit: ${named(files)}. Nothing was changed.`,
    {
      hints: [
        `Commit what is there: hjk commit ${branch} -m "..."`,
        "Or take in only what is committed: --allow-uncommitted",
      ],
    },
  );
}

async function attempt(
  context: Context,
  instance: InstanceRecord,
  into: string,
  options: Options,
): Promise<MergeOutcome> {
  const { io } = context;
  const deps = context.deps();
  const onStep = (step: string): void => io.step(step);
  await syncAndTell(context, instance);
  if (options.check !== undefined) {
    const tip = (): string | undefined => deps.store.instanceById(instance.id)?.head;
    const before = tip();
    await check(context, instance, options.check);
    await syncAndTell(context, instance);
    if (tip() !== before) {
      throw new HeadjackError(
        `${instance.branch} has new commits since its check began. Nothing was changed.`,
        {
          hints: ["Wait until its agents are at rest, and try again."],
        },
      );
    }
  }
  return await mergeInstance(deps, instance, {
    into,
    way: wayOf(options),
    noFastForward: !options.ff,
    signal: context.signal,
    onStep,
    ...(options.message === undefined ? {} : { message: options.message }),
  });
}

/** Runs the check where the agent works, on what is there; what it prints goes beside the result. */
async function check(context: Context, instance: InstanceRecord, line: string): Promise<void> {
  const { io } = context;
  const deps = context.deps();
  await startAndSetUp(context, instance, { finish: false });
  io.stepDone();
  io.note(`Checking ${instance.branch}: ${line}`);
  const streams = { stdout: cleanStream(), stderr: cleanStream() };
  const code = await runCheck(deps, instance, line, {
    onOutput: (chunk, stream) => io.noteRaw(streams[stream].write(chunk)),
    signal: context.signal,
  });
  io.noteRaw(streams.stdout.end() + streams.stderr.end());
  if (code === 0) return;
  throw new HeadjackError(`The check of ${instance.branch} failed with exit code ${code}.`, {
    hints: [`Nothing was changed. Try it yourself: hjk exec ${instance.branch} sh -c '...'`],
  });
}

type Conflict = Extract<MergeOutcome, { kind: "conflict" }>;

/** The agent's own copy of the other branch is as old as the instance, so the commit is named. */
const request = (into: string, { target }: Conflict): string =>
  `Merge ${target.slice(0, 12)} (${into}) into this branch and resolve the conflicts`;

function conflict(instance: InstanceRecord, into: string, outcome: Conflict): HeadjackError {
  const { branch } = instance;
  return new HeadjackError(
    `${branch} and ${into} are in conflict in ${counted(outcome.files.length, "file")}: ${named(outcome.files)}. ` +
      "Nothing was changed.",
    {
      hints: [
        `Let the agent resolve it: hjk send ${branch} "${request(into, outcome)}"`,
        `Or ask it, wait and try again in one: hjk merge ${branch} --fix`,
        `Or do it by hand: git merge ${branch}`,
      ],
    },
  );
}

/** Asks the agent of the instance, and waits until it rests. */
async function askToResolve(
  context: Context,
  instance: InstanceRecord,
  into: string,
  outcome: Conflict,
): Promise<void> {
  const { io, signal } = context;
  const deps = context.deps();
  const session = findSession(context, instance, undefined);
  const text =
    `${request(into, outcome)}, so that both sides still do what they are meant to. Run the tests, and commit. ` +
    `In conflict: ${named(outcome.files)}.`;
  const onStep = (step: string): void => io.step(step);
  io.step(`asking ${session.name} to resolve the conflicts`);
  await sendText(deps, instance, session, {
    text,
    verbatim: false,
    timeoutMs: sendTimeoutMs,
    signal,
    onStep,
  });
  io.step(`waiting for ${session.name} to resolve the conflicts`);
  const [waited] = await waitFor(deps, {
    instances: [instance],
    session: session.id,
    goal: "rest",
    any: false,
    timeoutMs: undefined,
    signal,
  });
  const state = waited?.session.activity?.state;
  if (state === "done" || state === "idle") return;
  throw new HeadjackError(
    `${instance.branch}/${session.name} has not resolved the conflicts: ${activityText(waited?.session)}.`,
    { hints: [`Look at it: hjk attach ${instance.branch} ${session.name}`, "Nothing was changed."] },
  );
}

function named(files: readonly string[]): string {
  const more = files.length - shownAtMost;
  return `${files.slice(0, shownAtMost).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
