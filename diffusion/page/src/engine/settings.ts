import type { SketchRules } from "./sketcher";

/** The numbers of manifest.json that drawing goes by, as Python names them. */
export interface Settings {
  image_size: number;
  latent: [channels: number, height: number, width: number];
  max_tokens: number; // of a text, the end token included
  end: number; // the token after each text
  longest_prompt: number; // characters
  steps: number; // from noise
  repairs: number; // steps at most from parts
  calls: number; // of a student, from noise
  guidance: number; // from noise; 1 from parts
  guidances: [least: number, most: number];
  composed: number; // how far into noise: radical and part put together
  sketched: number; // and a drawing
  choices: number; // radicals that are tried beside a part, and parts beside a radical
  roomy: number; // of the width of strokes: what a part that the seed draws keeps
  redraws: number; // at most, of a glyph that exists
  floor: number; // of the weight of the most usual arrangement: rarer ones are left out
  trust: number; // characters' worth of it in where parts stand in general
  usual: number; // characters with a part that is drawn without being asked for
  sketch: SketchRules;
  sharpness?: number; // of the prior
  balance?: number;
  threshold?: number; // of the recogniser: the least cosine of one character
}
