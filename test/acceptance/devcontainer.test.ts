import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { baseImageTag, runProgram, Sandbox } from "../support/harness.ts";

/* A repository's devcontainer.json: what is taken of it, and that nothing of it reaches this machine. */

setDefaultTimeout(300_000);

let sandbox: Sandbox;
const mark = crypto.randomUUID().slice(0, 8);
const user = process.getuid?.() === 0 ? 1000 : (process.getuid?.() ?? 1000);

beforeAll(async () => {
  sandbox = await Sandbox.create();
  Object.assign(sandbox.env, { OF_THE_HOST: "secret-of-the-host" });
  await runProgram(["docker", "tag", await baseImageTag(), "headjack-base:latest"]);
});

afterAll(async () => {
  for (const { id } of await sandbox.instances()) await sandbox.hjk(["rm", "-f", id]);
  await sandbox.hjk(["gc"]);
  await sandbox[Symbol.asyncDispose]();
});

/** Commits files of the repository in place of those that it had for this. */
async function commit(files: Record<string, string | object>): Promise<void> {
  await rm(join(sandbox.repo, ".devcontainer"), { recursive: true, force: true });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(sandbox.repo, name)), { recursive: true });
    const text = typeof content === "string" ? content : JSON.stringify(content, undefined, 2);
    await writeFile(join(sandbox.repo, name), text);
  }
  await sandbox.git("add", "--all");
  await sandbox.git("commit", "--quiet", "-m", "files");
}

async function says(branch: string, line: string): Promise<string> {
  return (await sandbox.inside(branch, ["sh", "-c", line])).stdout;
}

const file = ".devcontainer/devcontainer.json";

describe("a devcontainer.json with an image only", () => {
  const config = {
    name: `App ${mark}`,
    image: "headjack-base",
    containerEnv: { GREETING: "hello $(id)", TAKEN: "${localEnv:OF_THE_HOST}" },
    onCreateCommand: ["sh", "-c", "echo create >> ~/order"],
    postCreateCommand: { one: "echo post ${containerWorkspaceFolder} >> ~/order", two: "git status --short" },
    postStartCommand: "echo start >> ~/order",
    remoteUser: "root",
  };

  test("is refused with what it would do where nobody can be asked, and nothing is made", async () => {
    await commit({ [file]: config });
    const refused = await sandbox.hjk(["run", "image", "-d"]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain('  |   "image": "headjack-base"');
    expect(refused.stderr).toContain("--no-devcontainer");
    expect(await sandbox.instances()).toEqual([]);
  });

  test("comes up once approved, with its commands run inside, and git at work", async () => {
    await sandbox.ok(["setup", "--approve"]);
    const made = await sandbox.hjk(["run", "image", "-d"]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toContain(
      "Left out of .devcontainer/devcontainer.json: variables of this machine (OF_THE_HOST).",
    );
    expect(made.stderr).toContain("Setting up image (hooks.create): sh -c 'echo create >> ~/order'");
    expect(await says("image", 'cat ~/order; echo "$GREETING|$TAKEN"; id -u; pwd')).toBe(
      `create\npost /workspace\nstart\nhello $(id)|\n${user}\n/workspace\n`,
    );
    await sandbox.inside("image", [
      "sh",
      "-c",
      "echo x > by-agent && git add . && git commit -qm 'by agent'",
    ]);
    await sandbox.ok(["stop", "image"]);
    expect(await sandbox.git("log", "-1", "--format=%s", "image")).toBe("by agent");
    await sandbox.ok(["start", "image"]);
    expect(await says("image", "cat ~/order")).toBe("create\npost /workspace\nstart\nstart\n");
  });

  test("what an agent has made of it counts for nothing, also when the container is made anew", async () => {
    const { image } = await sandbox.instance("image");
    const change = `echo '{"image":"evil","initializeCommand":"touch /tmp/evil-${mark}"}' > ${file} && git commit -qam evil`;
    await sandbox.inside("image", ["sh", "-c", change]);
    await sandbox.ok(["recreate", "image"]);
    expect((await sandbox.instance("image")).image).toBe(image);
    expect(await says("image", "cat ~/order")).toBe("create\npost /workspace\nstart\n");
    await sandbox.ok(["rm", "-f", "image"]);
  });

  test("--image, --no-devcontainer and --no-setup go before it", async () => {
    for (const [branch, ...options] of [
      ["named", "--image", "headjack-base"],
      ["without", "--no-devcontainer"],
      ["nothing", "--no-setup"],
    ] as const) {
      await sandbox.ok(["run", branch, "-d", ...options]);
      expect(await says(branch, 'echo "$GREETING"; ls ~')).toBe("\n");
      await sandbox.ok(["rm", "-f", branch]);
    }
  });
});

describe("one with a Dockerfile and a feature from a folder", () => {
  const ran = `/tmp/hjk-test-initialize-${mark}`;

  test("comes up; nothing of it is run on this machine, and no right or mount of it is given", async () => {
    await commit({
      [file]: {
        build: {
          dockerfile: "Dockerfile",
          args: { WHO: "${localEnv:OF_THE_HOST:nobody}" },
          options: ["--network=host"],
        },
        features: { "./tool": { greeting: "hello" } },
        remoteUser: "app",
        initializeCommand: `touch ${ran}`,
        runArgs: ["--privileged", "-v", "/:/host"],
        mounts: ["source=/,target=/host,type=bind"],
        privileged: true,
        capAdd: ["SYS_ADMIN"],
        securityOpt: ["seccomp=unconfined"],
      },
      ".devcontainer/Dockerfile": `FROM debian:bookworm-slim\nARG WHO\nRUN useradd --create-home --uid 4321 app && echo $WHO > /who # ${mark}\n`,
      ".devcontainer/tool/devcontainer-feature.json": {
        id: "tool",
        version: "1.0.0",
        options: { greeting: { type: "string", default: "hi" } },
        containerEnv: { OF_FEATURE: "yes" },
        postCreateCommand: "echo of feature > ~/feature",
        privileged: true,
        mounts: [{ source: "/", target: "/host", type: "bind" }],
      },
      ".devcontainer/tool/install.sh": `#!/bin/sh\nprintf '#!/bin/sh\\necho %s\\n' "$GREETING" > /usr/local/bin/greet\nchmod 755 /usr/local/bin/greet\n`,
    });
    await sandbox.ok(["setup", "--approve"]);
    const made = await sandbox.hjk(["run", "feature", "-d"]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toMatch(
      /Left out of .*initializeCommand.*mounts.*runArgs.*privileged.*capAdd.*securityOpt.*build.options/,
    );
    expect(
      await says("feature", "greet; cat /who ~/feature; id -un; id -u; echo $OF_FEATURE; ls -d /host 2>&1"),
    ).toMatch(new RegExp(`^hello\\nnobody\\nof feature\\napp\\n${user}\\nyes\\nls: cannot access '/host'`));
    expect(
      await says("feature", "touch $HOME/x /workspace/x && git status --short; claude --version"),
    ).toMatch(/^\?\? x\n.*Claude Code/);
    const { container } = await sandbox.instance("feature");
    const { stdout } = await runProgram(["docker", "inspect", container]);
    const [found] = JSON.parse(stdout) as { HostConfig: object; Mounts: { Source: string }[] }[];
    expect(found?.HostConfig).toMatchObject({ Privileged: false, CapAdd: [] });
    expect(found?.Mounts.map(({ Source }) => Source)).not.toContain("/");
    expect(await Bun.file(ran).exists()).toBe(false);
    expect(JSON.stringify(stdout)).not.toContain("secret-of-the-host");
    await sandbox.ok(["rm", "-f", "feature"]);
  });

  test("another content of a file that it builds with is asked for anew; a link leads its builder nowhere", async () => {
    await rm(join(sandbox.repo, ".devcontainer/tool"), { recursive: true });
    await mkdir(join(sandbox.folder, "outside"));
    await writeFile(
      join(sandbox.folder, "outside", "devcontainer-feature.json"),
      '{"id":"tool","version":"1.0.0"}',
    );
    await writeFile(join(sandbox.folder, "outside", "install.sh"), "#!/bin/sh\n");
    await runProgram(["ln", "-s", join(sandbox.folder, "outside"), join(sandbox.repo, ".devcontainer/tool")]);
    await sandbox.git("add", "--all");
    await sandbox.git("commit", "--quiet", "-m", "link");
    expect(await sandbox.hjk(["run", "link", "-d"])).toMatchObject({ code: 2, stdout: "" });
    await sandbox.ok(["setup", "--approve"]);
    const failed = await sandbox.hjk(["run", "link", "-d"]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain("The image of .devcontainer/devcontainer.json could not be built");
    expect(await sandbox.instances()).toEqual([]);
  });
});

test("one with compose: the image of its service comes up, and it is said what does not", async () => {
  await commit({
    [file]: {
      dockerComposeFile: "compose.yml",
      service: "app",
      workspaceFolder: "/srv",
      postCreateCommand: "echo up > ~/up",
    },
    ".devcontainer/compose.yml": `
services:
  app:
    build: { context: .., dockerfile: .devcontainer/Dockerfile }
    environment: { DB_HOST: db, KEY: "\${OF_THE_HOST}" }
    volumes: ["/:/host"]
    privileged: true
    command: sleep infinity
  db: { image: "no-such-database" }
`,
    ".devcontainer/Dockerfile": `FROM headjack-base\nCOPY package.json /home/developer/of-context\n# ${mark}\n`,
  });
  await sandbox.ok(["setup", "--approve"]);
  const made = await sandbox.hjk(["run", "compose", "-d"]);
  expect(made).toMatchObject({ code: 0 });
  expect(made.stderr).toContain("the services db; volumes, privileged of the service app");
  expect(await says("compose", 'echo "$DB_HOST|$KEY"; cat ~/up; ls ~; ls -d /host 2>/dev/null')).toBe(
    "db|\nup\nof-context\nup\n",
  );
  await sandbox.ok(["rm", "-f", "compose"]);
});
