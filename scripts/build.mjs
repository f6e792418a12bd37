// Builds dist/hjk. Plain Node, so that it runs before anything is installed.
import { build, ensureDependencies } from "./lib/bootstrap.mjs";

ensureDependencies();
build();
