/** What the page and its worker say to each other. */

/** What to draw. Without a setting, the model decides. */
export interface Ask {
  prompt: string;
  seed: number;
  count: number;
  /** The first glyph's index; glyph i is of the seed `seed + i`. */
  start?: number;
  radical?: string;
  part?: string;
  sound?: string;
  layout?: string;
  guidance?: number;
  /** A sketch of the whole character, 128 × 128, 1 = ink. */
  drawing?: Float32Array;
  /** Whether to send states on the way. */
  steps?: boolean;
}

/** A glyph, and what it is made of. */
export interface Glyph {
  index: number;
  seed: number;
  /** 128 × 128, 255 = paper. */
  image: Uint8Array;
  caption: string;
  radical: number | null;
  form: string;
  part: string;
  sound: string;
  layout: string;
  /** The characters that radical and part are already. */
  existing: string[];
  match: { character: string; likeness: number; exists: boolean };
  redrawn: number;
}

export interface Radical {
  number: number;
  forms: string[];
  names: string[];
}

export interface Part {
  part: string;
  readings: string[];
}

/** Why nothing was drawn. */
export type Code =
  | "unknown-part"
  | "several-parts"
  | "unknown-sound"
  | "unknown-radical"
  | "empty"
  | "too-long"
  | "cannot-stand"
  | "no-simd"
  | "cut-off"
  | "damaged"
  | "other";

/**
 * What a prompt loses, words without a token, words beyond the last token and what `AND` does
 * elsewhere; or what a Chinese character is read as.
 */
export type Passed = "unknown-words" | "words-lost" | "conjunction" | "read-as";

/** To the worker. A new drawing cancels the one before. */
export type Order =
  /** `files` are those of a page in a single file, in base64. */
  | { id: number; kind: "load"; files?: Record<string, string> }
  | { id: number; kind: "draw"; ask: Ask }
  /** `at` is from 0, all of `from`, to 1. */
  | { id: number; kind: "blend"; from: Ask; to: Ask; at: number }
  | { id: number; kind: "cancel" };

/** From the worker, with the id of the order. */
export type Answer = { id: number } & (
  | { kind: "progress"; loaded: number; total: number }
  | { kind: "ready"; radicals: Radical[]; parts: Part[]; backend: string }
  | { kind: "glyph"; glyph: Glyph }
  | { kind: "state"; index: number; time: number; image: Uint8Array }
  /** `text` is the words that it is about. */
  | { kind: "warning"; code: Passed; text: string }
  | { kind: "done" }
  | { kind: "error"; code: Code; text: string }
);
