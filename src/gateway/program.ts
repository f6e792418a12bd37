// Made by the build before everything else.
import program from "../../dist/gateway.text" with { type: "text" };

/** The whole gateway, as `node` runs it. */
export const gatewayProgram: string = program;
