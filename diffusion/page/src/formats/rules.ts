/**
 * The rules of a font that reads English, as in diffusion/fonts.py: each word is a ligature of its
 * letters, but only where no letter stands beside it. Rules mark the first and the last letter of
 * whatever is typed, a word is spelt with these, and what is no word becomes plain letters again.
 */
import { counted, packed, tag, type Bytes, type Field } from "./bytes";

type Mark = "" | "start" | "end" | "both";

/** A letter with its mark, "g.start"; a plain letter is only itself. */
export type Marked = string;

/** Marked letters, and the place of their word in the list. */
export type Spelling = readonly [Marked[], number];

const APOSTROPHES = ["'", "’"];

const alphanumeric = (letter: string | undefined): boolean => /^[\p{L}\p{N}]$/u.test(letter ?? "");

/** A word as it may be typed: as it is, in lower case, with capitals, in capitals. */
export function spellings(word: string): string[] {
  const lower = word.toLowerCase();
  const titled = lower.replace(/(?<!\S)\S/gu, (letter) => letter.toUpperCase());
  const first = lower.slice(0, 1).toUpperCase() + lower.slice(1);
  const cases = [word, lower, first, titled, lower.toUpperCase()];
  return [...new Set([...cases, ...cases.map((text) => text.replaceAll("'", "’"))])];
}

/**
 * Each letter with its mark: where its word starts or ends.
 *
 * An apostrophe between letters is inside a word, but for the s of "the king's".
 */
export function marked(text: string): Marked[] {
  const letters = [...text];
  const letter = (i: number): boolean => alphanumeric(letters[i]);
  const quote = (i: number): boolean => APOSTROPHES.includes(letters[i]);
  return letters.map((own, i) => {
    const start = letter(i) && !letter(i - 1) && !(quote(i - 1) && letter(i - 2));
    const owns = quote(i + 1) && letter(i + 2) && !"sS".includes(letters[i + 2]);
    const end = letter(i) && !letter(i + 1) && !owns;
    return withMark(own, start && end ? "both" : start ? "start" : end ? "end" : "");
  });
}

const withMark = (letter: string, mark: Mark): Marked => (mark ? `${letter}.${mark}` : letter);

/** How words are spelt. Those with a letter that the font has not are left out. */
export function spelt(words: readonly string[], letters: ReadonlySet<string>): Spelling[] {
  const found = new Map<string, Spelling>();
  words.forEach((word, place) => {
    if (!typed(word, letters)) return;
    for (const text of spellings(word).filter((one) => [...one].every((c) => letters.has(c)))) {
      const sequence = marked(text);
      const key = sequence.join(" ");
      if (!found.has(key)) found.set(key, [sequence, place]);
    }
  });
  return [...found.values()];
}

/** Whether a word can be typed: it has letters, all of which the font has. */
export function typed(word: string, letters: ReadonlySet<string>): boolean {
  return /\p{L}/u.test(word) && [...word].every((letter) => letters.has(letter));
}

/** The marked letters that spellings need: some of them on the way to others. */
export function marksOf(spelt: readonly Spelling[]): Marked[] {
  const needed = new Set(spelt.flatMap(([sequence]) => sequence.filter((one) => one.length > 1)));
  for (const one of [...needed]) {
    if (one.endsWith(".both")) needed.add(one.replace(".both", ".start"));
  }
  return [...needed].sort();
}

/**
 * The table GSUB: the feature liga.
 *
 * @param spelt by `spelt`.
 * @param glyphs the number of each plain and each marked letter.
 * @param characters the number of each word's character.
 */
export function gsub(
  spelt: readonly Spelling[],
  glyphs: ReadonlyMap<Marked, number>,
  characters: readonly number[],
): Bytes {
  const glyph = (one: Marked): number => glyphs.get(one)!;
  const marks = marksOf(spelt);
  const pairs = (mark: Mark, from: Mark): [number, number][] =>
    marks
      .filter((one) => one.endsWith(`.${mark}`))
      .map((one) => [glyph(withMark(one[0], from)), glyph(one)]);
  const starting = pairs("start", "");
  const ending = [...pairs("end", ""), ...pairs("both", "start")];

  const letters = [...glyphs.keys()].filter((one) => alphanumeric(one[0]));
  const word = coverage(letters.map(glyph));
  const unlikeS = coverage(letters.filter((one) => !"sS".includes(one[0])).map(glyph));
  const apostrophe = coverage(APOSTROPHES.map(glyph));
  const starts = chained([
    { before: [word], at: word },
    { before: [apostrophe, word], at: word }, // the nearest first
    { at: coverage(starting.map(([from]) => from)), lookup: 0 },
  ]);
  const ends = chained([
    { at: word, after: [word] },
    { at: word, after: [apostrophe, unlikeS] },
    { at: coverage(ending.map(([from]) => from)), lookup: 1 },
  ]);
  const words = spelt.map(([sequence, place]): [number[], number] => [
    sequence.map(glyph), characters[place],
  ]);
  const long = words.filter(([sequence]) => sequence.length > 1);
  const short = words.filter(([sequence]) => sequence.length === 1);
  const lookups = [
    single(starting),
    single(ending),
    starts,
    ends,
    ...(long.length ? [ligatures(long)] : []),
    ...(short.length ? [single(short.map(([[from], to]) => [from, to]))] : []),
    single(marks.map((one) => [glyph(one), glyph(one[0])])),
  ];
  return layoutTable("liga", lookups, lookups.map((_, i) => i).slice(2));
}

/**
 * The table GPOS: the feature kern.
 *
 * @param pairs first glyph, second glyph, and how much they move apart.
 */
export function gpos(pairs: readonly [number, number, number][]): Bytes {
  const byFirst = new Map<number, [number, number][]>();
  for (const [first, second, by] of pairs) {
    byFirst.set(first, [...(byFirst.get(first) ?? []), [second, by]]);
  }
  const firsts = [...byFirst.keys()].sort((a, b) => a - b);
  const rows = firsts.map((first) => {
    const row = byFirst.get(first)!.sort(([a], [b]) => a - b);
    return [row.length, ...row.flat()];
  });
  const xAdvance = 4;
  const subtable = [1, coverage(firsts), xAdvance, 0, ...counted(rows)];
  return layoutTable("kern", [[2, 0, ...counted([subtable])]], [0]);
}

// ---- lookups ------------------------------------------------------------------------------------

/** GSUB or GPOS with one feature, for all scripts. */
function layoutTable(feature: string, lookups: Field[][], used: number[]): Bytes {
  const script = [[0, 0xffff, 1, 0], 0]; // the default language has the one feature
  const scripts = [2, ...tag("DFLT"), script, ...tag("latn"), script];
  const features = [1, ...tag(feature), [0, ...counted(used)]];
  return packed([1, 0, scripts, features, counted(lookups)]);
}

const lookup = (kind: number, subtables: Field[][]): Field[] => [kind, 0, ...counted(subtables)];

function coverage(glyphs: readonly number[]): Field[] {
  return [1, ...counted([...new Set(glyphs)].sort((a, b) => a - b))];
}

/** One glyph in the place of another. */
function single(pairs: readonly (readonly [number, number])[]): Field[] {
  const sorted = [...pairs].sort(([a], [b]) => a - b);
  const [from, to] = [sorted.map(([one]) => one), sorted.map(([, other]) => other)];
  return lookup(1, [[2, coverage(from), ...counted(to)]]);
}

/** One glyph in the place of several, of the longest sequence that is there. */
function ligatures(list: readonly (readonly [number[], number])[]): Field[] {
  const byFirst = new Map<number, [number[], number][]>();
  for (const [[first, ...rest], to] of list) {
    byFirst.set(first, [...(byFirst.get(first) ?? []), [rest, to]]);
  }
  const firsts = [...byFirst.keys()].sort((a, b) => a - b);
  const sets = firsts.map((first) => {
    const longest = byFirst.get(first)!.sort(([a], [b]) => b.length - a.length);
    return counted(longest.map(([rest, to]) => [to, rest.length + 1, ...rest]));
  });
  return lookup(4, [[1, coverage(firsts), ...counted(sets)]]);
}

/** A glyph that some lookup changes, or none, between others; the first rule that fits counts. */
interface Rule {
  before?: Field[][];
  at: Field[];
  after?: Field[][];
  lookup?: number;
}

function chained(rules: readonly Rule[]): Field[] {
  return lookup(
    6,
    rules.map(({ before = [], at, after = [], lookup }) => [
      3, ...counted(before), ...counted([at]), ...counted(after),
      ...(lookup === undefined ? [0] : [1, 0, lookup]),
    ]),
  );
}
