import { mkdir, writeFile } from "node:fs/promises";
import { constants as osConstants } from "node:os";
import { dirname, join } from "node:path";
import { HeadjackError } from "../errors.ts";
import { ProcessError, run, runUnchecked, shellQuote, type Environment, type RunResult } from "./process.ts";

export interface TmuxOptions {
  /** Path of our own server's socket; shorter than 100 bytes, which is what the system allows. */
  socket: string;
  env: Environment;
  /**
   * argv that the server runs on the host when a session's program has ended or its screen has come to
   * rest; the session's tmux name is appended.
   */
  eventCommand: readonly string[];
}

export interface NewSession {
  name: string;
  command: readonly string[];
  cols: number;
  rows: number;
  /** File that the session's output is recorded in. */
  log: string;
  /** Shown at the bottom while someone is attached. */
  title: string;
  /** Milliseconds after which somebody must look at it, which is an event too. */
  checkInMs: number | undefined;
}

export interface TmuxSession {
  /** tmux's own number for it, never used twice; a name may be given again at any moment. */
  id: string;
  name: string;
  attached: boolean;
  /** The program has ended; `exitCode` says how. */
  dead: boolean;
  /** Exit code of the program, 128 + the number of a signal that ended it; undefined while it is not known. */
  exitCode: number | undefined;
  /** Unix time in milliseconds of the last output, exact to a second. */
  activityAt: number;
  /** What its program has set its terminal's title to; undefined where it has set none. Hostile. */
  title: string | undefined;
}

/** Bytes of a recording at most; what is older goes to `<log>.1`, so that one session keeps at most twice this. */
const logLimitBytes = 16 * 1024 * 1024;

/** Seconds without output after which a screen has come to rest. */
const restSeconds = 3;

/** Lines kept to scroll back to. */
const historyLimit = 20_000;

/** Older versions of tmux never tell a signal, so the wait for a dead pane's code ends. */
const settleAttempts = 10;
const settleMs = 50;
const separator = "\t";

/**
 * The tmux server that sessions live in: our own socket and configuration, never the user's. It is
 * also the boundary of the user's terminal: clipboard, passthrough and titles are off, so that an
 * agent's escape sequences end here.
 */
export class Tmux {
  readonly #options: TmuxOptions;

  constructor(options: TmuxOptions) {
    this.#options = options;
  }

  async version(): Promise<string> {
    return (await this.#run(["-V"])).stdout.trim().replace(/^tmux /, "");
  }

  /** Starts a session, or the server with it. Its recording begins with its first byte. */
  async start(session: NewSession): Promise<void> {
    const config = join(dirname(this.#options.socket), "tmux.conf");
    await mkdir(dirname(this.#options.socket), { recursive: true, mode: 0o700 });
    await mkdir(dirname(session.log), { recursive: true, mode: 0o700 });
    await writeFile(config, configuration());
    const size = ["-x", String(session.cols), "-y", String(session.rows)];
    const result = await this.#tryRun([
      "-f",
      config,
      "new-session",
      "-d",
      "-s",
      session.name,
      ...size,
      ...outlived(session.command).map(escapeSeparator),
      ";",
      "set-option",
      "-t",
      `=${session.name}:`,
      "status-left",
      // The keys first: what a narrow terminal cuts off is at the end.
      escapeTimeFormat(` Ctrl+B d: detach  Ctrl+B [: scroll  │  ${session.title} `),
      ";",
      ...this.#hook("pane-died"),
      ";",
      // A window that nobody looks at raises each alert once, until its alerts are cleared, and one that
      // somebody looks at again and again. So silence and output are listened for by turns: each rest is
      // one event.
      ...this.#hook("alert-silence", "set-option -w monitor-silence 0 ; set-option -w monitor-activity on"),
      ";",
      "set-hook",
      "-g",
      "alert-activity",
      `set-option -w monitor-activity off ; set-option -w monitor-silence ${restSeconds} ; kill-session -C`,
      ";",
      "pipe-pane",
      "-t",
      `=${session.name}:`,
      escapeTimeFormat(recorder(session.log)),
      ...(session.checkInMs === undefined ? [] : [";", ...this.#timer(session.name, session.checkInMs)]),
    ]);
    if (result.code !== 0) throw new HeadjackError(`tmux did not start the session: ${result.stderr.trim()}`);
  }

  /** Makes the server, which is all that stays, have somebody look at a session later, or at what it is logged in with. */
  async checkIn(name: string, ms: number, what: "check" | "renew" = "check"): Promise<void> {
    await this.#tryRun(this.#timer(name, ms, what));
  }

  #timer(name: string, ms: number, what: "check" | "renew" = "check"): string[] {
    const words = [...this.#options.eventCommand, `--${what}`, name];
    const command = words.map((word) => escapeFormat(shellQuote(word)));
    return ["run-shell", "-b", "-d", String(Math.ceil(ms / 1000)), command.join(" ")];
  }

  /** Makes the server run our command on the host when something has happened to a session. */
  #hook(event: string, first?: string): string[] {
    const command = this.#options.eventCommand.map((word) => escapeFormat(shellQuote(word))).join(" ");
    const run = `run-shell -b ${quoteForTmux(`${command} '#{session_name}'`)}`;
    return ["set-hook", "-g", event, first === undefined ? run : `${first} ; ${run}`];
  }

  /**
   * Every session of the server; none when it does not run. Between the end of a program's output and
   * its exit code tmux knows only that the pane is dead: that moment is waited out.
   */
  async list(): Promise<TmuxSession[]> {
    for (let attempt = 1; ; attempt += 1) {
      const sessions = await this.#listOnce();
      const unsettled = sessions.some((session) => session.dead && session.exitCode === undefined);
      if (!unsettled || attempt === settleAttempts) return sessions;
      await Bun.sleep(settleMs);
    }
  }

  async #listOnce(): Promise<TmuxSession[]> {
    const fields = [
      "session_id",
      "session_name",
      "session_attached",
      "pane_dead",
      "pane_dead_status",
      "pane_dead_signal",
      "window_activity",
      // What a title is until a program sets one.
      "host",
      // tmux takes no title with control characters, so it can break neither a field nor a line.
      "pane_title",
    ];
    const format = fields.map((name) => `#{${name}}`).join(separator);
    const result = await this.#tryRun(["list-panes", "-a", "-F", format]);
    if (result.code !== 0) {
      if (/no server running|error connecting|server exited|lost server/.test(result.stderr)) return [];
      // Not "none": that would make every session lost.
      throw new HeadjackError(`tmux does not answer: ${result.stderr.trim()}`);
    }
    return result.stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [id = "", name = "", attached, dead, status = "", signal = "", activity, host, title] =
          line.split(separator);
        return {
          id,
          name,
          attached: attached !== "0",
          dead: dead === "1",
          exitCode: status !== "" ? Number(status) : signalCode(signal),
          activityAt: Number(activity) * 1000,
          title: title === host || title === "" ? undefined : title,
        };
      });
  }

  /** Text on the screen and up to `scrollback` lines above it, wrapped lines joined; undefined when there is no such session. */
  async capture(name: string, scrollback: number): Promise<string | undefined> {
    const result = await this.#tryRun([
      "capture-pane",
      "-p",
      "-J",
      "-t",
      `=${name}:`,
      "-S",
      `-${scrollback}`,
    ]);
    return result.code === 0 ? result.stdout : undefined;
  }

  /** Puts text into a session's program as one paste, which a program that knows pastes does not take for typing. */
  async paste(name: string, text: string): Promise<void> {
    const buffer = `hjk-${crypto.randomUUID()}`;
    const socket = this.#command(["load-buffer", "-b", buffer, "-"]);
    await this.#friendly(() => run(socket, { env: serverEnvironment(this.#options.env), input: text }));
    await this.#run(["paste-buffer", "-p", "-d", "-b", buffer, "-t", `=${name}:`]);
  }

  /** Presses keys by tmux's names, such as `Enter`, `Escape`, `C-c`, `1`. */
  async press(name: string, keys: readonly string[]): Promise<void> {
    await this.#run(["send-keys", "-t", `=${name}:`, "--", ...keys]);
  }

  /** Ends a session's program on the host and forgets its screen. */
  async kill(name: string): Promise<void> {
    await this.#tryRun(["kill-session", "-t", `=${name}`]);
  }

  /** The same for exactly the session that was listed, not for one that has its name by now. */
  async killListed(session: TmuxSession): Promise<void> {
    await this.#tryRun(["kill-session", "-t", session.id]);
  }

  /** argv that puts the user's terminal on a session, other viewers staying. */
  attachCommand(name: string): string[] {
    return ["tmux", "-u", "-S", this.#options.socket, "attach-session", "-t", `=${name}`];
  }

  /** Environment for `attachCommand`: without TMUX, so that it works inside the user's own tmux. */
  get environment(): Environment {
    return { ...this.#options.env, TMUX: undefined, TMUX_PANE: undefined };
  }

  /** Whether the program of a session has ended already. */
  async isDead(name: string): Promise<boolean> {
    const found = (await this.list()).find((session) => session.name === name);
    return found === undefined || found.dead;
  }

  async #run(args: readonly string[]): Promise<RunResult> {
    return await this.#friendly(() =>
      run(this.#command(args), { env: serverEnvironment(this.#options.env) }),
    );
  }

  async #tryRun(args: readonly string[]): Promise<RunResult> {
    return await this.#friendly(() =>
      runUnchecked(this.#command(args), { env: serverEnvironment(this.#options.env) }),
    );
  }

  #command(args: readonly string[]): string[] {
    return ["tmux", "-u", "-S", this.#options.socket, ...args];
  }

  async #friendly<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ProcessError) || error.reason !== "not-installed") throw error;
      throw new HeadjackError("tmux is not installed; sessions run in it.", {
        cause: error,
        hints: [
          "Install it: `sudo apt install tmux`, `brew install tmux`, or your system's way. 3.2 or newer.",
        ],
      });
    }
  }
}

/**
 * argv that runs a command and holds its terminal open for a moment longer. Up to 3.3, a tmux with
 * utempter (Debian's) overlooks the end of a program whose terminal closes at the same moment: its
 * session would seem to go on, and its exit code would be missing, until something else ends. And 3.3a
 * crashes, with every session in it, when a client leaves a dead pane that still wants focus reports,
 * which most agents switch on: they are switched off first.
 */
function outlived(command: readonly string[]): string[] {
  const noFocusReports = `printf "\\033[?1004l"`;
  return [
    "sh",
    "-c",
    `"$@"; code=$?; ${noFocusReports}; (trap "" HUP; exec sleep 0.2) & exit $code`,
    "sh",
    ...command,
  ];
}

/** At the end of a word `;` separates two commands of tmux. */
function escapeSeparator(word: string): string {
  return word.endsWith(";") ? `${word.slice(0, -1)}\\;` : word;
}

/** Pieces that a recording is written in; a read gives 64 KB at most, so one is at most 4 MB. */
const recorderReads = 64;
const recorderReadBytes = 64 * 1024;

/**
 * Shell command that records standard input, with two files of a limited size by turns. `dd` writes
 * what it has read at once, which `head -c` does not; it counts reads, however short, and not bytes.
 * At the end of the input a piece is empty, which ends it. After each piece the time and the size are
 * noted (`recordTime` in recording.ts); nothing runs while nothing comes. The times move on before the
 * recording: in between they are too early, which shows a reader too much and not too little.
 */
function recorder(log: string): string {
  const file = shellQuote(log);
  const times = shellQuote(`${log}.times`);
  const olderTimes = shellQuote(`${log}.1.times`);
  const rotateAt = logLimitBytes - recorderReads * recorderReadBytes;
  return [
    `umask 077; old=0`,
    `while dd bs=${recorderReadBytes} count=${recorderReads} 2>/dev/null >> ${file}`,
    `do new=$(wc -c < ${file})`,
    `[ $new -gt $old ] || break`,
    `old=$new`,
    `echo $(date +%s) $new >> ${times}`,
    `if [ $new -gt ${rotateAt} ]; then mv -f ${times} ${olderTimes}; mv -f ${file} ${file}.1; old=0; fi`,
    `done`,
  ].join("; ");
}

/** `#` begins a format in tmux; doubled it is itself. */
function escapeFormat(text: string): string {
  return text.replaceAll("#", "##");
}

/** Where tmux also puts in the time, `%` is one of strftime's. */
function escapeTimeFormat(text: string): string {
  return escapeFormat(text).replaceAll("%", "%%");
}

function quoteForTmux(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("$", "\\$")}"`;
}

/** What the server may know of the user's environment: enough to find programs and the engine, no secrets. */
function serverEnvironment(env: Environment): Environment {
  const kept: Environment = { LANG: "C.UTF-8", SHELL: "/bin/sh", TERM: "xterm-256color" };
  for (const [name, value] of Object.entries(env)) {
    if (
      /^(PATH|HOME|USER|LOGNAME|TMPDIR|XDG_\w+|DOCKER_\w+|CONTAINER_HOST|HEADJACK_HOME|DBUS_SESSION_BUS_ADDRESS)$/.test(
        name,
      )
    ) {
      kept[name] = value;
    }
  }
  return kept;
}

function configuration(): string {
  return [
    // Terminal boundary: nothing of the agent's reaches the user's terminal but characters and colours.
    "set -s set-clipboard off",
    "set -g allow-passthrough off",
    "set -g set-titles off",
    "set -g allow-rename off",
    "set -g automatic-rename off",
    "set -g bell-action none",
    // An agent has probably finished its turn, so its commits are brought home. The message that tmux shows about it to whoever is attached lasts 1 ms.
    `setw -g monitor-silence ${restSeconds}`,
    "set -g silence-action any",
    "set -g visual-silence on",
    "set -g activity-action any",
    "set -g visual-activity on",
    "set -g display-time 1",
    // The record of how a program ended stays until it has been read.
    "set -g remain-on-exit on",
    "set -g remain-on-exit-format ''",
    "set -g destroy-unattached off",
    "set -g default-terminal tmux-256color",
    "set -as terminal-features ',*:RGB'",
    "set -g update-environment ''",
    "set -g default-shell /bin/sh",
    "set -g window-size latest",
    `set -g history-limit ${historyLimit}`,
    "set -s escape-time 10",
    "set -g focus-events on",
    // Only what makes sense here: the default keys would open shells on the host.
    "unbind-key -a -T prefix",
    "unbind-key -a -T root",
    "bind-key d detach-client",
    "bind-key C-b send-prefix",
    "bind-key [ copy-mode",
    "bind-key PPage copy-mode -u",
    "bind-key r refresh-client",
    "set -g status on",
    "set -g status-style 'bg=colour236,fg=colour250'",
    "set -g status-left-length 200",
    "set -g status-right ''",
    "set -g window-status-format ''",
    "set -g window-status-current-format ''",
    "",
  ].join("\n");
}

/** Exit code for a signal that tmux names by its number, or on some systems by its name. */
function signalCode(signal: string): number | undefined {
  if (signal === "") return undefined;
  const named = Object.entries(osConstants.signals).find(
    ([name]) => name === `SIG${signal}` || name === signal,
  );
  const number = named === undefined ? Number(signal) : named[1];
  return Number.isInteger(number) ? 128 + number : undefined;
}
