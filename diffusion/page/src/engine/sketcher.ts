/** Sketches as in autoencoder/sketches.py: radical and part put together from their outlines. */

import type { Philox } from "./philox";

const ACROSS = "a";
const DOWN = "d";
const ALONE = ""; // of two parts; all other kinds are one inside the other

/** The constants of autoencoder/sketches.py. */
export interface SketchRules {
  units: number; // of the em, in the table
  em: number; // the em box as a part of the image
  smooth: number; // samples along a pixel's side
  lighter: number; // the power of a part's size that the width of its strokes goes by
  densest: number; // share of ink up to which strokes are thickened
  sharpest: number; // bounds how far a corner moves out, where an edge turns back
  white: number; // of ink, in [0, 1]
  gap: number; // white pixels between two parts
  widest: number; // what frames give up for them at most
  half: number; // of the em, for the first of two parts that nothing is known of
  free_standing: number; // what it counts that a part is not cut from such a place
  least: number; // of the em, that either part gets
  narrow: number; // of the em: less is too little for such a part
  choice: number; // how far sketches of the same parts differ, with the next two
  move: number;
  heavier: number;
}

/** The sides of a drawing in pixels. */
export const SIZE = 128;

type Point = [number, number];
type Contour = Float64Array; // x and y in turn, in parts of the em, y down
type Frame = [left: number, top: number, right: number, bottom: number];
const WHOLE: Frame = [0, 0, 1, 1];

/** A part as it stands in one place of a real character. */
class Piece {
  private contours: Contour[] | undefined;

  constructor(
    readonly kind: string,
    readonly first: boolean,
    readonly frame: Frame,
    private readonly path: string,
    private readonly units: number,
  ) {}

  /** Whether the other part stands inside. */
  get outer(): boolean {
    return this.first && ![ACROSS, DOWN, ALONE].includes(this.kind);
  }

  get outline(): Contour[] {
    return (this.contours ??= outlineOf(this.path, this.units));
  }
}

/** Puts characters together from the pieces of a table, the text of outlines.tsv. */
export class Sketcher {
  private readonly pieces = new Map<string, Piece[]>();
  private readonly parts = new Set<string>();

  constructor(
    table: string,
    private readonly rules: SketchRules,
  ) {
    const { units } = rules;
    for (const line of table.trimEnd().split("\n")) {
      const [part, kind, first, , corners, path] = line.split("\t");
      const frame = corners.split(" ").map((corner) => Number(corner) / units) as Frame;
      const key = keyOf(part, kind, first === "1");
      if (!this.pieces.has(key)) this.pieces.set(key, []);
      this.pieces.get(key)!.push(new Piece(kind, first === "1", frame, path, units));
      this.parts.add(part);
    }
  }

  /** Whether there is an outline of a part, in any place. */
  knows(part: string): boolean {
    return this.parts.has(part);
  }

  /** Whether there is an outline of both parts for such a place. */
  can(kind: string, first: string, second: string): boolean {
    return this.has(first, kind, true) && this.has(second, kind, false);
  }

  /**
   * Two parts in their places, 128 by 128 in [0, 1], 1 = ink. The numbers draw proportions and
   * weight, which differ as between fonts.
   */
  sketch(kind: string, first: string, second: string, numbers?: Philox): Float32Array {
    const { rules } = this;
    const pair = this.pair(kind, first, second, numbers);
    const move = numbers ? rules.move * numbers.normal(1)[0] : 0;
    const heavier = numbers ? 1 + rules.heavier * numbers.normal(1)[0] : 1;
    let inks: Float32Array[] = [];
    for (let i = 0; i * 0.01 < rules.widest; i++) {
      const places = frames(pair, kind, rules, move, i * 0.01);
      inks = pair.map((piece, side) => rasterise(fit(piece, places[side], rules, heavier), rules));
      if (apart(inks[0], inks[1], rules)) break;
    }
    return inks[0].map((ink, pixel) => Math.max(ink, inks[1][pixel]));
  }

  /** What strokes keep of their width where they keep least, as a part of it. */
  room(kind: string, first: string, second: string): number {
    const pair = this.pair(kind, first, second);
    const places = frames(pair, kind, this.rules);
    return Math.min(...pair.flatMap((piece, side) => kept(piece, places[side], this.rules)));
  }

  private has(part: string, kind: string, first: boolean): boolean {
    return this.pieces.has(keyOf(part, kind, first)) || this.pieces.has(free(part, kind, first));
  }

  /** The pieces of a part for a place: those cut from there, and the part alone. */
  private find(part: string, kind: string, first: boolean): Piece[] {
    const keys = [keyOf(part, kind, first), free(part, kind, first)];
    return keys.flatMap((key) => this.pieces.get(key) ?? []);
  }

  /** The pieces of two parts whose frames fit each other best, or one of such pairs. */
  private pair(kind: string, first: string, second: string, numbers?: Philox): [Piece, Piece] {
    const [firsts, seconds] = [this.find(first, kind, true), this.find(second, kind, false)];
    const usual = [firsts, seconds].map((each) => {
      const cut = each.filter((piece) => piece.kind !== ALONE);
      return cut.length ? cut[cut.length >> 1] : each[each.length >> 1];
    }) as [Piece, Piece];
    const pairs = firsts.flatMap((a) => seconds.map((b): [Piece, Piece] => [a, b]));
    const chances = numbers?.random(pairs.length);
    let [best, least] = [pairs[0], Infinity];
    pairs.forEach((pair, i) => {
      const chance = chances ? this.rules.choice * chances[i] : 0;
      const strain = mismatch(pair, usual, this.rules) + chance;
      if (strain < least) [best, least] = [pair, strain];
    });
    return best;
  }
}

function keyOf(part: string, kind: string, first: boolean): string {
  return `${part} ${kind} ${first}`;
}

/** The key of a part alone, or "" for a place in which none can stand, around another. */
function free(part: string, kind: string, first: boolean): string {
  return first && ![ACROSS, DOWN].includes(kind) ? "" : keyOf(part, ALONE, true);
}

/** How much the frames of two pieces differ from what each leaves to the other. */
function mismatch(
  [first, second]: [Piece, Piece],
  usual: [Piece, Piece],
  { free_standing, narrow }: SketchRules,
): number {
  let price = free_standing * (Number(first.kind === ALONE) + Number(second.kind === ALONE));
  const a = first.kind === ALONE ? usual[1] : first;
  const b = second.kind === ALONE ? usual[0] : second;
  if (a.kind === ALONE || b.kind === ALONE) return price;
  if (first.outer) {
    const apart = a.frame.map((side, i) => Math.abs(side - b.frame[i]));
    return price + (apart[0] + apart[1] + apart[2] + apart[3]) / 4;
  }
  if (first.kind === ALONE) price += Math.max(0, narrow - boundary(b));
  if (second.kind === ALONE) price += Math.max(0, narrow - 1 + boundary(a));
  return price + Math.abs(boundary(a) - boundary(b));
}

/** Where the frame of a piece meets the other: across or down, as a part of the em. */
function boundary({ kind, first, frame: [left, top, right, bottom] }: Piece): number {
  const across = kind === ACROSS;
  if (first) return across ? right : bottom;
  return across ? left : top;
}

/** What two pieces fill in one square; `gap` is what each gives up, and `move` of the em. */
function frames(
  pair: [Piece, Piece],
  kind: string,
  { least, half }: SketchRules,
  move = 0,
  gap = 0,
): [Frame, Frame] {
  const [first] = pair;
  if (first.outer) {
    const [left, top, right, bottom] = first.frame;
    const [x, y] = [(left + right) / 2 + move, (top + bottom) / 2 + move];
    const [width, height] = [right - left, bottom - top].map((side) =>
      Math.max(side / 2 - gap, least / 2),
    );
    return [WHOLE, [x - width, y - height, x + width, y + height]];
  }
  const known = pair.filter((piece) => piece.kind !== ALONE).map(boundary);
  const middle = known.length ? known.reduce((a, b) => a + b) / known.length : half;
  const border = Math.min(Math.max(middle + move, least), 1 - least);
  if (kind === ACROSS) {
    return [
      [0, 0, border - gap, 1],
      [border + gap, 0, 1, 1],
    ];
  }
  return [
    [0, 0, 1, border - gap],
    [0, border + gap, 1, 1],
  ];
}

/** The outline of a piece in another frame, with strokes `heavier` than there is room for. */
function fit(piece: Piece, frame: Frame, rules: SketchRules, heavier: number): Contour[] {
  const scale = stretch(piece, frame);
  const old = piece.outer ? WHOLE : piece.frame;
  const width = strokeWidth(piece.outline);
  const shares = kept(piece, frame, rules, heavier);
  const lost = shares.map((share, i) => (width * (share - scale[i])) / 2);
  return piece.outline.map((contour) => {
    const moved = contour.map((value, i) => frame[i % 2] + (value - old[i % 2]) * scale[i % 2]);
    return thicken(moved, lost as Point, rules.sharpest);
  });
}

/** How much a frame is wider and higher than that of a piece. */
function stretch(piece: Piece, frame: Frame): Point {
  const old = piece.outer ? WHOLE : piece.frame;
  return [(frame[2] - frame[0]) / (old[2] - old[0]), (frame[3] - frame[1]) / (old[3] - old[1])];
}

/** What strokes keep of their width across and down in another frame. */
function kept(
  piece: Piece,
  frame: Frame,
  { lighter, densest }: SketchRules,
  heavier = 1,
): Point {
  const scale = stretch(piece, frame);
  const most = heavier * (scale[0] * scale[1]) ** lighter;
  const dense = density(piece.outline);
  return scale.map((factor) => Math.min(most, (factor * densest) / dense)) as Point;
}

/** The mean width of the strokes: twice the area over the length of the edges. */
function strokeWidth(outline: Contour[]): number {
  let length = 0;
  for (const contour of outline) {
    for (const [x0, y0, x1, y1] of edges(contour)) length += Math.hypot(x1 - x0, y1 - y0);
  }
  return (2 * inked(outline)) / length;
}

/** The share of ink in the smallest rectangle around an outline. */
function density(outline: Contour[]): number {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const contour of outline) {
    contour.forEach((value, i) => {
      low[i % 2] = Math.min(low[i % 2], value);
      high[i % 2] = Math.max(high[i % 2], value);
    });
  }
  return inked(outline) / ((high[0] - low[0]) * (high[1] - low[1]));
}

/** The area of the ink in an outline. */
function inked(outline: Contour[]): number {
  let twice = 0;
  for (const contour of outline) {
    for (const [x0, y0, x1, y1] of edges(contour)) twice += x0 * y1 - y0 * x1;
  }
  return Math.abs(twice / 2);
}

/** The edges of a polygon: where each begins and ends. */
function* edges(contour: Contour): Generator<[number, number, number, number]> {
  for (let i = 0, last = contour.length - 2; i < contour.length; last = i, i += 2) {
    yield [contour[last], contour[last + 1], contour[i], contour[i + 1]];
  }
}

/** A polygon with its edges moved out of the ink, `by` so much across and down. */
function thicken(contour: Contour, by: Point, sharpest: number): Contour {
  const corners: [x: number, y: number, across: number, down: number][] = []; // and normals
  for (let i = 0; i < contour.length; i += 2) {
    const next = (i + 2) % contour.length;
    const [x, y] = [contour[i], contour[i + 1]];
    const [dx, dy] = [contour[next] - x, contour[next + 1] - y];
    const length = Math.sqrt(dx * dx + dy * dy);
    if (length > 1e-6) corners.push([x, y, dy / length, -dx / length]);
  }
  return Float64Array.from(
    corners.flatMap(([x, y, across, down], i) => {
      const [, , before, above] = corners.at(i - 1)!;
      const reach = Math.max(1 + (across * before + down * above), sharpest);
      return [x + (by[0] * (across + before)) / reach, y + (by[1] * (down + above)) / reach];
    }),
  );
}

/**
 * The ink of an outline, 128 by 128 in [0, 1], by the nonzero winding rule: the share of the
 * samples in a pixel that are inside. An edge that crosses a row of samples turns once around all
 * that are right of it.
 */
function rasterise(outline: Contour[], { em, smooth }: SketchRules): Float32Array {
  const side = SIZE * smooth;
  const within = (sample: number) => Math.min(Math.max(Math.ceil(sample), 0), side);
  const place = (value: number) => ((1 - em) / 2 + value * em) * side - 0.5; // samples are integers
  const turns = new Int8Array(side * (side + 1));
  for (const contour of outline) {
    for (const [x0, y0, x1, y1] of edges(contour.map(place))) {
      const last = within(Math.max(y0, y1));
      for (let y = within(Math.min(y0, y1)); y < last; y++) {
        const x = x0 + ((y - y0) * (x1 - x0)) / (y1 - y0);
        turns[y * (side + 1) + within(x)] += Math.sign(y1 - y0);
      }
    }
  }
  const ink = new Float32Array(SIZE * SIZE);
  for (let y = 0; y < side; y++) {
    const row = SIZE * Math.floor(y / smooth);
    for (let x = 0, winding = 0; x < side; x++) {
      winding += turns[y * (side + 1) + x];
      if (winding) ink[row + Math.floor(x / smooth)] += 1 / smooth ** 2;
    }
  }
  return ink;
}

/** Whether there are `gap` white pixels between two inks. */
function apart(
  first: Float32Array,
  second: Float32Array,
  { gap, white }: SketchRules,
): boolean {
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      if (!(first[SIZE * y + x] > white)) continue;
      for (let row = Math.max(y - gap, 0); row <= Math.min(y + gap, SIZE - 1); row++) {
        const from = SIZE * row + Math.max(x - gap, 0);
        const to = SIZE * row + Math.min(x + gap, SIZE - 1);
        for (let i = from; i <= to; i++) if (second[i] > white) return false;
      }
    }
  }
  return true;
}

/** The polygons of relative path data. */
function outlineOf(path: string, units: number): Contour[] {
  let start: Point = [0, 0];
  return path
    .split("z")
    .slice(0, -1)
    .map((text) => {
      let [x, y] = start;
      const points = Float64Array.from(text.slice(1).split(" "), Number);
      for (let i = 0; i < points.length; i += 2) {
        points[i] = x += points[i];
        points[i + 1] = y += points[i + 1];
      }
      start = [points[0], points[1]];
      return points.map((value) => value / units);
    });
}
