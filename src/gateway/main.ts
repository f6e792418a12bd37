import process from "node:process";
import { runGateway } from "./gateway.ts";
import { world } from "./outside.ts";
import { gatewayPorts } from "./rules.ts";

/*
 * The gateway: the one program beside an instance through which all its network goes. It runs under Node in a container of its
 * own, so nothing here may need Bun or a package. Configurations with their secrets come on standard input,
 * where neither `docker inspect` nor a list of processes shows them.
 */

void runGateway(process, world, gatewayPorts, process.argv[2]);
