import { describe, expect, test } from "bun:test";
import { Follower } from "./follow.ts";
import { renderRecording } from "./render.ts";

const E = "\u001B";
const size = { cols: 20, rows: 5 };
const bytes = (text: string) => new TextEncoder().encode(text);
const render = (text: string, options = {}) => renderRecording(bytes(text), size, options);
const onLines = (lines: string[]) => lines.map((line) => `${line}\r\n`).join("");
/** Lines from the first that the second text made or changed. */
const since = (before: string, after: string, options = {}) =>
  render(before + after, { since: bytes(before).length, ...options });
const numbered = (count: number, name = "line") =>
  Array.from({ length: count }, (_, index) => `${name} ${index}`);

/** Feeds each text, then looks at the given times after it; ms. */
async function follow(steps: [text: string, ...looks: number[]][], rows = size.rows) {
  const follower = await Follower.open({ cols: 20, rows });
  const printed: string[][] = [];
  for (const [text, ...looks] of steps) {
    await follower.feed(bytes(text));
    printed.push(looks.flatMap((now) => follower.settled(now)));
  }
  printed.push(follower.finish());
  return printed;
}

describe("renderRecording", () => {
  test("plain output, scrolled", async () => {
    const lines = numbered(500);
    expect(await render(`${lines.join("\r\n")}\r\n\r\n`)).toEqual(lines);
  });

  test("joins wrapped lines, wide characters and spaces at the edge included", async () => {
    const long = `${"x".repeat(19)} 你${"好".repeat(12)} end`;
    expect(await render(`${long}  \r\nnext`)).toEqual([long, "next"]);
    const emoji = "✅x🎉".repeat(20);
    expect(await render(emoji)).toEqual([emoji]);
  });

  test("what was overwritten is gone: progress bars, colours, titles", async () => {
    expect(await render(`10%\r50%\r100%\r\n${E}]0;t\u0007${E}[31mred${E}[0m\b\b\bR`)).toEqual([
      "100%",
      "Red",
    ]);
  });

  test("empty recordings", async () => {
    expect(await render("")).toEqual([]);
    expect(await render("\r\n\r\n", { tail: true })).toEqual([]);
  });

  test("keeps no more than the scrollback", async () => {
    const lines = await render(numbered(500).join("\r\n"), { scrollback: 10 });
    expect(lines).toEqual(numbered(500).slice(-15));
  });

  test("a cleared screen can be scrolled back to, as in tmux", async () => {
    expect(await render(`a\r\nb\r\n${E}[H${E}[2Jc`)).toEqual(["a", "b", "c"]);
  });

  test("sizes change where they did", async () => {
    const narrow = "0123456789";
    const raw = `${E}[10Gx\r\n`;
    const lines = await renderRecording(bytes(raw + raw), size, {
      resizes: [{ offset: raw.length, cols: 5, rows: 3 }],
    });
    expect(lines).toEqual(["         x", "    x"]);
    const odd = [
      { offset: -5, cols: 0, rows: -1 },
      { offset: 1e9, cols: Number.NaN, rows: 1e9 },
    ];
    expect(await render(narrow, { resizes: odd })).toEqual([narrow]);
  });

  describe("what came since a place", () => {
    test("begins with the first line that is new or has changed", async () => {
      const lines = numbered(20).map((line) => `${line}\r\n`);
      expect(await since(lines.slice(0, 12).join(""), lines.slice(12).join(""))).toEqual(
        numbered(20).slice(12),
      );
      expect(await since("one\r\ntw", "o\r\nthree")).toEqual(["two", "three"]);
      expect(await since(lines.join(""), "")).toEqual([]);
      expect(await since(lines.join(""), `${E}[0m`)).toEqual([]);
      expect(await since("", "one")).toEqual(["one"]);
    });

    test("lines that are like those before count too", async () => {
      expect(await since("y\r\n".repeat(200), "y\r\n".repeat(3), { scrollback: 10 })).toEqual([
        "y",
        "y",
        "y",
      ]);
    });

    test("an input box that moves down brings what was said above it", async () => {
      const box = "+--+\r\n| >|\r\n+--+";
      const again = `${E}[2K${E}[1A${E}[2K${E}[1A${E}[2K${E}[G`;
      expect(await since(`asked\r\n${box}`, `${again}said\r\n${box}`)).toEqual([
        "said",
        "+--+",
        "| >|",
        "+--+",
      ]);
    });

    test("a cleared screen is new from there", async () => {
      expect(await since("a\r\nb\r\n", `${E}[H${E}[2Ja\r\nb`)).toEqual(["a", "b"]);
      expect(await since(numbered(9).join("\r\n"), `${E}[H${E}[2J${E}[3Jnew`)).toEqual(["new"]);
    });

    test("a transcript that is cleared and drawn again is new from its news on", async () => {
      const again = `${E}[H${E}[2J${E}[3J${onLines(numbered(30))}`;
      expect(await since(onLines(numbered(20)), again)).toEqual(numbered(30).slice(20));
      const flood = onLines(Array.from({ length: 50 }, () => "y"));
      expect(await since(flood, flood, { scrollback: 10 })).toHaveLength(14);
    });

    test("a full-screen program that was there before is shown once it changes", async () => {
      const enter = `$ top\r\n${E}[?1049h${E}[H`;
      expect(await since(`${enter}one`, "")).toEqual([]);
      expect(await since(`${enter}one`, `${E}[Htwo`)).toEqual(["two"]);
    });

    test("also where the size changes", async () => {
      const resizes = [{ offset: 8, cols: 5, rows: 3 }];
      expect(await since("0123456789\r\n", "new", { resizes })).toEqual(["new"]);
    });
  });

  describe("full-screen programs", () => {
    const enter = `${E}[?1049h${E}[H${E}[2J`;
    const leave = `${E}[?1049l`;

    test("open at the end: the frame follows what was there", async () => {
      expect(await render(`$ vim\r\n${enter}one${E}[3;1Htwo`)).toEqual(["$ vim", "one", "", "two"]);
    });

    test("left at the end: the last frame stands where it was started", async () => {
      expect(await render(`$ agent\r\n${enter}answer${leave}bye\r\n`)).toEqual(["$ agent", "answer", "bye"]);
    });

    test("cleared on the way out: the frame before", async () => {
      expect(await render(`$ agent\r\n${enter}answer${E}[2J${E}[H${leave}bye`)).toEqual([
        "$ agent",
        "answer",
        "bye",
      ]);
    });

    test("a pager in between leaves nothing", async () => {
      const after = numbered(6);
      expect(await render(`$ less\r\n${enter}page${leave}${after.join("\r\n")}`)).toEqual([
        "$ less",
        ...after,
      ]);
    });
  });

  describe("cut recordings", () => {
    test("begin after the first newline", async () => {
      expect(await render("8;2;1mgarbage\r\nclean", { tail: true })).toEqual(["clean"]);
    });

    test("cut at any byte, at either end, show no part of a sequence or character", async () => {
      const line = `${E}[38;5;12mäöü 你好 ✅${E}[0m`;
      const raw = bytes(`${line}\r\n${line}\r\n${line}`);
      const text = "äöü 你好 ✅";
      for (let cut = 0; cut < raw.length; cut++) {
        for (const shown of await renderRecording(raw.subarray(cut), size, { tail: true })) {
          expect(shown === text || cut > 2 * bytes(line).length).toBeTrue();
        }
        for (const shown of await renderRecording(raw.subarray(0, cut), size)) {
          expect(text.startsWith(shown)).toBeTrue();
        }
      }
    });

    test("a frame erased upwards does not eat what follows", async () => {
      const redraw = `${E}[2K${E}[1A${E}[2K${E}[1A${E}[2K${E}[G`;
      expect(await render(`cut\n${redraw}said\r\na\r\nb\r\nc`, { tail: true })).toEqual([
        "said",
        "a",
        "b",
        "c",
      ]);
    });

    test("begun inside a full-screen program", async () => {
      expect(await render(`cut\n${E}[Hframe${E}[?1049lbye`, { tail: true })).toEqual(["frame", "bye"]);
    });
  });

  test("hostile sequences neither hang nor throw", async () => {
    const finals = Array.from({ length: 63 }, (_, index) => String.fromCharCode(64 + index));
    const huge = finals.flatMap((final) => [`${E}[2147483647${final}`, `${E}[?2147483647;9${final}`]);
    const before = performance.now();
    await render(`x${huge.join("x")}${E}]0;${"y".repeat(1_000_000)}${E}P${"z".repeat(1_000_000)}`);
    await render(`${E}[5L`.repeat(20_000) + `${E}[5;1H${E}M`.repeat(20_000));
    await render("w".repeat(1_000_000));
    expect(performance.now() - before).toBeLessThan(5000);
  });
});

describe("Follower", () => {
  test("lines come when they leave the screen or have stood for 0.7 s, each once", async () => {
    const lines = numbered(20).map((line) => `${line}\r\n`);
    expect(
      await follow([
        [lines.join(""), 0],
        ["", 600],
        ["", 700],
        ["more\r\n", 800, 1500, 9000],
      ]),
    ).toEqual([numbered(16), [], numbered(20).slice(16), ["more"], []]);
  });

  test("catches up with what was recorded, from a place on", async () => {
    const lines = numbered(30).map((line) => `${line}\r\n`);
    const [before, after] = [bytes(lines.slice(0, 12).join("")), bytes(lines.slice(12).join(""))];
    const recorded = { bytes: Buffer.concat([before, after]), whole: true, resizes: [] };
    const whole = await Follower.open(size);
    const printed = await whole.catchUp(recorded, 0);
    expect([...printed, ...whole.settled(0), ...whole.settled(1000)]).toEqual(numbered(30));
    const rest = await Follower.open(size);
    expect(await rest.catchUp(recorded, before.length)).toEqual(numbered(30).slice(12, 26));
    await rest.feed(bytes("more\r\n"));
    expect([...rest.settled(0), ...rest.settled(1000)]).toEqual([...numbered(30).slice(26), "more"]);
    const cut = await Follower.open(size);
    expect((await cut.catchUp({ ...recorded, whole: false }, 0))[0]).toBe("line 1");
    const end = await Follower.open(size);
    expect(await end.catchUp(recorded, recorded.bytes.length)).toEqual([]);
    await end.feed(bytes("more\r\n"));
    expect(end.finish()).toEqual(["more"]);
  });

  test("repeated and empty lines of plain output all come", async () => {
    const text = "ok\r\n\r\nok\r\nok\r\n".repeat(3);
    const printed = await follow([[text, 0, 1000]]);
    expect(printed.flat()).toEqual(text.split("\r\n").slice(0, -1));
  });

  test("a great deal at once loses nothing", async () => {
    const lines = numbered(60_000);
    const printed = await follow([[lines.map((line) => `${line}\r\n`).join(""), 0, 1000]]);
    expect(printed.flat()).toEqual(lines);
    const endless = await follow([["x".repeat(100_000), 0, 1000]]);
    expect(endless.flat().join("")).toBe("x".repeat(100_000));
  });

  test("characters that are cut in two are whole", async () => {
    const text = "a…b äöü 你好 ✅ 🚀 end";
    const raw = bytes(text);
    for (let cut = 0; cut < raw.length; cut++) {
      const follower = await Follower.open({ cols: 40, rows: 5 });
      await follower.feed(raw.subarray(0, cut));
      await follower.feed(raw.subarray(cut));
      expect(follower.finish()).toEqual([text]);
    }
  });

  test("a repainted transcript with news in it: the news alone, with lines that were there before", async () => {
    const said = [0, 1, 2, 3].map((turn) => [`question ${turn}`, "", "-----", `answer ${turn}`, "-----", ""]);
    const old = said.slice(0, 2).flat();
    const printed = await follow(
      [
        [onLines(old), 0, 1000],
        [`${E}[2J${E}[3J${E}[H${onLines(said.slice(0, 3).flat())}`, 1100],
        [onLines(said[3] ?? []), 1200, 9000],
      ],
      9,
    );
    expect(printed.flat()).toEqual(said.flat().slice(0, -1));
  });

  test("a progress bar comes when it is done, a prompt when nothing more happens", async () => {
    const bar = Array.from({ length: 20 }, (_, index): [string, number] => [`\r${index}%`, index * 1000]);
    const printed = await follow([...bar, ["\r100%\r\nSure? ", 20_000, 20_700], ["", 23_000]]);
    expect(printed.filter((lines) => lines.length > 0)).toEqual([["100%"], ["Sure?"]]);
  });

  test("an input box that moves down is printed once, a spinner never", async () => {
    const box = ["+------+", "| >    |", "+------+", "footer"];
    let height = 0;
    let now = 0;
    const steps: [string, ...number[]][] = [];
    const draw = (said: string[], spinner: string) => {
      const up = `${E}[2K${E}[1A`.repeat(Math.max(height - 1, 0));
      const frame = [spinner, ...box];
      steps.push([
        `${up}${E}[2K${E}[G${said.map((line) => `${line}\r\n`).join("")}${frame.join("\r\n")}`,
        now,
      ]);
      height = frame.length;
    };
    for (let turn = 0; turn < 4; turn++) {
      for (let tick = 0; tick < 30; tick++, now += 100) draw([], `spinner ${tick}`);
      draw(numbered(3, `answer ${turn}`), "");
      steps.push(["", now + 700], ["", now + 3000], ["", now + 4000]);
      now += 5000;
    }
    const printed = (await follow(steps, 24)).flat().filter((line) => line !== "");
    const [first = [], ...others] = [0, 1, 2, 3].map((turn) => numbered(3, `answer ${turn}`));
    expect(printed).toEqual([...first, ...box, ...others.flat()]);
  });

  test("a spinner that hangs at first, above an input box", async () => {
    const printed = await follow(
      [
        [`asked\r\n\r\nspinner 1\r\n\r\n----\r\n> \r\n----\r\nfooter${E}[2A\r`, 0, 1000, 2500],
        [`${E}[3A${E}[2Kspinner 2${E}[3B\r`, 2600, 4000],
        [`${E}[3A${E}[2Ksaid${E}[3B\r`, 4100, 8000],
      ],
      12,
    );
    expect(printed.flat()).not.toContain("spinner 1");
    expect(printed.flat()).toContain("said");
  });

  test("a tool that says it runs is printed with what came of it", async () => {
    const steps: [string, ...number[]][] = [["asked\r\n\r\ntool\r\n  running\r\n\r\nspinner\r\n> ", 0]];
    let now = 0;
    for (; now < 9000; now += 100) steps.push([`\r${E}[1A${E}[2Kspinner ${now}${E}[1B\r`, now]);
    steps.push([`\r${E}[3A${E}[2K  result\r\n\r\n${E}[2Kdone${E}[1B\r`, now, now + 700, now + 4000]);
    const printed = (await follow(steps, 12)).flat();
    expect(printed).toEqual(["asked", "", "tool", "  result", "", "done", ">"]);
  });

  test("a line changed in place is printed again unless it was printed lately", async () => {
    const printed = await follow([
      ["state: a\r\nbelow\r\n", 0, 1000],
      [`${E}7${E}[1;1H${E}[Kstate: b${E}8`, 2000, 10_000],
      [`${E}7${E}[1;1H${E}[Kstate: a${E}8`, 20_000, 40_000],
    ]);
    expect(printed).toEqual([["state: a", "below"], ["state: b"], [], []]);
  });

  test("a repainted transcript is not printed again", async () => {
    const lines = numbered(12)
      .map((line) => `${line}\r\n`)
      .join("");
    const repaint = `${E}[2J${E}[3J${E}[H${lines}`;
    const printed = await follow([
      [lines, 0, 1000],
      [repaint, 1100],
      [`${repaint}new\r\n`, 1200, 9000],
    ]);
    expect(printed).toEqual([numbered(12), [], ["new"], []]);
  });

  test("a new size neither repeats nor loses lines", async () => {
    const follower = await Follower.open({ cols: 40, rows: 10 });
    const lines = numbered(30, "a line that is wider than ten");
    await follower.feed(
      bytes(
        lines
          .slice(0, 20)
          .map((line) => `${line}\r\n`)
          .join(""),
      ),
    );
    const printed = follower.settled(0);
    follower.resize({ cols: 10, rows: 4 });
    printed.push(...follower.settled(1000));
    follower.resize({ cols: 80, rows: 30 });
    await follower.feed(
      bytes(
        lines
          .slice(20)
          .map((line) => `${line}\r\n`)
          .join(""),
      ),
    );
    printed.push(...follower.settled(2000), ...follower.settled(3000), ...follower.finish());
    expect(printed).toEqual(lines);
  });

  test("full-screen programs: what stands, once", async () => {
    const frame = (clock: number, text: string) => `${E}[H${clock}${E}[2;1H${text}`;
    const printed = await follow([
      [`$ top\r\n${E}[?1049h${frame(0, "busy")}`, 0],
      [frame(1, "busy"), 1000],
      [frame(2, "busy"), 2000],
      [frame(3, "busy"), 3000],
      [`${E}[?1049l`, 4000],
      ["$ ", 9000],
    ]);
    expect(printed.flat()).toEqual(["$ top", "busy", "$"]);
  });

  test("a conversation that scrolls on the alternate screen: each line once, in order, repeated ones too", async () => {
    const said = [0, 1, 2].flatMap((turn) => [`question ${turn}`, "{", `answer ${turn}`, "}"]);
    const steps: [string, ...number[]][] = [[`${E}[?1049h`, 0]];
    let now = 0;
    for (let count = 1; count <= said.length; count++) {
      for (let tick = 0; tick < 20; tick++, now += 150) {
        const rows = [
          ...said.slice(Math.max(0, count - 6), count),
          `spinner ${tick}`,
          "-----",
          "> ",
          "-----",
        ];
        steps.push([`${E}[H${E}[2J${rows.join("\r\n")}`, now]);
      }
    }
    const printed = (await follow(steps, 12)).flat();
    const box = new Set(["-----", ">"]);
    expect(printed.filter((line) => box.has(line))).toEqual(["-----", ">", "-----"]);
    expect(printed.filter((line) => !box.has(line) && !line.startsWith("spinner 19"))).toEqual(said);
  });

  test("anything at all neither hangs nor throws", async () => {
    const pieces = [
      "text",
      "\r\n",
      "\r",
      `${E}[A`,
      `${E}[3A`,
      `${E}[2J`,
      `${E}[3J`,
      `${E}[H`,
      `${E}c`,
      `${E}M`,
      `${E}[2L`,
      `${E}[2M`,
      `${E}[?1049h`,
      `${E}[?1049l`,
      `${E}[2;4r`,
      `${E}[r`,
      "你好",
      `${E}[9S`,
      "x".repeat(50),
      `${E}[J`,
      `${E}[5b`,
    ];
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    for (let run = 0; run < 30; run++) {
      const follower = await Follower.open(size);
      for (let step = 0; step < 60; step++) {
        const text = Array.from({ length: random(20) }, () => pieces[random(pieces.length)] ?? "").join("");
        await follower.feed(bytes(text));
        if (random(10) === 0) follower.resize({ cols: 2 + random(60), rows: 1 + random(20) });
        for (const line of follower.settled(step * 400)) expect(line).not.toContain(E);
      }
      follower.finish();
    }
  });
});
