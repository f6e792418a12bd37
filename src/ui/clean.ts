/*
 * What an agent, a repository or a container says is hostile: printed raw, it can write to the
 * clipboard (OSC 52), retitle the window, ask the terminal questions whose answers are typed into
 * the shell, or repaint what stands above. Everything of theirs goes through here first.
 *
 * A hand-written scanner and no regular expressions over the input: each character is looked at
 * once, so the time is linear whatever is sent, and the state survives a chunk that ends in the
 * middle of a sequence.
 */

/** Shown for a control character or a broken surrogate: something was there, and it is not text. */
const mark = "\uFFFD";

/**
 * Longest colour sequence let through, in characters. Real ones are below 60; without a limit a
 * sequence that never ends would be held in memory.
 */
const longestSequence = 128;

/** Characters with no shape of their own: fillers, selectors, tags, bidi controls, annotations. */
const invisible = /^[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\uFFF9-\uFFFB]$/u;
const pictograph = /^\p{Extended_Pictographic}$/u;
const joinable = /^[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F]$/u;

const ESC = 0x1b;
const joiner = 0x200d;

/**
 * `ground`: text. `escape`: after ESC. `csi`: after ESC [. `string`: in OSC, DCS, APC, PM, SOS or a
 * title (ESC k); `osc`: the same, but BEL ends it too.
 */
type State = "ground" | "escape" | "csi" | "string" | "osc";

interface Rules {
  /** Keep `\n` and `\t`; otherwise they become a space. */
  newlines: boolean;
  /** Let colour and style (SGR) through. */
  colour: boolean;
}

class Cleaner {
  readonly #rules: Rules;
  #state: State = "ground";
  /** Parameters of the CSI sequence being read; undefined once it cannot be a colour any more. */
  #params: string | undefined;
  #intermediate = false;
  /** A high surrogate at the end of a chunk waits for its other half. */
  #held = "";
  /** The last character put out, which decides if a joiner or a selector may follow. */
  #last = "";
  /** A joiner waits for the picture it joins. */
  #joining = false;
  /** The last character was `\r`, put out as a newline: a `\n` now belongs to it. */
  #afterReturn = false;
  #coloured = false;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  write(chunk: string): string {
    let text = this.#held + chunk;
    this.#held = "";
    const end = text.charCodeAt(text.length - 1);
    if (end >= 0xd800 && end <= 0xdbff) {
      this.#held = text.slice(-1);
      text = text.slice(0, -1);
    }
    return this.#scan(text);
  }

  /** Ends the input: what was waiting is dropped, and colours are switched off. */
  end(): string {
    const rest = this.#scan(this.#held);
    const reset = this.#coloured ? "\u001B[0m" : "";
    this.#held = "";
    this.#state = "ground";
    this.#joining = false;
    this.#afterReturn = false;
    this.#coloured = false;
    return rest + reset;
  }

  #scan(text: string): string {
    let out = "";
    let at = 0;
    while (at < text.length) {
      // After a joiner the next character is looked at by itself.
      if (this.#state === "ground" && !this.#joining) {
        const start = at;
        while (at < text.length) {
          const code = text.charCodeAt(at);
          // Printable ASCII, and below, the common scripts, box drawing and CJK: nothing to decide.
          if (code < 0x20 || (code > 0x7e && (code < 0xae || (code > 0x2ff && !isSafeRange(code))))) break;
          at++;
        }
        if (at > start) {
          this.#afterReturn = false;
          this.#last = text.charAt(at - 1);
          out += text.slice(start, at);
          continue;
        }
      }
      const point = text.codePointAt(at) ?? 0;
      const char = String.fromCodePoint(point);
      at += char.length;
      out += this.#state === "ground" ? this.#ground(point, char) : this.#sequence(point, char);
    }
    return out;
  }

  #ground(point: number, char: string): string {
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f) || point === 0x2028 || point === 0x2029) {
      this.#joining = false;
      return this.#control(point);
    }
    this.#afterReturn = false;
    return this.#plain(point, char);
  }

  #plain(point: number, char: string): string {
    if (point >= 0xd800 && point <= 0xdfff) {
      this.#joining = false;
      this.#last = mark;
      return mark;
    }
    if (point === joiner) {
      // Joins pictures into one (families, professions); anywhere else it only makes two names
      // that look the same.
      this.#joining = joinable.test(this.#last);
      return "";
    }
    if (point === 0xfe0e || point === 0xfe0f) {
      if (this.#joining || !pictograph.test(this.#last)) return "";
      this.#last = char;
      return char;
    }
    // Tags go too: invisible text that a model can read. It costs the flags of three countries.
    if (invisible.test(char)) {
      this.#joining = false;
      return "";
    }
    const joined = this.#joining && pictograph.test(char);
    this.#joining = false;
    this.#last = char;
    return joined ? String.fromCodePoint(joiner) + char : char;
  }

  #control(point: number): string {
    const afterReturn = this.#afterReturn;
    this.#afterReturn = false;
    switch (point) {
      case ESC:
        this.#state = "escape";
        this.#intermediate = false;
        return "";
      case 0x9b:
        this.#startCsi();
        return "";
      case 0x9d:
        this.#state = "osc";
        return "";
      // DCS, SOS, PM, APC
      case 0x90:
      case 0x98:
      case 0x9e:
      case 0x9f:
        this.#state = "string";
        return "";
      case 0x09:
        return this.#space(this.#rules.newlines ? "\t" : " ");
      case 0x0a:
        if (afterReturn) return "";
        return this.#space(this.#rules.newlines ? "\n" : " ");
      case 0x0d:
        // A line of its own, not an overwritten one: returning is how a line hides what it replaced.
        this.#afterReturn = true;
        return this.#space(this.#rules.newlines ? "\n" : " ");
      case 0x0b:
      case 0x0c:
      case 0x85:
      case 0x2028:
      case 0x2029:
        return this.#space(this.#rules.newlines ? "\n" : " ");
      default:
        // On a screen a bell or a NUL shows nothing. In a name it shows: two names must differ.
        if (this.#rules.colour) return "";
        return this.#space(mark);
    }
  }

  #space(char: string): string {
    this.#last = char;
    return char;
  }

  #startCsi(): void {
    this.#state = "csi";
    this.#params = "";
  }

  #sequence(point: number, char: string): string {
    // ESC begins anew in every state (so ESC \ ends a string); CAN and SUB abort. A newline ends
    // everything too, where a terminal would go on: an unterminated sequence then hides the rest
    // of its line and not the rest of the output.
    if (point === ESC) {
      this.#state = "escape";
      this.#intermediate = false;
      return "";
    }
    if (point === 0x18 || point === 0x1a || point === 0x9c) {
      this.#state = "ground";
      return "";
    }
    if (point === 0x0a) {
      this.#state = "ground";
      return this.#control(point);
    }
    switch (this.#state) {
      case "ground":
      case "string":
        return "";
      case "osc":
        if (point === 0x07) this.#state = "ground";
        return "";
      case "escape":
        return this.#escape(point, char);
      default:
        return this.#csi(point, char);
    }
  }

  #escape(point: number, char: string): string {
    if (point >= 0x20 && point <= 0x2f) {
      this.#intermediate = true;
      return "";
    }
    this.#state = "ground";
    if (!this.#intermediate) {
      if (char === "[") {
        this.#startCsi();
        return "";
      }
      if (char === "]") {
        this.#state = "osc";
        return "";
      }
      if ("PX^_k".includes(char)) {
        this.#state = "string";
        return "";
      }
    }
    if (point >= 0x30 && point <= 0x7e) return "";
    // Not a sequence after all: what follows is looked at as text.
    return this.#ground(point, char);
  }

  #csi(point: number, char: string): string {
    if (point >= 0x20 && point <= 0x3f) {
      const isColour = (point >= 0x30 && point <= 0x39) || char === ";" || char === ":";
      if (!isColour || (this.#params?.length ?? 0) > longestSequence) this.#params = undefined;
      else if (this.#params !== undefined) this.#params += char;
      return "";
    }
    this.#state = "ground";
    if (point < 0x40 || point > 0x7e) return this.#ground(point, char);
    if (char !== "m" || this.#params === undefined || !this.#rules.colour) return "";
    this.#coloured = !/^0*$/.test(this.#params);
    return `\u001B[${this.#params}m`;
  }
}

/** Blocks without invisible characters, so that box drawing and CJK do not pay for the check. */
function isSafeRange(code: number): boolean {
  return (code >= 0x2500 && code <= 0x2fff) || (code >= 0x3165 && code <= 0xd7ff) || code === 0xfffd;
}

/** What nearly all text is, and what needs no cleaning. */
const plain = /^[\x20-\x7e]*$/;

function cleanWith(text: string, rules: Rules): string {
  if (plain.test(text)) return text;
  const cleaner = new Cleaner(rules);
  return cleaner.write(text) + cleaner.end();
}

/**
 * Text of a name, a title or a message: no escape sequence, no control character, nothing invisible
 * or turning the direction of writing. `newlines` keeps `\n` and `\t`, which otherwise become spaces.
 */
export function cleanText(text: string, options: { newlines?: boolean } = {}): string {
  return cleanWith(text, { newlines: options.newlines ?? false, colour: false });
}

/**
 * Text of a screen or of a program's output: like `cleanText` with `newlines`, but colours and
 * styles (SGR) stay, and are switched off at the end so that they do not run into the user's prompt.
 */
export function cleanScreen(text: string): string {
  return cleanWith(text, { newlines: true, colour: true });
}

export interface CleanStream {
  /** What can be printed of the input so far. Bytes are UTF-8, cut anywhere. */
  write: (chunk: Uint8Array | string) => string;
  /** The rest, at the end of the input. */
  end: () => string;
}

/** `cleanScreen` for output that arrives in chunks; `colour: false` for `cleanText`'s rules. */
export function cleanStream(options: { colour?: boolean } = {}): CleanStream {
  const cleaner = new Cleaner({ newlines: true, colour: options.colour ?? true });
  const decoder = new TextDecoder();
  return {
    write: (chunk) =>
      cleaner.write(typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true })),
    end: () => cleaner.write(decoder.decode()) + cleaner.end(),
  };
}
