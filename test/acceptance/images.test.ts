import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { baseImageTag, ModelStub, root, runProgram, Sandbox } from "../support/harness.ts";

/* Images other than the base image: of the user's own, built from a path, or from a repository's Dockerfile.headjack. */

setDefaultTimeout(300_000);

let stub: ModelStub;
let sandbox: Sandbox;
/** In names and contents, so that nothing of an earlier run of this test is found. */
const mark = crypto.randomUUID().slice(0, 8);
const user = process.getuid?.() === 0 ? 1000 : (process.getuid?.() ?? 1000);

beforeAll(async () => {
  stub = await ModelStub.start();
  sandbox = await Sandbox.create({ stub });
  await runProgram(["docker", "tag", await baseImageTag(), "headjack-base:latest"]);
});

afterAll(async () => {
  await rm(`/tmp/hjk-test-filter-${mark}`, { force: true });
  for (const { id } of await sandbox.instances()) await sandbox.hjk(["rm", "-f", id]);
  await sandbox.hjk(["gc"]);
  await sandbox[Symbol.asyncDispose]();
  await stub.stop();
  const { stdout } = await runProgram(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]);
  const own = stdout.split("\n").filter((name) => name.includes(mark));
  if (own.length > 0) await runProgram(["docker", "rmi", ...own]);
});

/** Writes files below the repository, or another folder. */
async function write(files: Record<string, string>, folder = sandbox.repo): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

/** Commits files of the repository. */
async function commit(files: Record<string, string>): Promise<void> {
  await write(files);
  await sandbox.git("add", "--all");
  await sandbox.git("commit", "--quiet", "-m", "files");
}

/** Builds an image whose name has the mark. */
async function build(name: string, files: Record<string, string>): Promise<string> {
  const folder = join(sandbox.folder, name);
  await write(files, folder);
  const tag = `hjk-test-${mark}-${name}`;
  const built = await runProgram(["docker", "build", "--quiet", "--tag", tag, folder]);
  expect(built).toMatchObject({ code: 0 });
  return tag;
}

/** What a line of shell prints in the container of a branch. */
async function says(branch: string, line: string): Promise<string> {
  return (await sandbox.inside(branch, ["sh", "-c", line])).stdout;
}

/** An image with nothing but Busybox and bash, as another C library than glibc would have it. */
const bare = `
FROM debian:bookworm-slim AS source
RUN apt-get update && apt-get install -y --no-install-recommends bash-static busybox-static
FROM scratch
COPY --from=source /bin/busybox /bin/bash-static /bin/
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /etc/ssl /tmp /lib /root && chmod 1777 /tmp && mv /bin/bash-static /bin/bash && echo ${mark} > /etc/ssl/cert.pem \\
  && echo root:x:0:0::/root:/bin/sh > /etc/passwd && echo root:x:0: > /etc/group
`;
/** A stand-in for the package manager of a family that cannot be had here. */
const manager = (name: string): string =>
  `RUN printf '#!/bin/sh\\necho %s "$@" >> /asked\\nfor word; do case $word in curl|git|git-lfs) cp /bin/true /bin/$word;; esac; done\\n' ${name} > /bin/${name} && chmod 755 /bin/${name}\n`;

describe("an image that is not made for agents", () => {
  const dockerfile = `
FROM debian:bookworm-slim
LABEL mark=${mark} headjack.instance=other headjack.from=other headjack.flags="--privileged -v /:/host"
LABEL devcontainer.metadata='[{"privileged":true,"mounts":["source=/,target=/host,type=bind"]}]'
RUN useradd --uid 4321 app && printf '#!/bin/sh\\necho of the project\\n' > /usr/local/bin/node \\
  && cp /usr/local/bin/node /usr/local/bin/gemini && chmod 755 /usr/local/bin/*
RUN mkdir -p /data && echo kept > /data/file && chmod 777 /data
ENV OF_IMAGE=yes
SHELL ["/bin/false"]
USER app
WORKDIR /srv
VOLUME ["/data", "/workspace"]
EXPOSE 80
STOPSIGNAL SIGWINCH
HEALTHCHECK --interval=1s CMD touch /tmp/checked
ONBUILD COPY not-there /not-there
ONBUILD RUN ["/bin/false"]
ENTRYPOINT ["/bin/false"]
CMD ["/bin/false"]
`;
  let image: string;

  test("gets what it lacks, once, and keeps what it has", async () => {
    image = await build("foreign", { Dockerfile: dockerfile });
    const made = await sandbox.hjk(["run", "foreign", "-d", "--image", image]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toMatch(/building headjack-tools:[0-9a-f]{8}-[0-9a-f]{12}, which adds to hjk-test-/);
    expect(await says("foreign", "bash --version; curl --version; git --version; git lfs version")).toMatch(
      /GNU bash[^]*curl 7[^]*git version 2[^]*git-lfs/,
    );
    expect(await says("foreign", "node; gemini; claude --version; codex --version; echo $OF_IMAGE")).toMatch(
      /^of the project\nof the project\n\d+\.\d+\.\d+ \(Claude Code\)\ncodex-cli \d+\.\d+\.\d+\nyes\n$/,
    );
    const again = await sandbox.hjk(["run", "second", "-d", "--image", image]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).not.toContain("building");
    await sandbox.ok(["rm", "-f", "second"]);
    expect(await sandbox.hjk(["run", "foreign", "-d", "--image", image])).toMatchObject({ code: 0 });
    expect(await sandbox.hjk(["run", "foreign", "-d", "--image", "debian:other"])).toMatchObject({ code: 2 });
  });

  test("its user has the host's ids and a home; files made inside are the host user's", async () => {
    expect(await says("foreign", "id -u; pwd; touch $HOME/x made-inside && ls $HOME")).toBe(
      `${user}\n/workspace\nx\n`,
    );
    const { workspace } = await sandbox.instance("foreign");
    const { stdout } = await runProgram(["stat", "--format=%u", join(workspace, "made-inside")]);
    expect(stdout).toBe(`${user}\n`);
    expect(await says("foreign", "git status --short")).toBe("?? made-inside\n");
  });

  test("nothing that it says of itself counts: no check, no flag, no mount, no signal, no volume of ours", async () => {
    const { container } = await sandbox.instance("foreign");
    const { stdout } = await runProgram(["docker", "inspect", container]);
    const [found] = JSON.parse(stdout) as {
      Config: Record<string, unknown> & { Labels: Record<string, string> };
      HostConfig: Record<string, unknown>;
      State: Record<string, unknown>;
      Mounts: { Destination: string; Type: string }[];
    }[];
    expect(found?.HostConfig).toMatchObject({ Privileged: false, PortBindings: null });
    expect(found?.State["Health"]).toBeUndefined();
    expect(found?.Config).toMatchObject({ StopSignal: "SIGTERM", WorkingDir: "/workspace" });
    expect(found?.Config.Labels["headjack.instance"]).toBe((await sandbox.instance("foreign")).id);
    const mounts = new Map(found?.Mounts.map(({ Destination, Type }) => [Destination, Type]));
    expect(mounts.get("/workspace")).toBe("bind");
    expect(mounts.has("/host")).toBe(false);
    expect(
      await says("foreign", "cat /data/file; ls /tmp/checked /not-there 2>/dev/null; ls /host 2>/dev/null"),
    ).toBe("kept\n");
    // A container that does not know the signal would be waited for.
    await sandbox.ok(["stop", "foreign"]);
    const { stdout: code } = await runProgram(["docker", "inspect", "-f", "{{.State.ExitCode}}", container]);
    expect(code).toBe("143\n");
  });

  test("an agent works in it", async () => {
    await sandbox.ok(["run", "foreign", "--agent", "claude", "-d", "SCRIPT:work"]);
    await sandbox.ok(["wait", "foreign", "--timeout", "2m"]);
    expect(await sandbox.git("log", "-1", "--format=%s", "foreign")).not.toBe("Add the sample app");
    expect(await sandbox.git("ls-tree", "--name-only", "foreign")).toContain("hello.txt");
    await sandbox.ok(["rm", "-f", "foreign"]);
  });

  test("one that would hide the workspace's files, and one in which nothing can run, are refused", async () => {
    const hiding = await build("hiding", {
      Dockerfile: "FROM debian:bookworm-slim\nVOLUME /workspace/node_modules\n",
    });
    const refused = await sandbox.hjk(["run", "hiding", "-d", "--image", hiding]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("asks for a volume at /workspace/node_modules");
    const empty = await build("empty", { Dockerfile: "FROM scratch\nCOPY Dockerfile /x\n" });
    const failed = await sandbox.hjk(["run", "empty", "-d", "--image", empty]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain("nothing can be run in it");
    const missing = await sandbox.hjk(["run", "missing", "-d", "--image", "no-such-image"]);
    expect(missing).toMatchObject({ code: 3, stdout: "" });
    expect(missing.stderr).toContain("--image ./no-such-image");
    expect((await sandbox.instances()).map(({ branch }) => branch)).toEqual([]);
  });

  test("agents run in one without their C library, too, as those of Alpine are", async () => {
    const image = await build("bare", { Dockerfile: bare + manager("apk") });
    await sandbox.ok(["run", "bare", "-d", "--image", image]);
    expect(await says("bare", "claude --version; codex --version; gemini --version; id -un")).toMatch(
      /^\d+\.\d+\.\d+ \(Claude Code\)\ncodex-cli \d+\.\d+\.\d+\n\d+\.\d+\.\d+\ndeveloper\n$/,
    );
    expect(await says("bare", "cat /asked")).toBe("apk add --no-cache curl git git-lfs\n");
    await sandbox.ok(["rm", "-f", "bare"]);
  });

  test.each([
    ["dnf", "install -y --setopt=install_weak_deps=False"],
    ["microdnf", "install -y --setopt=install_weak_deps=0"],
  ])("what it lacks comes by %s; without agents to add nothing else is", async (name, how) => {
    const image = await build(name, { Dockerfile: bare + manager(name) });
    await sandbox.ok(["config", "image.agents", ""]);
    await sandbox.ok(["run", "other", "-d", "--image", image]);
    expect(await says("other", "cat /asked; ls /opt/headjack")).toBe(
      `${name} ${how} curl git git-lfs\n${name} clean all\nadd.sh\nextra-ca.crt\n`,
    );
    await sandbox.ok(["rm", "-f", "other"]);
    await sandbox.ok(["config", "--unset", "image.agents"]);
  });

  test("one that lacks something and has no package manager is refused with what it lacks", async () => {
    const image = await build("none", { Dockerfile: bare });
    const failed = await sandbox.hjk(["run", "none", "-d", "--image", image]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain("it lacks curl git git-lfs, and has none of apt-get, apk, dnf, microdnf");
    expect(await sandbox.instances()).toEqual([]);
  });
});

describe("an image that is built from a path", () => {
  test("a folder: built with its files, seen to go on; what is changed is built by recreate", async () => {
    await write({
      "agent-image/Dockerfile": `FROM headjack-base\nUSER root\nCOPY version /opt/version\n# ${mark}\n`,
      "agent-image/version": "1\n",
    });
    const made = await sandbox.hjk(["run", "built", "-d", "--image", "./agent-image"]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toMatch(/building the image of .*agent-image[^]*Step|#\d/);
    // It is built from the base image, and lacks nothing.
    expect(made.stderr).not.toContain("headjack-tools");
    expect(await says("built", "cat /opt/version; id -u")).toBe(`1\n${user}\n`);
    expect(await sandbox.hjk(["run", "built", "-d", "--image", "./agent-image"])).toMatchObject({ code: 0 });
    await write({ "agent-image/version": "2\n" });
    await sandbox.ok(["recreate", "built"]);
    expect(await says("built", "cat /opt/version")).toBe("2\n");
    await sandbox.ok(["rm", "-f", "built"]);
  });

  test("a Dockerfile, also by default.base_image and its variable", async () => {
    await write({
      "agent-image/other.Dockerfile": "FROM headjack-base\nCOPY version /home/developer/other\n",
    });
    const file = join(sandbox.repo, "agent-image", "other.Dockerfile");
    await sandbox.ok(["config", "default.base_image", file]);
    await sandbox.ok(["run", "usual", "-d"]);
    expect(await says("usual", "cat ~/other")).toBe("2\n");
    await sandbox.ok(["config", "--unset", "default.base_image"]);
    const other = await sandbox.hjk(["run", "variable", "-d"], { env: { HEADJACK_BASE_IMAGE: "/nowhere" } });
    expect(other).toMatchObject({ code: 3, stdout: "" });
    expect(other.stderr).toContain("There is nothing at /nowhere");
    await sandbox.ok(["rm", "-f", "usual"]);
  });

  test("one that cannot be built says why, and nothing is made", async () => {
    await write({ "bad-image/Dockerfile": "FROM headjack-base\nRUN echo this is why >&2; exit 7\n" });
    const failed = await sandbox.hjk(["run", "bad", "-d", "--image", "./bad-image"]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain("this is why");
    const none = await sandbox.hjk(["run", "bad", "-d", "--image", "./src"]);
    expect(none).toMatchObject({ code: 3, stdout: "" });
    expect(none.stderr).toContain("There is no Dockerfile in ");
    expect(await sandbox.instances()).toEqual([]);
    for (const folder of ["agent-image", "bad-image"])
      await rm(join(sandbox.repo, folder), { recursive: true });
  });
});

describe("Dockerfile.headjack", () => {
  const ran = `/tmp/hjk-test-filter-${mark}`;
  const dockerfile = `FROM headjack-base\nUSER root\nCOPY tools/version text.txt /opt/own/\n# ${mark}\n`;

  test("is built only once that is approved, from the commit where the branch begins", async () => {
    // Git runs it for the file that names it, in a folder where the user's configuration counts.
    await sandbox.git("config", "--global", "filter.own.smudge", `pwd >> ${ran}; cat`);
    await commit({
      "Dockerfile.headjack": dockerfile,
      "tools/version": "1\n",
      "text.txt": "x\n",
      secret: "not named\n",
      ".gitattributes": "tools/version filter=own\n",
    });
    const refused = await sandbox.hjk(["run", "own", "-d"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("from Dockerfile.headjack, with tools/version text.txt:");
    expect(refused.stderr).toContain("  | FROM headjack-base");
    expect(await sandbox.instances()).toEqual([]);
    await write({ "tools/version": "of the working tree\n" });
    await sandbox.ok(["setup", "--approve"]);
    const made = await sandbox.hjk(["run", "own", "-d"]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toMatch(/building headjack-built:[0-9a-f]{12} from Dockerfile.headjack of my-app/);
    expect(await says("own", "cat /opt/own/version")).toBe("1\n");
    await sandbox.git("checkout", "--", "tools/version");
  });

  test("its context is what it names, and no filter is run for it", async () => {
    const lines = (await readFile(ran, "utf8")).trim().split("\n");
    expect(lines.filter((line) => line.includes("hjk-tree-"))).toEqual([]);
    expect(await says("own", "ls -A /opt/own")).toBe("text.txt\nversion\n");
    await sandbox.ok(["rm", "-f", "own"]);
    await commit({ "Dockerfile.headjack": `${dockerfile}COPY secre[t] /opt/own/\n` });
    expect((await sandbox.hjk(["setup"])).stdout).toContain("with all of its files:");
    await commit({ "Dockerfile.headjack": dockerfile, "tools/version": "2\n" });
    // Another content of what it copies is another matter.
    expect(await sandbox.hjk(["run", "more", "-d"])).toMatchObject({ code: 2, stdout: "" });
    await sandbox.ok(["setup", "--approve"]);
  });

  test("is that of the commit where the branch began, whatever an agent has committed since", async () => {
    await sandbox.ok(["run", "more", "-d"]);
    const { image } = await sandbox.instance("more");
    await sandbox.inside("more", [
      "sh",
      "-c",
      "echo 'FROM evil' > Dockerfile.headjack && git commit -qam agent",
    ]);
    await sandbox.ok(["recreate", "more"]);
    expect((await sandbox.instance("more")).image).toBe(image);
    const next = await sandbox.hjk(["run", "next", "-d", "--from", "more"]);
    expect(next).toMatchObject({ code: 2, stdout: "" });
    expect(next.stderr).toContain("  | FROM evil");
    // What else changes in the repository makes no other image.
    await commit({ unrelated: "x\n" });
    await sandbox.ok(["run", "later", "-d"]);
    expect((await sandbox.instance("later")).image).toBe(image);
    await sandbox.ok(["rm", "-f", "later"]);
  });

  test("--image and --no-setup go before it", async () => {
    await commit({ "Dockerfile.headjack": "FROM no-such-image\n" });
    await sandbox.ok(["run", "named", "-d", "--image", "headjack-base"]);
    expect(await says("named", "ls /opt")).toBe("");
    await sandbox.ok(["run", "without", "-d", "--no-setup"]);
    expect(await says("without", "ls /opt")).toBe("");
    await sandbox.ok(["rm", "-f", "named", "without", "more"]);
    await sandbox.git("rm", "--quiet", "Dockerfile.headjack");
    await sandbox.git("commit", "--quiet", "-m", "without");
  });
});

test("docs/images.md: what it says of an image of one's own can be done", async () => {
  const page = await readFile(join(root, "docs", "images.md"), "utf8");
  const section = page.split("\n## ").find((part) => part.startsWith("Building a custom image")) ?? "";
  const blocks = [...section.matchAll(/(?:<!-- test: file (\S+) -->\n\n)?```(\w+)\n([^]*?)```/g)];
  expect(blocks.length).toBeGreaterThan(3);
  for (const [, file, language, text = ""] of blocks) {
    if (file !== undefined) await write({ [file]: text });
    if (language !== "bash") continue;
    const ran = await runProgram(["bash", "-e", "-c", text], {
      cwd: sandbox.repo,
      env: { ...sandbox.env, PATH: `${join(root, "dist")}:${process.env["PATH"]}` },
    });
    expect({ text, ...ran }).toMatchObject({ code: 0 });
    const shown = blocks[blocks.findIndex(([, , , other]) => other === text) + 1];
    if (shown?.[2] === "text")
      for (const line of (shown[3] ?? "").trim().split("\n"))
        expect(ran.stdout).toMatch(new RegExp(RegExp.escape(line).replaceAll(/\\\.\\\.\\\./g, ".*")));
  }
});
