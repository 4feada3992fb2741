/** Which radical and which part stand together, and how, as in diffusion/inventions.py. */

import type { Ask, Radical } from "../messages";
import { PageError } from "./errors";
import type { Arrangement, Parts } from "./parts";
import { Philox, Stream } from "./philox";
import type { Settings } from "./settings";
import type { Sketcher } from "./sketcher";
import { LAYOUTS, asked, normalise, parsePrompt } from "./text";

const AUTO = "auto"; // the model's choice
const NONE = "none";

/** What a glyph is made of. */
export interface Invention {
  caption: string; // what the denoiser is conditioned on
  radical: number | null; // null where words alone decide
  part: string; // "" where it is left to chance
  way: Arrangement | null; // how both stand; null where it is left to chance
  time: number; // how far its sketch goes into noise; 1 without one
  fixed: boolean; // whether another attempt would be no other
  sound: string; // what the part was drawn for
}

/** Gives the radical of the words for a seed and a turn. */
export type ChooseRadical = (seed: bigint, turn: number) => Radical;

/** One of several, by its weight, with a number of a `Philox`. */
export function choose<T>(weights: Map<T, number>, seed: bigint, stream: Stream, turn = 0): T {
  let total = 0;
  const chances = Array.from(weights.values(), (weight) => (total += weight));
  const draw = new Philox(seed, stream, turn).random(1)[0] * total;
  const past = chances.filter((chance) => chance <= draw).length;
  return [...weights.keys()][Math.min(past, weights.size - 1)];
}

/** What radicals and parts there are outlines for, and how they stand. */
export class Pairings {
  private readonly kept = new Map<string, Map<string, number>>();

  constructor(
    readonly parts: Parts,
    readonly sketcher: Sketcher,
  ) {}

  /** The arrangements of a radical and a part for which there are outlines, with weights. */
  ways(radical: number, part: string, layout: string): Map<Arrangement, number> {
    const found = this.parts.arrangements(radical, part, layout);
    return filtered(found, ({ kind, first, second }) => this.sketcher.can(kind, first, second));
  }

  /** Parts that can stand beside a radical, of a sound or any for "": new ones, if there are. */
  fittingParts(radical: number, sound: string, layout: string): Map<string, number> {
    const key = [radical, sound, layout].join();
    let found = this.kept.get(key);
    if (!found) {
      const { parts } = this;
      const usual = sound ? parts.ofSound(sound) : parts.usual(radical, layout);
      const fitting = filtered(usual, (part) => this.ways(radical, part, layout).size > 0);
      const fresh = filtered(fitting, (part) => parts.existing(radical, part).length === 0);
      found = fresh.size ? fresh : fitting;
      this.kept.set(key, found);
    }
    return found;
  }
}

function filtered<T>(weights: Map<T, number>, keep: (one: T) => boolean): Map<T, number> {
  return new Map([...weights].filter(([one]) => keep(one)));
}

/** Decides what each glyph of an `Ask` is made of. Throws `PageError` for what cannot be drawn. */
export class Inventor {
  readonly words: string;
  readonly readAs: string; // what a prompt of one Chinese character is read as, or ""
  private readonly radical: Radical | null; // asked for
  private readonly anyRadical: boolean;
  private readonly layout: string;
  private readonly part: string;
  private readonly sound: string;
  private readonly anyPart: boolean;
  private readonly drawing: boolean;

  constructor(
    private readonly pairings: Pairings,
    private readonly settings: Settings,
    ask: Ask,
  ) {
    const { parts } = pairings;
    const radical = normalise(ask.radical ?? AUTO) || AUTO;
    this.anyRadical = radical === AUTO;
    this.radical = radical === AUTO || radical === NONE ? null : parts.findRadical(radical);
    if (ask.prompt.length > settings.longest_prompt) throw new PageError("too-long");
    const line = asked(ask.prompt);
    if (!line) throw new PageError("several-parts", ask.prompt);
    const own = (ask.part ?? "").trim();
    const named = line.part || line.sound; // in the prompt
    const given = [AUTO, NONE, ""].includes(own.toLowerCase()) ? "" : own;
    const part = named ? line.part : given;
    this.sound = part ? "" : named ? line.sound : (ask.sound ?? "").trim();
    const text = line.text || (part || this.sound ? (this.radical?.names[0] ?? "") : "");
    const prompt = parsePrompt(text);
    if (!prompt.words) throw new PageError("empty");
    this.readAs = parts.gloss(prompt.words);
    this.words = this.readAs || prompt.words;
    const asLayout = LAYOUTS.includes(ask.layout ?? "") ? ask.layout! : NONE;
    this.layout = prompt.layout || asLayout;
    this.drawing = Boolean(ask.drawing);
    this.anyPart = own.toLowerCase() !== NONE && !this.drawing;
    this.part = part && !this.drawing ? this.check(part) : "";
    if (this.drawing) this.sound = "";
    if (this.sound) parts.ofSound(this.sound);
    if (radical === NONE && (this.part || this.sound)) {
      throw new PageError("cannot-stand", this.part || this.sound);
    }
  }

  /** The invention of a seed, whose `attempt` draws a part where none is given. */
  invent(chooseRadical: ChooseRadical | null, seed: bigint, attempt = seed): Invention {
    const { drawing, settings } = this;
    if (!drawing) {
      const found = this.withPart(chooseRadical, seed, attempt);
      if (found) return found;
    }
    const [radical] = this.radicals(chooseRadical, seed);
    const layout = this.layout === NONE ? "" : `; ${this.layout}`;
    return {
      caption: this.captioned(radical) + layout,
      radical: null,
      part: "",
      way: null,
      time: drawing ? settings.sketched : 1,
      fixed: drawing,
      sound: "",
    };
  }

  /** Words with a part beside their radical; null where there is to be none, or none can. */
  private withPart(
    chooseRadical: ChooseRadical | null,
    seed: bigint,
    attempt: bigint,
  ): Invention | null {
    const { part, sound, layout, pairings, settings } = this;
    const given = Boolean(part || sound);
    const placed = layout !== NONE;
    if (!given && !placed && !this.anyPart) return null;
    // The first choice of the model gives way to what is asked for, and to nothing else.
    let tried: Radical | null = null;
    for (const radical of this.radicals(chooseRadical, seed)) {
      tried = radical;
      const parts = part
        ? new Map([[part, 1]])
        : pairings.fittingParts(radical.number, sound, layout);
      const stand = this.place(radical.number, parts, attempt);
      if (stand) {
        return {
          caption: this.captioned(radical),
          radical: radical.number,
          ...stand,
          time: settings.composed,
          fixed: Boolean(part),
          sound,
        };
      }
      if (!given && !placed) break;
    }
    if (given) throw new PageError("cannot-stand", `${tried?.forms[0] ?? ""} ${part || sound}`);
    return null;
  }

  /** One of some parts for a radical whose strokes have room, and how both stand, or null. */
  private place(
    radical: number,
    parts: Map<string, number>,
    seed: bigint,
  ): { part: string; way: Arrangement } | null {
    const { pairings, layout, settings } = this;
    let found = null;
    for (let turn = 0; turn < (parts.size ? settings.choices : 0); turn++) {
      const part = choose(parts, seed, Stream.PART, turn);
      const fitting = pairings.ways(radical, part, layout);
      if (!fitting.size) continue;
      const way = choose(fitting, seed, Stream.ARRANGEMENT, turn);
      found = { part, way };
      const room = pairings.sketcher.room(way.kind, way.first, way.second);
      if (parts.size === 1 || room >= settings.roomy) break;
    }
    return found;
  }

  /** The radical asked for, or some that are chosen for the words, the seed's own first. */
  private *radicals(chooseRadical: ChooseRadical | null, seed: bigint): Generator<Radical> {
    if (this.radical) {
      yield this.radical;
    } else if (this.anyRadical && chooseRadical) {
      for (let turn = 0; turn < this.settings.choices; turn++) yield chooseRadical(seed, turn);
    }
  }

  /** The words with the name of a radical before them. */
  private captioned(radical: Radical | undefined): string {
    return radical ? `${radical.names[0]}; ${this.words}` : this.words;
  }

  /** The part that a text names, if there is an outline of it and the radical can stand by it. */
  private check(text: string): string {
    const { parts, sketcher } = this.pairings;
    const part = parts.findPart(text);
    if (!sketcher.knows(part)) throw new PageError("unknown-part", part);
    return part;
  }
}
