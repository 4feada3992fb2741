/** Radicals, parts and how they stand together, as conditioning/parts.py counts it: tables.json. */

import type { Radical } from "../messages";
import { PageError } from "./errors";
import type { Settings } from "./settings";
import { normalise } from "./text";

/** Where the six places of a table are: across, down and around, second and first component. */
const PLACES = "ads";

type Style = 0 | 1 | null; // simplified or not, where there is such a difference

interface RadicalRow {
  forms: string[];
  names: string[];
  places: [form: string, kind: string, first: 0 | 1, count: number, style: Style][];
  rooms: Record<string, string[]>;
  exists: Record<string, string>;
}

interface PartRow {
  places: number[];
  shapes?: string[];
  around?: Record<string, number>;
  styles: number[];
  rooms?: Record<string, number>;
  readings?: string[];
}

/** tables.json of an exported model. */
export interface Tables {
  radicals: RadicalRow[];
  parts: Record<string, PartRow>;
  places: number[];
  named: Record<string, number>;
  spellings: Record<string, [syllable: string, tone: number]>;
  sounds: Record<string, Record<string, Record<string, number>>>;
  meanings: Record<string, string>;
  glosses: Record<string, string>;
  unified: Record<string, string>;
  log_frequency?: number[]; // of the radicals
  characters?: string; // those that the recogniser knows
}

/** How a radical and a part stand together, each in the form that it takes there. */
export interface Arrangement {
  kind: string;
  first: string;
  second: string;
  radicalFirst: boolean;
}

const CHINESE =
  "[\\u2e80-\\u2fdf\\u31c0-\\u31ef\\u3400-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{3ffff}]";
const ONE = new RegExp(`^${CHINESE}$`, "u");
const SEVERAL = new RegExp(`^${CHINESE}(?:[ ,+]*${CHINESE})+$`, "u");
const ARTICLE = /^(?:to|an?|the) /;
const LAYOUT_OF: Record<string, string> = { a: "left-right", d: "top-bottom", s: "enclosed" };

/** The layout of a kind. */
export function layoutOf(kind: string): string {
  return LAYOUT_OF[kind[0]];
}

export class Parts {
  readonly radicals: Radical[];

  constructor(
    private readonly tables: Tables,
    private readonly settings: Settings,
  ) {
    this.radicals = tables.radicals.map(({ forms, names }, i) => ({ number: i + 1, forms, names }));
  }

  /** The parts that are drawn without being asked for, commonest first, with their readings. */
  get usualParts(): { part: string; readings: string[] }[] {
    return Object.entries(this.tables.parts)
      .filter(([, { rooms }]) => rooms)
      .map(([part, { rooms, readings }]) => ({ part, readings: readings!, count: sum(rooms!) }))
      .sort((a, b) => b.count - a.count || compare(a.part, b.part))
      .map(({ part, readings }) => ({ part, readings }));
  }

  /** The radical of an English name, a form or a number. */
  findRadical(text: string): Radical {
    const number = own(this.tables.named, normalise(text));
    if (!number) throw new PageError("unknown-radical", text);
    return this.radicals[number - 1];
  }

  /** A part by itself, 里 or 氵, or by its meaning: "ghost" is 鬼. */
  findPart(text: string): string {
    const wanted = Array.from(normalise(text), (one) => this.tables.unified[one] ?? one).join("");
    if (SEVERAL.test(wanted)) throw new PageError("several-parts", text);
    if (ONE.test(wanted)) return wanted;
    const part = own(this.tables.meanings, wanted.replace(ARTICLE, ""));
    if (!part) throw new PageError("unknown-part", text);
    return part;
  }

  /** What a single Chinese character is read as, in English, or "". */
  gloss(character: string): string {
    return own(this.tables.glosses, character) ?? "";
  }

  /** The parts that write a sound in real characters, each with how many, most first. */
  ofSound(sound: string): Map<string, number> {
    const [syllable, tone] = own(this.tables.spellings, normalise(sound)) ?? ["", 0];
    const tones = this.tables.sounds[syllable] ?? {};
    const counts = new Map<string, number>();
    for (const [other, parts] of Object.entries(tones)) {
      if (tone && Number(other) !== tone) continue;
      for (const [part, count] of Object.entries(parts)) {
        counts.set(part, (counts.get(part) ?? 0) + count);
      }
    }
    if (!counts.size) throw new PageError("unknown-sound", sound);
    return sorted(counts);
  }

  /** The characters of a radical and a part, commonest first. */
  existing(radical: number, part: string): string[] {
    return Array.from(own(this.tables.radicals[radical - 1].exists, part) ?? "");
  }

  /** The parts that usually stand where a radical leaves room, with how many characters do. */
  usual(radical: number, layout: string): Map<string, number> {
    const rooms = this.tables.radicals[radical - 1].rooms[layout];
    const counts = new Map<string, number>();
    for (const [part, row] of Object.entries(this.tables.parts)) {
      const count = rooms.reduce((total, room) => total + (row.rooms?.[room] ?? 0), 0);
      if (count >= this.settings.usual) counts.set(part, count);
    }
    return sorted(counts);
  }

  /** The ways to put a radical beside a part, as real characters do, with weights of sum 1. */
  arrangements(radical: number, part: string, layout: string): Map<Arrangement, number> {
    const row = own(this.tables.parts, part);
    if (!row) return new Map();
    const around = row.around ?? {};
    const ways = new Map<string, { way: Arrangement; weight: number; style: Style }>();
    for (const [form, kind, first, count, style] of this.tables.radicals[radical - 1].places) {
      const place = 2 * PLACES.indexOf(kind[0]) + (first ? 0 : 1); // of the part
      const inside = kind[0] === "s" && !first; // surrounded as the part surrounds others
      const kinds = inside ? around : { [kind]: 1 };
      for (const [other, share] of Object.entries(kinds)) {
        if (layout !== "none" && layout !== layoutOf(other)) continue;
        const weight = ((count * share) / sum(kinds)) * this.fit(row.places, place);
        const key = [form, other, first].join();
        const shape = row.shapes?.[place] ?? part;
        const [one, two] = first ? [form, shape] : [shape, form];
        const way = { kind: other, first: one, second: two, radicalFirst: Boolean(first) };
        ways.set(key, { way, weight: (ways.get(key)?.weight ?? 0) + weight, style });
      }
    }
    const all = [...ways.values()];
    const alike = all.filter(({ style }) => style === null || row.styles.includes(style));
    return shares(alike.length ? alike : all, this.settings.floor);
  }

  /** How much likelier a part is at a place than parts in general. */
  private fit(places: number[], place: number): number {
    const { trust } = this.settings;
    const general = this.tables.places[place] / sum(this.tables.places);
    return (places[place] + trust * general) / (sum(places) + trust) / general;
  }
}

/** Weights of at least a part of the highest, divided by their sum, highest first. */
function shares(
  ways: { way: Arrangement; weight: number }[],
  floor: number,
): Map<Arrangement, number> {
  const most = Math.max(0, ...ways.map(({ weight }) => weight));
  const kept = ways.filter(({ weight }) => weight > 0 && weight >= floor * most);
  const total = kept.reduce((all, { weight }) => all + weight, 0);
  kept.sort((a, b) => b.weight - a.weight || compare(spelt(a.way), spelt(b.way)));
  return new Map(kept.map(({ way, weight }) => [way, weight / total]));
}

function spelt({ kind, first, second, radicalFirst }: Arrangement): string {
  return [kind, first, second, Number(radicalFirst)].join("\0");
}

/** By count, most first, then by code point. */
function sorted(counts: Map<string, number>): Map<string, number> {
  return new Map([...counts].sort(([a, m], [b, n]) => n - m || compare(a, b)));
}

/** The order of two texts by code points, which is not that of their units. */
function compare(a: string, b: string): number {
  const [one, other] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    const apart = one[i].codePointAt(0)! - other[i].codePointAt(0)!;
    if (apart) return apart;
  }
  return one.length - other.length;
}

function sum(numbers: number[] | Record<string, number>): number {
  return Object.values(numbers).reduce((total, number) => total + number, 0);
}

/** What an object has of its own under a name that somebody typed. */
function own<T>(object: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
