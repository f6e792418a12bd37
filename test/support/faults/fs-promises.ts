import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { asStep } from "./steps.ts";

/* What of `node:fs/promises` is a step of the `hjk` that the fault suite runs: what changes a file. */

const isThere = (path: unknown): boolean => existsSync(String(path));

export const appendFile = asStep("append", fs.appendFile);
export const chmod = asStep("chmod", fs.chmod);
export const copyFile = asStep("copy", fs.copyFile);
export const mkdtemp = asStep("mkdir", fs.mkdtemp);
export const rename = asStep("rename", fs.rename);
export const rmdir = asStep("remove", fs.rmdir);
export const symlink = asStep("link", fs.symlink);
export const writeFile = asStep("write", fs.writeFile);
// Making what is there, and removing what is not, changes nothing.
export const mkdir = asStep("mkdir", fs.mkdir, (path) => !isThere(path));
export const rm = asStep("remove", fs.rm, isThere);
