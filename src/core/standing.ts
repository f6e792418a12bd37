import { headOf, type Head } from "../drivers/git/head.ts";
import type { ForecastRecord, InstanceRecord, LookRecord } from "../store/records.ts";
import type { Deps } from "./deps.ts";
import { hasNews } from "./news.ts";

export type { Head };

/** How the branch of an instance stands to the base branch and to those of other instances. */
export interface Standing {
  /** Commits that only it has, and only the base branch; undefined while that is not known. */
  base: { branch: string; ahead: number; behind: number } | undefined;
  /** With what a merge would end in conflict, or nothing is known yet; the base branch first. */
  conflicts: Clash[];
  /** Files that were in no commit at a look after its last commit; undefined when there was none. */
  uncommitted: { files: number; at: number } | undefined;
}

/** That of which nothing is known. */
export const noStanding: Standing = { base: undefined, conflicts: [], uncommitted: undefined };

export interface Clash {
  branch: string;
  isBase: boolean;
  /** Number of files in conflict; undefined when it is not known. */
  count: number | undefined;
  /** The first of them. */
  files: string[];
}

/** Two commits of which a forecast is wanted. */
export interface Pair {
  ours: string;
  theirs: string;
}

/** The base branch of each repository, or undefined: one call of git for each. */
export async function basesOf(
  deps: Deps,
  repoIds: Iterable<string>,
): Promise<ReadonlyMap<string, Head | undefined>> {
  const asked = [...new Set(repoIds)].map(async (id) => {
    const gitDir = deps.store.repo(id)?.gitDir;
    // A repository that is gone has none.
    const base = gitDir === undefined ? undefined : await headOf(deps.git, gitDir).catch(() => undefined);
    return [id, base] as const;
  });
  return new Map(await Promise.all(asked));
}

/** What the forecasts of a repository say that have been made; it starts no program. */
export class Standings {
  readonly base: Head | undefined;
  readonly #instances: InstanceRecord[];
  readonly #known: Map<string, ForecastRecord>;
  readonly #looks: Map<string, LookRecord>;
  /** Last known commits of those that have newer ones, which could not be brought home. */
  readonly #unknown: Set<string>;

  constructor(deps: Deps, repoId: string, base: Head | undefined) {
    this.base = base;
    this.#instances = deps.store.instances(repoId).filter((one) => one.state === "ready" && one.head !== "");
    this.#known = new Map(deps.store.forecasts(repoId).map((one) => [keyOf(one), one]));
    // Without a fingerprint its commits are here, and only its branch waits for something; a failure has left a notice.
    const unknown = this.#instances.filter(
      (one) => one.notice !== "" && one.fingerprint !== "" && hasNews(deps, one),
    );
    this.#unknown = new Set(unknown.map(({ head }) => head));
    this.#looks = new Map(deps.store.looks().map((look) => [look.instanceId, look]));
  }

  /** Commits that forecasts are about. */
  get commits(): string[] {
    return [
      ...(this.base === undefined ? [] : [this.base.commit]),
      ...this.#instances.map(({ head }) => head),
    ];
  }

  /** Pairs of which nothing is known yet; `again`: or has not come out. */
  missing(again: boolean): Pair[] {
    const pairs = new Map<string, Pair>();
    const want = (ours: string, theirs: string): void => {
      const pair = pairOf(ours, theirs);
      const known = this.#known.get(keyOf(pair));
      const settled = known !== undefined && (!again || known.conflicts !== null);
      if (ours !== theirs && !settled) pairs.set(keyOf(pair), pair);
    };
    for (const [index, one] of this.#instances.entries()) {
      if (this.base !== undefined) want(one.head, this.base.commit);
      if (!this.#bringsSomething(one)) continue;
      for (const other of this.#instances.slice(index + 1))
        if (this.#bringsSomething(other)) want(one.head, other.head);
    }
    return [...pairs.values()];
  }

  of(instance: Pick<InstanceRecord, "id">): Standing {
    const own = this.#instances.find((one) => one.id === instance.id);
    if (own === undefined) return noStanding;
    const conflicts: Clash[] = [];
    const add = (branch: string, isBase: boolean, commit: string): void => {
      const known = this.#between(own.head, commit);
      if (known?.conflicts === 0) return;
      conflicts.push({ branch, isBase, count: known?.conflicts ?? undefined, files: known?.files ?? [] });
    };
    if (this.base !== undefined) add(this.base.name, true, this.base.commit);
    if (this.#bringsSomething(own)) {
      for (const other of this.#instances)
        if (other.id !== own.id && this.#bringsSomething(other)) add(other.branch, false, other.head);
    }
    const apart = this.base === undefined ? undefined : this.#between(own.head, this.base.commit);
    const look = this.#looks.get(own.id);
    return {
      base:
        this.base === undefined || apart === undefined || apart.ours === null || apart.theirs === null
          ? undefined
          : { branch: this.base.name, ahead: apart.ours, behind: apart.theirs },
      conflicts,
      // What was in no commit may be in one that was made since.
      uncommitted:
        look?.head === own.head && !this.#unknown.has(own.head)
          ? { files: look.files, at: look.at }
          : undefined,
    };
  }

  /** Whether it has a commit that the base branch lacks; without one it cannot be in anybody's way. */
  #bringsSomething(instance: InstanceRecord): boolean {
    return this.base === undefined || this.#between(instance.head, this.base.commit)?.ours !== 0;
  }

  #between(
    ours: string,
    theirs: string,
  ): { ours: number | null; theirs: number | null; conflicts: number | null; files: string[] } | undefined {
    if (this.#unknown.has(ours) || this.#unknown.has(theirs)) return undefined;
    if (ours === theirs) return { ours: 0, theirs: 0, conflicts: 0, files: [] };
    const known = this.#known.get(keyOf(pairOf(ours, theirs)));
    if (known === undefined) return undefined;
    const { oursOnly, theirsOnly, conflicts, files } = known;
    return ours < theirs
      ? { ours: oursOnly, theirs: theirsOnly, conflicts, files }
      : { ours: theirsOnly, theirs: oursOnly, conflicts, files };
  }
}

/** The one whose id comes first is the first: which is merged into which makes no difference to what is in conflict. */
const pairOf = (one: string, other: string): Pair =>
  one < other ? { ours: one, theirs: other } : { ours: other, theirs: one };

const keyOf = ({ ours, theirs }: Pair): string => `${ours} ${theirs}`;
