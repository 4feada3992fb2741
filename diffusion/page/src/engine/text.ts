/** Prompts and their tokens, as in conditioning/prompts.py and conditioning/encoder.py. */

export const LAYOUTS = ["left-right", "top-bottom", "enclosed"];

const PLACED = /^(?<words>.*\S) ?; ?(?<layout>left[- ]right|top[- ]bottom|enclosed)$/u;
// "; part ghost" and "; sound luo", but not "; part of a house" or "; sound of bells".
const ASKED = new RegExp(
  "^(?<before>.*?) ?; ?(?<key>part|sound(?= \\S+ ?(?:;|$))) (?<value>(?!of )[^;]+)(?<after>;.*|)$",
  "u",
);
const PLAIN: [RegExp, string][] = [
  [/[‘’‚‛′ʼ]/g, "'"],
  [/[“”„‟«»]/g, '"'],
  [/[‐‒–—―−]/g, "-"],
  [/_/g, " "],
];
// Soft hyphens, joiners, marks of direction, variation selectors, byte-order marks.
const INVISIBLE =
  /[\xad\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\u{e0000}-\u{e0fff}]/gu;
const SPACES = /[\s\x1c-\x1f\x85]+/;

/** The one spelling of a text: NFKC, lower case, plain quotes and dashes, single spaces. */
export function normalise(text: string): string {
  text = text.replace(/[\ud800-\udfff]/gu, "?").replaceAll("´", "'").replace(INVISIBLE, "");
  text = casefold(casefold(text.normalize("NFKC")).normalize("NFKC"));
  for (const [signs, plain] of PLAIN) text = text.replace(signs, plain);
  return text.split(SPACES).filter(Boolean).join(" ");
}

/** Lower case for comparing, in which ß is ss. */
function casefold(text: string): string {
  const fold = (sign: string) => (sign === "ı" ? sign : sign.toUpperCase().toLowerCase());
  return Array.from(text.replaceAll("ẞ", "ß"), fold).join("");
}

/** Words, and the layout behind them, or "". */
export interface Prompt {
  words: string;
  layout: string;
}

/** The prompt that a text says; without a layout at its end, all of it are words. */
export function parsePrompt(text: string): Prompt {
  const words = normalise(text);
  const found = PLACED.exec(words)?.groups;
  return found
    ? { words: found.words, layout: found.layout.replace(" ", "-") }
    : { words, layout: "" };
}

/** A prompt without the part or the sound behind it, and these; "" is none. */
export interface Asked {
  text: string;
  part: string;
  sound: string;
}

/** What "robot; sound luo" asks for; null where it asks for more than one part. */
export function asked(text: string): Asked | null {
  const found: Record<string, string> = {};
  let rest = normalise(text);
  for (let match; (match = ASKED.exec(rest)?.groups); rest = match.before + match.after) {
    if (found.part || found.sound) return null;
    found[match.key] = match.value.trim();
  }
  return { text: rest, part: found.part ?? "", sound: found.sound ?? "" };
}

// ---- tokens -------------------------------------------------------------------------------------

interface Step {
  type: string;
  normalizers?: Step[];
  pretokenizers?: Step[];
  pattern?: { Regex: string };
}

/** What a tokenizer.json says, as far as it is read here. */
export interface TokenizerFile {
  normalizer: Step | null;
  pre_tokenizer: Step | null;
  model: { type: string; unk_id: number; vocab: [string, number][] };
}

const PUNCTUATION = /([!-/:-@[-`{-~\p{P}])/u;
const NORMALIZERS: Record<string, (text: string) => string> = {
  Nmt: (text) =>
    text
      .replace(/[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g, "")
      .replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, " "),
  NFKD: (text) => text.normalize("NFKD"),
  StripAccents: (text) => text.replace(/\p{M}/gu, ""),
  Lowercase: (text) => text.toLowerCase(),
};
const SPLITTERS: Record<string, (piece: string, step: Step) => string[]> = {
  WhitespaceSplit: (piece) => piece.split(/\s+/),
  Punctuation: (piece) => piece.split(PUNCTUATION),
  Split: (piece, { pattern }) => {
    const regex = pattern!.Regex.replaceAll("\\d", "\\p{Nd}"); // as in Rust, of any script
    return piece.split(new RegExp(`(${regex})`, "u"));
  },
  Metaspace: (piece) => `▁${piece.replace(/^[ ▁]/, "")}`.replaceAll(" ", "▁").split(/(?=▁)/),
};

/** The tokens of a text, and what of it has none. */
export interface Tokens {
  ids: number[];
  unknown: string[];
}

/**
 * The tokens of a Unigram model (Kudo 2018, arXiv:1804.10959): of all ways to cut a text, the most
 * likely one.
 */
export class Tokenizer {
  private readonly tokens = new Map<string, [id: number, score: number]>();
  private readonly longest: number;
  private readonly unlikely: number;

  constructor(private readonly file: TokenizerFile) {
    if (file.model.type !== "Unigram") throw new Error(`no tokenizer ${file.model.type}`);
    let [longest, least] = [0, 0];
    file.model.vocab.forEach(([token, score], id) => {
      this.tokens.set(token, [id, score]);
      longest = Math.max(longest, token.length);
      least = Math.min(least, score);
    });
    [this.longest, this.unlikely] = [longest, least - 10];
  }

  /** The tokens of as many whole words of a text as `most` tokens hold, and the words lost. */
  fit(text: string, most: number): Tokens & { lost: string } {
    const words = normalise(text).split(" ");
    const kept: Tokens = { ids: [], unknown: [] };
    for (const [i, word] of words.entries()) {
      const { ids, unknown } = this.encode(word);
      if (kept.ids.length + ids.length > most) {
        kept.ids.push(...ids.slice(0, most - kept.ids.length));
        return { ...kept, lost: words.slice(i).join(" ") };
      }
      kept.ids.push(...ids);
      kept.unknown.push(...unknown);
    }
    return { ...kept, lost: "" };
  }

  /** The tokens of a text, the end token not among them. */
  encode(text: string): Tokens {
    const found: Tokens = { ids: [], unknown: [] };
    for (const step of flat(this.file.normalizer, "normalizers")) {
      text = known(NORMALIZERS, step)(text);
    }
    let pieces = [text];
    for (const step of flat(this.file.pre_tokenizer, "pretokenizers")) {
      const split = known(SPLITTERS, step);
      pieces = pieces.flatMap((piece) => split(piece, step)).filter(Boolean);
    }
    for (const piece of pieces) this.cut(piece, found);
    return found;
  }

  /** Adds the tokens of a piece. What is unknown is one token, however long. */
  private cut(piece: string, found: Tokens): void {
    type Way = { from: number; id: number; score: number };
    const ways: (Way | undefined)[] = [{ from: 0, id: 0, score: 0 }]; // the best to each place
    const { unk_id } = this.file.model;
    const step = (from: number, to: number, id: number, score: number) => {
      if (!ways[to] || score > ways[to].score) ways[to] = { from, id, score };
    };
    for (let from = 0; from < piece.length; from++) {
      const way = ways[from];
      if (!way) continue; // within a character of two units
      const one = piece.codePointAt(from)! > 0xffff ? 2 : 1;
      for (let to = from + one; to <= Math.min(piece.length, from + this.longest); to++) {
        const token = this.tokens.get(piece.slice(from, to));
        if (token) step(from, to, token[0], way.score + token[1]);
        else if (to === from + one) step(from, to, unk_id, way.score + this.unlikely);
      }
    }
    const ids: number[] = [];
    for (let to = piece.length, end = to; to > 0; ) {
      const { from, id } = ways[to]!;
      const goesOn = id === unk_id && from > 0 && ways[from]!.id === unk_id;
      if (!goesOn) {
        ids.push(id);
        if (id === unk_id) found.unknown.push(piece.slice(from, end).normalize("NFC"));
        end = from;
      }
      to = from;
    }
    found.ids.push(...ids.reverse());
  }
}

/** The steps of a sequence of them, or the one step, or none. */
function flat(step: Step | null, name: "normalizers" | "pretokenizers"): Step[] {
  return step ? (step[name] ?? [step]) : [];
}

/** What a step does. */
function known<T>(steps: Record<string, T>, { type }: Step): T {
  if (!(type in steps)) throw new Error(`no step ${type} of a tokenizer`);
  return steps[type];
}
