import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { CompanyProxy } from "../support/gateway/upstream-proxy.ts";
import { baseImageTag, eventually, ModelStub, runProgram, Sandbox, type Output } from "../support/harness.ts";

/*
 * What an instance can reach, and where its credential is. The numbers are those of the attacks in
 * docs/security.md. Each is first seen to succeed in a container without the defence, or by whoever may do it:
 * otherwise its failure would say nothing.
 */

setDefaultTimeout(120_000);

const secret = `sk-ant-oat01-${crypto.randomUUID().replaceAll("-", "")}`;
const image = await baseImageTag();

let stub: ModelStub;
let sandbox: Sandbox;
/** Names of the containers. */
let agent: string;
let sibling: string;
const helpers: string[] = [];

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
  await sandbox.ok(["config", "agents.claude.env.CLAUDE_CODE_OAUTH_TOKEN", secret]);
  await sandbox.ok(["run", "work", "--agent", "claude", "-d", "SCRIPT:work"]);
  await sandbox.ok(["run", "other", "-d"]);
  await sandbox.ok(["wait", "work", "--for", "done", "--timeout", "1m"]);
  agent = await containerOf("work");
  sibling = await containerOf("other");
});

afterAll(async () => {
  for (const name of helpers) await runProgram(["docker", "rm", "-f", name]);
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
});

async function containerOf(branch: string): Promise<string> {
  const found = (await sandbox.instances()).find((one) => one.branch === branch);
  if (found === undefined) throw new Error(`no instance ${branch}`);
  return found.container;
}

async function inside(script: string, container = agent): Promise<Output> {
  return await runProgram(["docker", "exec", container, "bash", "-c", script]);
}

/** The same in a container as the engine makes it when it is asked for nothing. */
async function unprotected(script: string): Promise<Output> {
  return await runProgram(["docker", "run", "--rm", "--init", image, "bash", "-c", script]);
}

async function docker(...args: string[]): Promise<string> {
  const result = await runProgram(["docker", ...args]);
  if (result.code !== 0) throw new Error(`docker ${args.join(" ")}: ${result.stderr}`);
  return result.stdout.trim();
}

async function addressIn(container: string, network: string): Promise<string> {
  return await docker(
    "inspect",
    "-f",
    `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`,
    container,
  );
}

const connects = (address: string, port: number): string =>
  `timeout 5 bash -c ': <>/dev/tcp/${address}/${port}'`;

/** Asks a resolver for a name, as for one that carries something out. */
const looksUp = (server: string): string =>
  `node -e 'const r = new (require("dns").Resolver)({ timeout: 1000, tries: 1 }); r.setServers(["${server}"]); r.resolve4("exfiltrated.example.com", (e) => { console.log(e?.code ?? "found"); process.exit(0); })'`;

/** Asks the model's API through the gateway as any program inside could, with the token that is there. */
const asksModel = (method: string, path: string, headers: string): string =>
  `curl -sS -o /dev/null -w '%{http_code}' -X ${method} -H 'content-type: application/json' ${headers} -d '{}' "$BASE${path}"`;

describe("credentials", () => {
  test("attack 26: the real one reaches the model, and is nowhere in the instance or its gateway", async () => {
    const sent = (await stub.requests()).filter(({ url }) => url.startsWith("/v1/messages"));
    expect(sent.length).toBeGreaterThan(0);
    for (const { headers } of sent) expect(headers["authorization"]).toBe(`Bearer ${secret}`);
    // A pattern that does not match its own command line.
    const pattern = secret.replace("s", "[s]");
    const search = `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -a -c '${pattern}'
grep -r -l -s '${pattern}' / --exclude-dir=proc --exclude-dir=sys | head -3`;
    // Seen to find it where it is.
    const planted = await unprotected(
      `echo ${secret} > /tmp/planted; sleep 60 & export K=${secret}; ${search}`,
    );
    expect(planted.stdout).toContain("/tmp/planted");
    expect((await inside(search)).stdout.trim()).toBe("0");
    const inGateway = await docker(
      "exec",
      `${agent}-gateway`,
      "sh",
      "-c",
      `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -a -c '${pattern}' || true; grep -r -l -s '${pattern}' /tmp /var /home /root /usr/local || true`,
    );
    expect(inGateway).toBe("0");
    for (const name of [agent, `${agent}-gateway`]) {
      expect(await docker("inspect", name)).not.toContain(secret);
      const logs = await runProgram(["docker", "logs", name]);
      expect(logs.stdout + logs.stderr).not.toContain(secret);
    }
    expect(await sandbox.ok(["logs", "work", "--full"])).not.toContain(secret);
    expect(await sandbox.ok(["net", "log", "work"])).not.toContain(secret);
  });

  test("attack 27: neither another key nor another request passes", async () => {
    const environment = (await inside("cat /proc/[0-9]*/environ | tr '\\0' '\\n'")).stdout;
    const token = /^CLAUDE_CODE_OAUTH_TOKEN=(.+)$/m.exec(environment)?.[1] ?? "";
    const base = /^ANTHROPIC_BASE_URL=(.+)$/m.exec(environment)?.[1] ?? "";
    expect(token).toStartWith("hjk-");
    const ask = async (method: string, path: string, headers: string): Promise<string> =>
      (await inside(`BASE=${base}; ${asksModel(method, path, headers)}`)).stdout;
    const before = (await stub.requests()).length;
    expect(await ask("POST", "/v1/messages", "-H 'x-api-key: sk-ant-api03-of-the-attacker'")).toBe("401");
    expect(await ask("POST", "/v1/messages", "")).toBe("401");
    expect(await ask("POST", "/v1/files", `-H 'authorization: Bearer ${token}'`)).toBe("403");
    expect(await ask("POST", "/v1/messages/../files", `--path-as-is -H 'x-api-key: ${token}'`)).toBe("400");
    expect((await stub.requests()).length).toBe(before);
    // And what it may do, it can.
    expect(await ask("POST", "/v1/messages/count_tokens", `-H 'authorization: Bearer ${token}'`)).not.toMatch(
      /40[13]/,
    );
    // The token is of no use to another instance.
    const elsewhere = await inside(
      `BASE=${base}; ${asksModel("POST", "/v1/messages", `-H 'x-api-key: ${token}'`)}`,
      sibling,
    );
    expect(elsewhere.stdout).toBe("401");
  });
});

describe("network", () => {
  test("attack 23: an instance does not reach another, nor its gateway", async () => {
    const addresses = [await addressIn(sibling, sibling), await addressIn(`${sibling}-gateway`, sibling)];
    expect((await inside(connects("hjk-gateway", 8080), sibling)).code).toBe(0);
    for (const address of addresses) expect((await inside(connects(address, 8080))).code).not.toBe(0);
  });

  test("attack 31: there is no way out but the gateway", async () => {
    const { hostname, port } = new URL(stub.url);
    expect((await unprotected(connects(hostname, Number(port)))).code).toBe(0);
    expect((await inside(connects(hostname, Number(port)))).code).not.toBe(0);
    expect((await inside("cat /proc/net/if_inet6 | grep -v ' lo$'")).stdout).toBe("");
  });

  test("attack 32: no name is looked up, by whichever resolver", async () => {
    const resolver = (
      await unprotected("grep -m1 nameserver /etc/resolv.conf | cut -d' ' -f2")
    ).stdout.trim();
    const outside = (await unprotected(looksUp(resolver))).stdout.trim();
    expect(["found", "ENOTFOUND", "ENODATA"]).toContain(outside);
    for (const server of [resolver, "127.0.0.1", "127.0.0.11"])
      expect(["found", "ENOTFOUND", "ENODATA"]).not.toContain((await inside(looksUp(server))).stdout.trim());
    const started = Date.now();
    expect((await inside("getent hosts example.com")).code).toBe(2);
    const once = Date.now() - started;
    const all = Date.now();
    for (let i = 0; i < 3; i += 1) await inside("true");
    // Told at once, in place of after the seconds that a resolver waits.
    expect(once).toBeLessThan((Date.now() - all) * 10);
  });

  test("attack 33: services of this machine are out of reach", async () => {
    const server = Bun.serve({ hostname: "0.0.0.0", port: 0, fetch: () => new Response("of the host") });
    try {
      const addresses = Object.values(networkInterfaces()).flatMap((all = []) =>
        all.filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address),
      );
      const reached = await Promise.all(
        addresses.map(async (address) => (await unprotected(connects(address, server.port ?? 0))).code === 0),
      );
      expect(reached).toContain(true);
      for (const address of addresses) {
        expect((await inside(connects(address, server.port ?? 0))).code).not.toBe(0);
        const asked = await inside(
          `curl -sS -m 5 -o /dev/null -w '%{http_code}' http://${address}:${server.port}/`,
        );
        expect(asked.stdout).toBe("400");
      }
    } finally {
      await server.stop(true);
    }
  });

  test("attack 34: addresses of the cloud and of private networks are refused, in whatever words", async () => {
    const hosts = [
      "169.254.169.254",
      "2852039166",
      "0xA9FEA9FE",
      "127.0.0.1",
      "10.1.2.3",
      "localhost",
      "[::1]",
    ];
    for (const host of hosts) {
      const asked = await inside(
        `curl -sS -m 5 --noproxy '' -o /dev/null -w '%{http_connect}' -x http://hjk-gateway:3128 'https://${host}/'`,
      );
      expect([host, asked.stdout]).toEqual([host, expect.stringMatching(/^40[03]$/)]);
    }
  });

  test("a host that the user allows is reached from that moment on, and what was refused is told", async () => {
    const host = "files.example.test";
    const server = `hjk-test-web-${crypto.randomUUID().slice(0, 8)}`;
    helpers.push(server);
    // In the network of the instance, so that the gateway knows its name.
    const serve = `require("http").createServer((q, s) => s.end("allowed " + q.url)).listen(80)`;
    await docker(
      "run",
      "--detach",
      `--name=${server}`,
      "--user=0:0",
      `--network=${agent}`,
      `--network-alias=${host}`,
      image,
      "node",
      "-e",
      serve,
    );
    try {
      const asks = `curl -sS -m 10 http://${host}/x`;
      expect((await inside(`${asks} -o /dev/null -w '%{http_code}'`)).stdout).toBe("403");
      const log = JSON.parse(await sandbox.ok(["net", "log", "work", "--json"])) as {
        entries: { event: string; target: string; why: string }[];
      };
      expect(log.entries).toContainEqual(
        expect.objectContaining({ event: "deny", target: `${host}:80`, why: "not-allowed" }),
      );
      expect(await sandbox.ok(["net", "allow", "work", host])).toContain(`work may reach ${host}`);
      await eventually(async () => (await inside(asks)).stdout === "allowed /x", "the host is reached");
      // Only this instance, and only this host.
      expect(
        (await inside(`curl -sS -m 5 -o /dev/null -w '%{http_code}' http://${host}/`, sibling)).stdout,
      ).toBe("403");
    } finally {
      await docker("rm", "-f", server);
    }
  });

  test("what can be no host is refused, and nothing is changed", async () => {
    for (const host of ["1.2.3.4", "https://example.com", "*.com", "a b", "-x", "example.com:99999"]) {
      const result = await sandbox.hjk(["net", "allow", "work", "--", host]);
      expect([host, result.code]).toEqual([host, 2]);
    }
  });
});

describe("the user's own package registries", () => {
  /** A tiny package of each kind, as a mirror has them. */
  const serve = `
set -e
mkdir -p /tmp/tiny /tmp/www/npm/- /tmp/www/simple/tiny && cd /tmp/tiny
echo '{"name":"tiny","version":"1.0.0"}' > package.json
npm pack --silent --pack-destination=/tmp/www/npm/- > /tmp/packed
echo '{"name":"tiny","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"tiny","version":"1.0.0",
"dist":{"tarball":"http://mirror.example.test/npm/-/tiny-1.0.0.tgz"}}}}' > /tmp/www/npm/tiny
python3 - <<'END'
import zipfile
with zipfile.ZipFile("/tmp/www/simple/tiny/tiny-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tiny.py", "size = 'tiny'")
    wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("tiny-1.0.dist-info/RECORD", "")
END
exec python3 -m http.server --directory /tmp/www 80`;
  const installs = `set -e
npm install --silent --no-audit --no-fund --prefix /tmp/n tiny && ls /tmp/n/node_modules
pip install --quiet --disable-pip-version-check --target /tmp/p tiny && PYTHONPATH=/tmp/p python3 -c 'import tiny; print(tiny.size)'`;

  test("work inside by themselves, in a private network, too; their credentials stay outside", async () => {
    const password = `pass-${crypto.randomUUID()}`;
    const env = {
      // In capitals it would also be where the base image is built from.
      npm_config_registry: `http://ann:${password}@mirror.example.test/npm/`,
      PIP_INDEX_URL: "http://mirror.example.test/simple",
      PIP_TRUSTED_HOST: "mirror.example.test",
    };
    const made = await sandbox.hjk(["run", "mirror", "-d"], { env });
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toContain("npm_config_registry holds a credential, which stays outside");
    expect(made.stderr).not.toContain(password);
    const container = await containerOf("mirror");
    const server = `${container}-web`;
    helpers.push(server);
    await docker(
      "run",
      "--detach",
      `--name=${server}`,
      "--user=0:0",
      `--network=${container}`,
      "--network-alias=mirror.example.test",
      image,
      "bash",
      "-c",
      serve,
    );
    try {
      await eventually(
        async () => (await inside("curl -sf http://mirror.example.test/npm/tiny", container)).code === 0,
        "the mirror answers",
      );
      expect(await inside(installs, container)).toMatchObject({ code: 0, stdout: "tiny\ntiny\n" });
      expect((await inside("npm config get registry", container)).stdout).toBe(
        "http://mirror.example.test/npm/\n",
      );
      // Also for a gateway that begins anew, from a shell that has none of the variables.
      await docker("kill", `${container}-gateway`);
      await sandbox.ok(["start", "mirror"]);
      expect((await inside("curl -sf http://mirror.example.test/npm/tiny", container)).code).toBe(0);
      for (const name of [container, `${container}-gateway`])
        expect(await docker("inspect", name)).not.toContain(password);
    } finally {
      await docker("rm", "-f", server);
    }
    // Nobody else reaches it, and without the variables it is gone.
    const asks = "curl -sS -m 5 -o /dev/null -w '%{http_code}' http://mirror.example.test/";
    expect((await inside(asks)).stdout).toBe("403");
    await sandbox.ok(["recreate", "mirror"]);
    expect((await inside(`env | grep -c mirror.example; ${asks}`, container)).stdout).toBe("0\n403");
    await sandbox.ok(["rm", "-f", "mirror"]);
  });
});

describe("a proxy of the user's network", () => {
  test("is the way out of gateways: the agent works, allowed hosts are reached, its password is nowhere", async () => {
    const password = `pass-${crypto.randomUUID()}`;
    const web = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("behind the proxy") });
    // The stub under a name that the proxy alone knows: without it nothing would be answered.
    const { hostname, port } = new URL(stub.url);
    const models = createServer((client) => {
      const server = connect({ host: hostname, port: Number(port) });
      for (const socket of [client, server]) socket.on("error", () => client.destroy());
      client.pipe(server).pipe(client);
    }).listen(0, "127.0.0.1");
    await once(models, "listening");
    const places = {
      "models.example.test:80": (models.address() as AddressInfo).port,
      "files.example.test:80": web.port ?? 0,
      "secret.example.test:80": web.port ?? 0,
    };
    using proxy = await CompanyProxy.start(places, { user: `ann:${password}`, address: "0.0.0.0" });
    // This machine, as the engine's own network knows it: where containers meet the stub's, too.
    const host = await docker("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}");
    const env = {
      http_proxy: `http://ann:${password}@${host}:${proxy.port}`,
      HEADJACK_CLAUDE_BASE_URL: "http://models.example.test",
    };
    try {
      const made = await sandbox.hjk(["run", "proxied", "--agent", "claude", "-d", "SCRIPT:work"], { env });
      expect(made).toMatchObject({ code: 0 });
      await sandbox.ok(["wait", "proxied", "--for", "done", "--timeout", "1m"]);
      expect(proxy.asked).toContainEqual(
        expect.stringMatching(/^POST http:\/\/models\.example\.test\/v1\/messages/),
      );
      const container = await containerOf("proxied");
      await sandbox.ok(["net", "allow", "proxied", "files.example.test"], { env });
      const asks = "curl -sS -m 20 http://files.example.test/";
      expect((await inside(asks, container)).stdout).toBe("behind the proxy");
      // The proxy would let it through; the gateway does not.
      const refused = await inside(
        "curl -sS -o /dev/null -w '%{http_code}' http://secret.example.test/",
        container,
      );
      expect(refused.stdout).toBe("403");
      expect(proxy.asked.filter((line) => line.includes("secret"))).toEqual([]);
      // Nor does the instance get to the proxy itself.
      expect((await unprotected(connects(host, proxy.port))).code).toBe(0);
      expect((await inside(connects(host, proxy.port), container)).code).not.toBe(0);
      const encoded = btoa(`ann:${password}`);
      for (const name of [container, `${container}-gateway`]) {
        const logs = await runProgram(["docker", "logs", name]);
        const processes = await docker(
          "exec",
          name,
          "sh",
          "-c",
          "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline",
        );
        const told = [await docker("inspect", name), processes, logs.stdout, logs.stderr].join("\n");
        for (const one of [password, encoded]) expect(told).not.toContain(one);
      }
      const kept = await runProgram(["grep", "-rlaE", `${password}|${encoded}`, sandbox.folder]);
      expect(kept.stdout).toBe("");
    } finally {
      models.close();
      await web.stop(true);
      await sandbox.ok(["rm", "-f", "proxied"]);
    }
  });

  test("on this machine alone is of no use to gateways, and that is told", async () => {
    const made = await sandbox.hjk(["run", "local", "-d"], { env: { HTTPS_PROXY: "http://127.0.0.1:3128" } });
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toContain(
      "warning: HTTPS_PROXY leads to this machine itself, where gateways do not get; gateways go out without it.",
    );
    await sandbox.ok(["rm", "-f", "local"]);
  });
});

describe("walls", () => {
  test("an instance that would have another way out is not started, and says so", async () => {
    await sandbox.ok(["run", "leaky", "-d"]);
    const container = await containerOf("leaky");
    await sandbox.ok(["stop", "leaky"]);
    await docker("network", "connect", "bridge", container);
    const started = await sandbox.hjk(["start", "leaky"]);
    expect(started.code).toBe(1);
    expect(started.stderr).toContain("it has a route around the gateway");
    expect(started.stderr).toContain("hjk recreate leaky");
    expect(await docker("inspect", "-f", "{{.State.Running}}", container)).toBe("false");
    await sandbox.ok(["recreate", "leaky"]);
    expect((await inside(connects("hjk-gateway", 8080), container)).code).toBe(0);
    await sandbox.ok(["rm", "-f", "leaky"]);
  });

  test("without its gateway an instance reaches nothing, and the next command brings the gateway back", async () => {
    await docker("kill", `${sibling}-gateway`);
    expect((await inside(connects("hjk-gateway", 3128), sibling)).code).not.toBe(0);
    await sandbox.ok(["start", "other"]);
    expect((await inside(connects("hjk-gateway", 3128), sibling)).code).toBe(0);
  });

  test("gateway and network go with their instance", async () => {
    await sandbox.ok(["run", "gone", "-d"]);
    const container = await containerOf("gone");
    expect(await docker("network", "ls", "-q", "-f", `name=^${container}$`)).not.toBe("");
    await sandbox.ok(["rm", "-f", "gone"]);
    expect(await docker("network", "ls", "-q", "-f", `name=^${container}$`)).toBe("");
    expect(await docker("ps", "-aq", "-f", `name=^/${container}`)).toBe("");
  });

  test("a network of the user's own choice is theirs, without a gateway", async () => {
    await sandbox.ok(["run", "own", "--agent", "claude", "-d", "SCRIPT:work", "--", "--network=bridge"]);
    const container = await containerOf("own");
    expect(await docker("ps", "-aq", "-f", `name=^/${container}-gateway$`)).toBe("");
    const log = await sandbox.hjk(["net", "log", "own"]);
    expect(log.code).toBe(1);
    expect(log.stderr).toContain("has no gateway");
    // Its agent has the credential itself then, and that is said.
    await sandbox.ok(["wait", "own", "--for", "done", "--timeout", "1m"]);
    const protections = (await sandbox.instances()).map(({ branch, notice, sessions }) => [
      branch,
      sessions[0]?.protection,
      notice.includes("Weak: "),
    ]);
    expect(protections).toContainEqual(["own", "weak", true]);
    expect(protections).toContainEqual(["work", "gateway", false]);
    expect(protections).toContainEqual(["other", null, false]);
    expect((await sandbox.hjk(["doctor"])).stdout).toMatch(/\(own\): weak protection/);
    await sandbox.ok(["rm", "-f", "own"]);
  });
});
