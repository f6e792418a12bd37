import * as fs from "node:fs";
import { asStep } from "./steps.ts";

/* What of `node:fs` is a step of the `hjk` that the fault suite runs: what changes a file. */

export const renameSync = asStep("rename", fs.renameSync);
export const rmSync = asStep("remove", fs.rmSync);
export const linkSync = asStep("link", fs.linkSync);
export const fsyncSync = asStep("fsync", fs.fsyncSync);
// What is there already is not made.
export const mkdirSync = asStep("mkdir", fs.mkdirSync, (path) => !fs.existsSync(String(path)));
// What is printed changes nothing.
export const writeSync = asStep("write", fs.writeSync, (handle) => Number(handle) > 2);
