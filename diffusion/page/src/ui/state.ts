/** What is asked for, as it stands in the address, so that a link shows the same characters. */

import type { Ask } from "../messages";
import { SIDE, ink, packed, unpacked, type Stroke } from "./strokes";

export const FOUR = 4; // characters at first, and more at a time
const MOST = 64; // that a link asks for
const LAYOUTS = ["left-right", "top-bottom", "enclosed"];
const LARGEST_SEED = Number.MAX_SAFE_INTEGER - 1000;
export const FIRST_WORD = "gold";

/** All that a person can set. "" and null are left to the model. */
export interface State {
  prompt: string;
  /** Words at the other end of the slider; null without a slider. */
  to: string | null;
  at: number;
  radical: string;
  part: string;
  sound: string;
  layout: string;
  guidance: number | null;
  seed: number;
  count: number;
  strokes: Stroke[];
}

/** The state of an empty address, but for the words. */
export function fresh(prompt: string): State {
  return {
    prompt, to: null, at: 0.5, radical: "", part: "", sound: "", layout: "", guidance: null,
    seed: 0, count: FOUR, strokes: [],
  };
}

/** The parameters of the address; of a page from disk, those that it put behind #. */
export function parameters(): URLSearchParams {
  const { hash, search } = location;
  return new URLSearchParams(hash.includes("=") ? hash.slice(1) : search);
}

/** The state that an address says. Whatever makes no sense is left out. */
export function read(address: URLSearchParams): State {
  const text = (name: string) => address.get(name) ?? "";
  const number = (name: string, least: number, most: number) => {
    const value = text(name).trim() ? Number(text(name)) : NaN;
    return value >= least && value <= most ? value : null;
  };
  const layout = text("layout");
  return {
    prompt: address.get("prompt") ?? (text("radical") ? "" : FIRST_WORD),
    to: address.get("to"),
    at: number("at", 0, 1) ?? 0.5,
    radical: text("radical"),
    part: text("part"),
    sound: text("sound"),
    layout: LAYOUTS.includes(layout) ? layout : "",
    guidance: number("guidance", 0, 8),
    seed: Math.floor(number("seed", 0, LARGEST_SEED) ?? 0),
    count: Math.ceil((number("count", 1, MOST) ?? FOUR) / FOUR) * FOUR,
    strokes: unpacked(text("drawing")),
  };
}

/** The address of a state, in a language. */
export function written(state: State, language: string): string {
  const address = new URLSearchParams();
  const set = (name: string, value: string | number | null, usual: unknown = "") => {
    if (value !== null && value !== usual) address.set(name, String(value));
  };
  address.set("prompt", state.prompt);
  set("to", state.to);
  if (state.to !== null) address.set("at", String(state.at));
  set("radical", state.radical);
  set("part", state.part);
  set("sound", state.sound);
  set("layout", state.layout);
  set("guidance", state.guidance);
  set("seed", state.seed, 0);
  set("count", state.count, FOUR);
  set("drawing", packed(state.strokes));
  set("lang", language, "en");
  return `?${address}`;
}

/** Puts a state into the address. */
export function remember(state: State, language: string): void {
  const address = written(state, language);
  try {
    history.replaceState(null, "", address);
  } catch {
    // A page from disk may not change what is behind ?, and browsers bound how often anyone may.
    if (location.protocol === "file:") location.replace(`#${address.slice(1)}`);
  }
}

/** Seeds from one on, as far as numbers go, for what somebody typed. */
export function seedOf(text: string): number | null {
  const seed = /^\d{1,16}$/.test(text.trim()) ? Number(text) : NaN;
  return seed <= LARGEST_SEED ? seed : null;
}

/** What to ask of the engine for `count` characters from one on. */
export function asked(state: State, start: number, count: number, prompt = state.prompt): Ask {
  const ask: Ask = { prompt, seed: state.seed, start, count };
  if (state.radical) ask.radical = state.radical;
  if (state.layout) ask.layout = state.layout;
  if (state.guidance !== null) ask.guidance = state.guidance;
  if (state.strokes.length) return { ...ask, drawing: ink(state.strokes, SIDE) };
  if (state.part) ask.part = state.part;
  if (state.sound) ask.sound = state.sound;
  return ask;
}
