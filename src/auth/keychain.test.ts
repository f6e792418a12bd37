import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openKeychain, systemKeychain } from "./keychain.ts";
import { claudeToken, refusal, secret, temporaryFolder } from "./testing.ts";

const root = temporaryFolder();

const linux = process.platform === "linux";
const tools = ["dbus-run-session", "dbus-send", "gnome-keyring-daemon"].filter(
  (tool) => Bun.which(tool) === null,
);
const noKeyring = !linux
  ? " (skipped: not Linux)"
  : tools.length > 0
    ? ` (skipped: no ${tools.join(", ")})`
    : "";

describe("the system's keychain", () => {
  test.skipIf(!linux)("is unavailable without a message bus", async () => {
    const store = openKeychain(systemKeychain({ PATH: process.env["PATH"] }));
    expect(await refusal(() => store.get("claude"))).toContain(
      "cannot be used here: there is no session message bus",
    );
    const dead = openKeychain(systemKeychain({ DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent" }));
    expect(await refusal(() => dead.set("claude", claudeToken))).toContain("cannot be used here: ");
  });

  test.skipIf(!linux)("is given up when it does not answer, and keeps no process from ending", async () => {
    const socket = join(root, "bus");
    const silent = Bun.listen({ unix: socket, socket: { data: () => undefined } });
    const script = `
      const { openKeychain, systemKeychain } = await import(${JSON.stringify(join(import.meta.dir, "keychain.ts"))});
      await openKeychain(systemKeychain(process.env, 300)).get("claude").catch((error) => process.stdout.write(error.reason));
    `;
    const env = { PATH: process.env["PATH"], DBUS_SESSION_BUS_ADDRESS: `unix:path=${socket}` };
    const started = performance.now();
    const child = Bun.spawn([process.execPath, "-e", script], { env, stdout: "pipe" });
    // Of libsecret, and of a system without it.
    expect(["timeout", "unavailable"]).toContain(await new Response(child.stdout).text());
    expect(await child.exited).toBe(0);
    expect(performance.now() - started).toBeLessThan(4000);
    silent.stop(true);
  });

  test.skipIf(noKeyring !== "")(
    `works with gnome-keyring${noKeyring}`,
    async () => {
      const home = join(root, "home");
      await mkdir(join(home, ".cache"), { recursive: true });
      const script = `
      const { openCredentials } = await import(${JSON.stringify(join(import.meta.dir, "open.ts"))});
      const paths = { credentialsFile: "${home}/c.enc", credentialsKey: "${home}/c.key" };
      const store = await openCredentials(paths, process.env);
      const said = [await store.get("claude") ?? null];
      await store.set("claude", { kind: "api-key", value: "first" });
      await store.set("claude", { kind: "subscription", value: "${secret}" });
      said.push(await store.get("claude"), store.name, store.where(), await store.get("codex") ?? null);
      said.push(await store.remove("claude"), await store.remove("claude"), await store.get("claude") ?? null);
      await Bun.write("${home}/said.json", JSON.stringify(said));
    `;
      // Until the daemon has its name on the bus, a call would start a second, locked one.
      const shell = `
      printf pw | gnome-keyring-daemon --unlock --components=secrets
      until dbus-send --session --print-reply --dest=org.freedesktop.DBus / \\
        org.freedesktop.DBus.GetNameOwner string:org.freedesktop.secrets; do sleep 0.05; done
      "$0" --config=/dev/null --no-env-file -e "$1"
    `;
      const child = Bun.spawn(["dbus-run-session", "--", "sh", "-c", shell, process.execPath, script], {
        env: { PATH: process.env["PATH"], HOME: home },
        stdio: ["ignore", "ignore", "ignore"],
      });
      expect(await child.exited).toBe(0);
      const found = { ...claudeToken, from: "keychain" };
      const expected = [null, found, "keychain", "Secret Service", null, true, false, null];
      expect(await Bun.file(join(home, "said.json")).json()).toEqual(expected);
      expect(readdirSync(home).filter((name) => name.startsWith("c."))).toEqual([]);
    },
    20_000,
  );
});
