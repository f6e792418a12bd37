import { runUnchecked } from "../drivers/process.ts";
import type { AllowedHost } from "../gateway/config.ts";
import { hostName } from "../gateway/rules.ts";
import type { InstanceRecord } from "../store/records.ts";
import { hostEntry } from "./gateway.ts";
import { helperSpec, repositoryOf } from "./container.ts";
import type { Deps } from "./deps.ts";

/** Bytes and milliseconds for the answer of an image's tools. */
const mostOutput = 256 * 1024;
const answerMs = 30_000;

/**
 * Where the package managers of an instance's image get their packages, as the image has them set: a
 * company's mirrors, which lie in its own network, are known as well as the usual places. Asked once an image, in a container without network.
 */
export async function registriesOf(deps: Deps, instance: InstanceRecord): Promise<AllowedHost[]> {
  const engine = await deps.engine();
  const image = await engine.imageId(instance.image);
  if (image === undefined) return [];
  let hosts = deps.store.registries(image);
  if (hosts === undefined) {
    const spec = await helperSpec(deps, instance, ["sh", "-c", askScript], { workspace: false });
    // What is remembered is the image's, and not what the user has set for it.
    const { stdout } = await runUnchecked(engine.runCommand({ ...spec, mounts: [], environment: {} }), {
      env: { ...deps.env, ...engine.environment },
      timeoutMs: answerMs,
      maxOutputBytes: mostOutput,
    });
    hosts = hostsIn(stdout);
    deps.store.saveRegistries(image, hosts);
  }
  return hosts.map((host) => hostEntry(host));
}

/** Each tool is asked, or its files read; what is not there says nothing. */
const askScript = `
exec 2>/dev/null
npm config get registry
python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.url, "https://" + PyPI.file_storage_domain)'
python3 -m pip config list
grep -hE '^(deb|deb-src|URIs:) ' /etc/apt/sources.list /etc/apt/sources.list.d/*
cat /etc/apk/repositories
grep -hE '^(baseurl|metalink|mirrorlist) *=' /etc/yum.repos.d/*.repo
grep -hE '(registry|index|replace-with) *=' "\${CARGO_HOME:-$HOME/.cargo}/config.toml"
go env GOPROXY GOSUMDB | sed -E 's,(^|[ |\\,])([a-z0-9.-]+[.][a-z]+),\\1https://\\2,g'
exit 0
`;

/** Hosts of the web addresses in a text, with a port where it is not the usual one. What it comes from is an image's: hostile. */
export function hostsIn(text: string): string[] {
  const found = new Set<string>();
  for (const [address] of text.matchAll(/https?:\/\/[^\s'"|,\]]{1,300}/g)) {
    const url = URL.parse(address);
    if (url === null || hostName(url.hostname) === undefined) continue;
    found.add(url.port === "" ? url.hostname : `${url.hostname}:${url.port}`);
  }
  return [...found].slice(0, 100);
}

/** The hosts that the repository comes from, for reading what else is there. */
export async function remoteHosts(deps: Deps, instance: InstanceRecord): Promise<AllowedHost[]> {
  const repository = await repositoryOf(deps, instance);
  const { stdout } = await deps.git.try(["config", "--get-regexp", String.raw`^remote\..*\.url$`], {
    cwd: repository.gitDir,
  });
  const hosts = stdout.split("\n").flatMap((line) => {
    const url = line.slice(line.indexOf(" ") + 1);
    // `https://host/...`, `ssh://git@host/...`, `git@host:...`
    const host = /^(?:(?:https?|ssh):\/\/)?(?:[^@/]*@)?([a-z0-9.-]+)(?=[:/])/i.exec(url)?.[1]?.toLowerCase();
    return host === undefined || hostName(host) === undefined || !host.includes(".") ? [] : [host];
  });
  return [...new Set(hosts)].map((host) => ({ host, ports: [443], private: true }));
}
