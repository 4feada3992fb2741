/** What the page and its worker say to each other. */

/** What to draw, as a `Request` in Python. */
export interface Ask {
  prompt: string;
  seed: number;
  count: number;
  start?: number; // the index of the first glyph, whose seed is `seed + start`
  radical?: string; // a name, a form or a number
  part?: string; // a character or its meaning; "none" leaves it to chance
  sound?: string;
  layout?: string;
  guidance?: number;
  drawing?: Float32Array; // of a whole character, 128 by 128, 1 = ink
  steps?: boolean; // report states on the way
}

/** A glyph, and what is known of it. */
export interface Glyph {
  index: number;
  seed: number;
  image: Uint8Array; // 128 by 128 grey, 255 = paper
  caption: string; // what the denoiser was conditioned on
  radical: number | null;
  form: string; // of the radical
  part: string;
  sound: string;
  layout: string;
  existing: string[]; // characters that radical and part are already
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

/** Where the networks run: in WebAssembly, with so many threads, or on a GPU. */
export interface Backend {
  name: "wasm" | "webgpu";
  threads: number;
}

export type ErrorCode =
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
  | "failed";

/** What was left out of a prompt; the text says which words. */
export type WarningCode = "unknown-words" | "words-lost" | "conjunction";

/** `base` is the folder with the model; `files` are its files where they come with the page. */
export interface Load {
  kind: "load";
  base?: string;
  files?: Record<string, Blob>;
}

export type ToWorker = { id: number } & (
  | Load
  | { kind: "draw"; ask: Ask }
  | { kind: "blend"; from: Ask; to: Ask; at: number }
  | { kind: "cancel" }
);

export type FromWorker = { id: number } & (
  | { kind: "progress"; loaded: number; total: number }
  | { kind: "ready"; radicals: Radical[]; parts: Part[]; backend: Backend }
  | { kind: "glyph"; glyph: Glyph }
  | { kind: "state"; index: number; time: number; image: Uint8Array }
  | { kind: "warning"; code: WarningCode; text: string }
  | { kind: "done" }
  | { kind: "error"; code: ErrorCode; text: string }
);

/** What cannot be drawn or loaded; the text is what it is about. */
export class PageError extends Error {
  constructor(
    readonly code: ErrorCode,
    text = "",
  ) {
    super(text);
  }
}
