/**
 * Fonts that read English: type a word, and its character stands in its place. What
 * scripts/make_font.py makes as an .otf, with the same letters, names and measures.
 */
import { ascii, packed, tag, u16, u32, type Bytes, type Field } from "./bytes";
import { cff, whole, type Shape } from "./cff";
import latin from "./latin.json";
import { UNITS, type Outline } from "./outlines";
import { gpos, gsub, marksOf, spelt } from "./rules";
import type { Vector } from "./vectors";

/** A word of a font, and the outline of its character. */
export interface Entry {
  word: string;
  outline: Outline;
}

type Letter = keyof typeof latin.glyphs;
/** Left, bottom, right and top of a glyph; null where it has no ink. */
type Box = [number, number, number, number] | null;
/** How far glyphs reach above and below the baseline. */
type Reach = readonly [number, number];

const ASCENT = 880; // of the em box above the baseline, as in Noto
const PRIVATE = 0xe000; // the first code point of a character
const LONGEST_NAME = 50; // of a glyph
const MADE = Date.UTC(2026, 0, 1) / 1000 + 2_082_844_800; // seconds since 1904
const BOX = "M 900 0 L 900 700 L 100 700 L 100 0 Z M 850 50 L 150 50 L 150 650 L 850 650 Z";
const ABOUT =
  "Characters that nobody has written, drawn from English by latent diffusion. Where ligatures " +
  "are on, as they mostly are, a word that is typed becomes its character.";

/**
 * The bytes of an .otf with a character for each word, from U+E000 on, and letters.
 *
 * @param entries words as they are typed, "sea monster", each once, with ink.
 * @param family the name of the font, with Latin letters.
 */
export function makeFont(entries: readonly Entry[], family = "Tianshu"): Uint8Array<ArrayBuffer> {
  const letters = Object.keys(latin.glyphs) as Letter[];
  const plain = letters.map((letter): Shape => {
    const [advance, path] = latin.glyphs[letter] as [number, string];
    return { name: nameOf(letter), advance, outline: parsed(path) };
  });
  const words = entries.map((entry) => entry.word);
  const spellings = spelt(words, new Set(letters));
  const marks = marksOf(spellings);
  const names = glyphNames(words, new Set(plain.map((shape) => shape.name)));
  const shapes: Shape[] = [
    { name: ".notdef", advance: UNITS, outline: parsed(BOX) },
    ...plain,
    ...entries.map(({ outline }, i) => ({
      name: names[i],
      advance: UNITS,
      outline: whole(outline, ASCENT - UNITS),
    })),
    ...marks.map((mark) => ({
      ...plain[letters.indexOf(mark[0] as Letter)],
      name: nameOf(mark[0]) + mark.slice(1),
    })),
  ];
  const first = 1 + plain.length; // of the characters
  const codes = new Map([
    ...letters.map((letter, i): [number, number] => [letter.codePointAt(0)!, 1 + i]),
    ...entries.map((_, i): [number, number] => [PRIVATE + i, first + i]),
  ]);
  const glyphs = new Map([
    ...letters.map((letter, i): [string, number] => [letter, 1 + i]),
    ...marks.map((mark, i): [string, number] => [mark, first + entries.length + i]),
  ]);
  const characters = entries.map((_, i) => first + i);
  const kerning = Object.entries(latin.kerning).flatMap(([left, row]) =>
    Object.entries(row).flatMap(([by, rights]) =>
      [...rights].map((right): [number, number, number] => [
        glyphs.get(left)!, glyphs.get(right)!, Number(by),
      ]),
    ),
  );

  const boxes = shapes.map(({ outline }) => bounds(outline));
  const inked = boxes.filter((box) => box !== null);
  const extreme = (side: number, pick: typeof Math.max): number =>
    inked.map((box) => box[side]).reduce((a, b) => pick(a, b));
  const all = [
    extreme(0, Math.min), extreme(1, Math.min), extreme(2, Math.max), extreme(3, Math.max),
  ];
  const reach = [Math.max(latin.reach[0], all[3]), Math.max(latin.reach[1], -all[1])] as const;
  const full = `${family} Regular`;
  const post = `${asciiOf(family).replace(/[^A-Za-z0-9]/g, "")}-Regular`;
  const longest = Math.max(...words.map((word) => [...word].length));
  return sfnt({
    BASE: packed([1, 0, BASELINES, 0]),
    "CFF ": cff(post, post.replace("-", " "), shapes, all),
    GPOS: gpos(kerning),
    ...(spellings.length ? { GSUB: gsub(spellings, glyphs, characters) } : {}),
    "OS/2": os2(shapes, [...codes.keys()], reach, longest),
    VORG: u16(1, 0, ASCENT, 0),
    cmap: cmap(codes),
    head: head(all),
    hhea: hhea(shapes, boxes, reach),
    hmtx: shapes.flatMap(({ advance }, i) => u16(advance, boxes[i]?.[0] ?? 0)),
    maxp: [...u32(0x5000), ...u16(shapes.length)],
    name: nameTable(family, full, post),
    post: [...u32(0x30000, 0), ...u16(-100, 50), ...u32(0, 0, 0, 0, 0)],
    vhea: vhea(boxes),
    vmtx: [...u16(UNITS), ...boxes.flatMap((box) => u16(ASCENT - (box?.[3] ?? ASCENT)))],
  });
}

// ---- glyphs -------------------------------------------------------------------------------------

const nameOf = (letter: string): string =>
  `uni${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;

/** A name for each word's character that no other glyph has. */
function glyphNames(words: readonly string[], taken: Set<string>): string[] {
  return words.map((word, i) => {
    const plain = asciiOf(word).replace(/[^A-Za-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
    let stem = plain.slice(0, LONGEST_NAME);
    if (!/^[A-Za-z]/.test(stem)) stem = `word_${stem || nameOf(String.fromCharCode(PRIVATE + i))}`;
    let name = stem;
    for (let n = 1; taken.has(name); n++) name = `${stem}.word${n > 1 ? n : ""}`;
    taken.add(name);
    return name;
  });
}

/** Letters without their accents, and no others. */
const asciiOf = (text: string): string => text.normalize("NFKD").replace(/[^\x20-\x7e]/g, "");

/** Path data whose points are those of a font, y up. */
function parsed(path: string): Outline {
  return path
    .split(/ ?M /)
    .slice(1)
    .map((contour) => {
      const segments = contour.split(/ [LCZ] ?/).filter(Boolean).map((numbers): Vector[] => {
        const values = numbers.split(" ").map(Number);
        const points = Array.from({ length: values.length / 2 });
        return points.map((_, i): Vector => [values[2 * i], values[2 * i + 1]]);
      });
      const [[start], ...rest] = segments;
      const [x, y] = rest[rest.length - 1].at(-1)!;
      return x === start[0] && y === start[1] ? rest : [...rest, [start]];
    });
}

function bounds(outline: Outline): Box {
  const points = outline.flatMap((contour) =>
    contour.flatMap((segment, i) => {
      const start = contour.at(i - 1)!.at(-1)!;
      return segment.length > 1 ? extremes([start, ...segment]) : segment;
    }),
  );
  if (!points.length) return null;
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const low = (values: number[]): number => Math.floor(values.reduce((a, b) => Math.min(a, b)));
  const high = (values: number[]): number => Math.ceil(values.reduce((a, b) => Math.max(a, b)));
  return [low(xs), low(ys), high(xs), high(ys)];
}

/** The ends of a cubic curve, and where it reaches farthest. */
function extremes(nodes: readonly Vector[]): Vector[] {
  const times = [0, 1].flatMap((axis) => {
    const [p0, p1, p2, p3] = nodes.map((node) => node[axis]);
    const [a, b, c] = [p3 - 3 * p2 + 3 * p1 - p0, 2 * (p2 - 2 * p1 + p0), p1 - p0];
    if (Math.abs(a) < 1e-9) return b ? [-c / b] : [];
    const root = Math.sqrt(b * b - 4 * a * c); // NaN where there is none
    return [(-b - root) / (2 * a), (-b + root) / (2 * a)];
  });
  const at = (t: number, axis: number): number => {
    const [p0, p1, p2, p3] = nodes.map((node) => node[axis]);
    const s = 1 - t;
    return s * s * s * p0 + 3 * s * s * t * p1 + 3 * s * t * t * p2 + t * t * t * p3;
  };
  const inner = times.filter((t) => t > 0 && t < 1).map((t): Vector => [at(t, 0), at(t, 1)]);
  return [nodes[0], nodes[3], ...inner];
}

// ---- tables -------------------------------------------------------------------------------------

const BASELINE = [[1, 2, [1, ASCENT - UNITS], [1, 0]], 0, 0] as Field[]; // the Roman one
const BASELINES: Field[] = [
  [2, ...tag("ideo"), ...tag("romn")],
  [2, ...tag("DFLT"), BASELINE, ...tag("latn"), BASELINE],
];

function cmap(codes: ReadonlyMap<number, number>): Bytes {
  const segments: [first: number, last: number, delta: number][] = [];
  for (const [code, glyph] of [...codes].sort(([a], [b]) => a - b)) {
    const before = segments.at(-1);
    if (before && code === before[1] + 1 && glyph - code === before[2]) before[1] = code;
    else segments.push([code, code, glyph - code]);
  }
  segments.push([0xffff, 0xffff, 1]);
  const count = segments.length;
  const power = 2 ** Math.floor(Math.log2(count));
  const table = u16(
    4, 16 + 8 * count, 0, 2 * count, 2 * power, Math.log2(power), 2 * (count - power),
    ...segments.map(([, last]) => last), 0,
    ...segments.map(([first]) => first),
    ...segments.map(([, , delta]) => delta),
    ...segments.map(() => 0),
  );
  const place = u32(20); // of both
  return [...u16(0, 2, 0, 3), ...place, ...u16(3, 1), ...place, ...table];
}

function head(box: readonly number[]): Bytes {
  const made = [...u32(Math.floor(MADE / 2 ** 32)), ...u32(MADE)];
  return [
    ...u32(0x10000, 0x10000, 0, 0x5f0f3cf5), ...u16(3, UNITS), ...made, ...made,
    ...u16(...box, 0, 3, 2, 0, 0),
  ];
}

function hhea(shapes: readonly Shape[], boxes: readonly Box[], reach: Reach): Bytes {
  const inked = shapes.flatMap(({ advance }, i) => {
    const box = boxes[i];
    return box ? [{ left: box[0], right: advance - box[2], extent: box[2] }] : [];
  });
  return [
    ...u32(0x10000),
    ...u16(
      reach[0], -reach[1], 0, Math.max(...shapes.map((shape) => shape.advance)),
      Math.min(...inked.map((one) => one.left)), Math.min(...inked.map((one) => one.right)),
      Math.max(...inked.map((one) => one.extent)), 1, 0, 0, 0, 0, 0, 0, 0, shapes.length,
    ),
  ];
}

function vhea(boxes: readonly Box[]): Bytes {
  const inked = boxes.filter((box) => box !== null);
  const tops = inked.map((box) => ASCENT - box[3]);
  const bottoms = inked.map((box) => ASCENT - box[1]);
  return [
    ...u32(0x10000),
    ...u16(
      UNITS / 2, -UNITS / 2, 0, UNITS, Math.min(...tops),
      UNITS - Math.max(...bottoms), Math.max(...bottoms), 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ),
  ];
}

function os2(
  shapes: readonly Shape[],
  codes: readonly number[],
  [above, below]: Reach,
  longest: number,
): Bytes {
  const advances = shapes.map((shape) => shape.advance).filter(Boolean);
  const mean = advances.reduce((a, b) => a + b) / advances.length;
  return [
    ...u16(3, Math.round(mean), 400, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    ...u16(0, 0, 0, 0, 0), // PANOSE
    ...u32(0x80000007, 0x1000004a, 0, 0), // where the letters lie in Unicode, and private use
    ...ascii("????"),
    ...u16(0x40, Math.min(...codes), Math.max(...codes), above, -below, 0, above, below),
    ...u32(1, 0), // Latin 1
    ...u16(...latin.heights, 0, 0x20, longest),
  ];
}

function nameTable(family: string, full: string, post: string): Bytes {
  const [owner, licence, address] = latin.legal;
  const texts: [number, string][] = [
    [0, `Characters: Tianshu, which claims no rights in them. Letters: ${owner}`],
    [1, family],
    [2, "Regular"],
    [3, `1.000;${asciiOf(full)}`],
    [4, full],
    [5, "Version 1.000"],
    [6, post],
    [10, ABOUT],
    [13, licence],
    [14, address],
  ];
  const records: Bytes = [];
  const strings: Bytes = [];
  for (const [number, text] of texts) {
    const bytes = u16(...Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)));
    records.push(...u16(3, 1, 0x409, number, bytes.length, strings.length));
    strings.push(...bytes);
  }
  return [...u16(0, texts.length, 6 + 12 * texts.length), ...records, ...strings];
}

/** An OpenType font of tables, by their tags in the order of ASCII. */
function sfnt(tables: Readonly<Record<string, Bytes>>): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(tables);
  const count = entries.length;
  const power = 2 ** Math.floor(Math.log2(count));
  const directory = [
    ...ascii("OTTO"), ...u16(count, 16 * power, Math.log2(power), 16 * (count - power)),
  ];
  let place = 12 + 16 * count;
  const starts: Record<string, number> = {};
  const bodies = entries.map(([tag, bytes]) => {
    const padded = bytes.concat(Array<number>((4 - (bytes.length % 4)) % 4).fill(0));
    directory.push(...ascii(tag), ...u32(checksum(padded), place, bytes.length));
    starts[tag] = place;
    place += padded.length;
    return padded;
  });
  const file = Uint8Array.from(directory.concat(...bodies));
  const adjustment = u32(0xb1b0afba - checksum(file));
  file.set(adjustment, starts.head + 8);
  return file;
}

function checksum(bytes: ArrayLike<number>): number {
  const factors = [0x1000000, 0x10000, 0x100, 1];
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum = (sum + bytes[i] * factors[i % 4]) % 2 ** 32;
  return sum;
}
