import * as sqlite from "bun:sqlite";
import { step } from "./steps.ts";

/* `bun:sqlite` of the `hjk` that the fault suite runs: each transaction is a step. */

type Transaction = sqlite.Database["transaction"];

export class Database extends sqlite.Database {
  override transaction: Transaction = (work) => {
    const made = super.transaction(work);
    // The one kind that the store uses.
    const immediate: typeof made.immediate = (...args) => step("transaction", () => made.immediate(...args));
    return Object.assign((...args: Parameters<typeof made>) => made(...args), { ...made, immediate });
  };
}
