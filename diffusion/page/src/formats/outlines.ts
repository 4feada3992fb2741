/**
 * Glyphs as outlines: closed paths of lines and cubic Bézier curves, as type designers draw them.
 *
 * What diffusion/outlines.py does, with the same names and numbers: the grey of an edge says where
 * in its pixel the edge lies. Along the edges corners are found first, then straight runs, and
 * curves fill what is left.
 */
import { CLOSE, fit, Piece } from "./curves";
import {
  clamp, cross, dot, isZero, largest, minus, plus, round, search, size, times, turning, unit, ZERO,
  type Vector,
} from "./vectors";

/** The end of a line, or the two controls and the end of a cubic curve. */
export type Segment = Vector[];
/** Closed: the first segment starts where the last one ends. */
export type Contour = Segment[];
export type Outline = Contour[];

export const UNITS = 1000; // of the em
export const EM = 122 / 128; // the em box as a part of the picture of a glyph

// All else is in pixels of a glyph of 128 and in degrees.
const DEEP = 3; // how far from an edge its grey reaches
const SPECK = 3; // ink and holes of a smaller area are dropped
const FLAT = 0.4; // what points lie beside the polygon that has their corners
const CHAMFER = 1.6; // vertices so close are one corner;
const SHORT = 3.2; // those so close may be
const NEAR = 1; // from a corner to the first
const FAR = 6; // and the last of the points that tell its tangents
const SHARP = 25; // a corner turns by more,
const TIGHT = 3; // in a smaller radius,
const SLACK = 0.12; // with an error
const LOST = 3; // what a corner lies beside its points at most
const LONG = 8; // a straight run beside a curve is level, longer,
const UNBENT = 2; // and turns by less
const JOINED = 0.06; // what points lie beside it where it begins;
const WAVY = 0.45; // beside level lines
const SLANT = 0.5; // level lines rise by less
const STEEP = 8; // and are less steep,
const TILT = 0.7; // or by this little

/** A line: a place on it, and its direction. */
type Line = readonly [Vector, Vector];

/**
 * The outline of a glyph; empty where it has no ink.
 *
 * Points are in `UNITS` of the em, from the lower left corner of the em box; y points up. Outer
 * contours go counter-clockwise and holes clockwise, as in PostScript.
 *
 * @param image 128 × 128, 255 = paper.
 */
export function trace(image: ArrayLike<number>): Outline {
  const side = Math.sqrt(image.length);
  const loops = edges(image, side).filter((loop) => Math.abs(area(loop)) > SPECK);
  if (!loops.length) return [];
  const contours = divide(new Edges(loops));
  fit(contours.flat());
  const [left, bottom] = [((1 - EM) / 2) * side, ((1 + EM) / 2) * side];
  const scale = UNITS / (EM * side);
  const placed = ([x, y]: Vector): Vector => [(x - left) * scale, (bottom - y) * scale];
  return contours.map((contour) =>
    contour.flatMap((piece) => piece.segments().map((segment) => segment.map(placed))),
  );
}

/**
 * An outline as path data of SVG, from the upper left corner of the em box; y points down.
 *
 * Points are in whole `UNITS`, which are all that fonts have, so that both show the same.
 */
export function pathData(outline: Outline): string {
  const point = ([x, y]: Vector): string => `${round(x)} ${UNITS - round(y)}`;
  return outline
    .flatMap((contour) => [
      `M ${point(contour[contour.length - 1].at(-1)!)}`,
      ...contour.flatMap((segment) => [segment.length > 1 ? "C" : "L", ...segment.map(point)]),
      "Z",
    ])
    .join(" ");
}

// ---- points along edges -------------------------------------------------------------------------

/** Points about a pixel apart along each edge of a glyph, ink at the left; y points down. */
function edges(image: ArrayLike<number>, side: number): Vector[][] {
  const width = side + 2 * DEEP;
  const grey = new Float64Array(width * width); // 1 = ink
  for (let i = 0; i < image.length; i++) {
    grey[(Math.floor(i / side) + DEEP) * width + (i % side) + DEEP] = 1 - image[i] / 255;
  }
  // A crack is a side of a pixel of ink beside one of paper. It is walked down, right, up or left:
  // the step along it, the step out of the ink, and the step from the pixel to its start.
  const along = [width, 1, -width, -1];
  const out = [-1, width, 1, -width];
  const start = [0, width, width + 1, 1];
  const cracks: { way: number; pixel: number; begin: number; end: number }[] = [];
  const number = along.map(() => new Int32Array(grey.length).fill(-1));
  for (let way = 0; way < 4; way++) {
    for (let pixel = 0; pixel < grey.length; pixel++) {
      if (grey[pixel] < 0.5 || grey[pixel + out[way]] >= 0.5) continue;
      const begin = pixel + start[way];
      number[way][begin] = cracks.length;
      cracks.push({ way, pixel, begin, end: begin + along[way] });
    }
  }
  const following = cracks.map(({ way, end }) => {
    const [left, straight, right] = [1, 0, 3].map((turn) => number[(way + turn) % 4][end]);
    if (straight >= 0) return straight;
    // Pixels of ink that meet at a corner hang together where the four pixels there are dark
    // enough.
    const four = grey[end] + grey[end - 1] + grey[end - width] + grey[end - width - 1];
    return left >= 0 && !(right >= 0 && four / 4 >= 0.5) ? left : right;
  });
  const before = new Int32Array(cracks.length);
  following.forEach((next, i) => (before[next] = i));

  const middle = cracks.map(({ begin, end }): Vector => [
    ((begin % width) + (end % width)) / 2,
    (Math.floor(begin / width) + Math.floor(end / width)) / 2,
  ]);
  // The grey across an edge, added up from deep in the ink to far outside, is where the edge lies
  // in the middle of this row or column of pixels, whatever its slope.
  const deep = Array.from({ length: DEEP }, (_, i) => i);
  const exact = cracks.map(({ way, pixel }, i): Vector => {
    const outside = falling(deep.map((step) => grey[pixel + out[way] + step * out[way]]));
    const inside = falling(deep.map((step) => 1 - grey[pixel - step * out[way]]));
    const offset = clamp(outside - inside, -0.7, 0.7);
    const [x, y] = middle[i];
    if (way % 2) return [x - DEEP, y + (way === 1 ? offset : -offset) - DEEP];
    return [x + (way === 2 ? offset : -offset) - DEEP, y - DEEP];
  });
  // Of a slanted edge, only rows or only columns cross it once.
  const once = cracks.map(({ way }, i) => {
    const [x, y] = minus(middle[following[following[i]]], middle[before[before[i]]]);
    const flatter = Math.abs(y) <= Math.abs(x);
    return way % 2 ? flatter : !flatter;
  });

  const seen = new Uint8Array(cracks.length);
  const loops: Vector[][] = [];
  for (let first = 0; first < cracks.length; first++) {
    const loop: Vector[] = [];
    for (let crack = first; !seen[crack]; crack = following[crack]) {
      seen[crack] = 1;
      if (once[crack]) loop.push(exact[crack]);
    }
    loops.push(loop);
  }
  return loops;
}

/** The sum of a profile, as far as it falls. */
function falling(profile: readonly number[]): number {
  let rest = 0;
  for (let i = 1; i < profile.length && profile[i] < profile[i - 1]; i++) rest += profile[i];
  return profile[0] + rest;
}

/**
 * The edges of a glyph, each from its sharpest turn on and back to there.
 *
 * `first` and `last` are where they begin and end, `length` is how far along the points are.
 * Vertices are places in `points`; a side goes from one to the next.
 */
class Edges {
  readonly points: Vector[] = [];
  readonly first: number[] = [];
  readonly last: number[] = [];
  readonly length: number[] = [0];
  private readonly sums: Vector[] = [ZERO];
  private readonly squares: Vector[] = [ZERO];

  constructor(loops: readonly Vector[][]) {
    for (const loop of loops) {
      const n = loop.length;
      const turns = loop.map((p, i) =>
        turning(minus(p, loop[(i + n - 2) % n]), minus(loop[(i + 2) % n], p)),
      );
      const tip = largest(turns);
      this.first.push(this.points.length);
      this.points.push(...loop.slice(tip), ...loop.slice(0, tip + 1));
      this.last.push(this.points.length - 1);
    }
    this.points.forEach((p, i) => {
      if (i) this.length.push(this.length[i - 1] + size(minus(p, this.points[i - 1])));
      this.sums.push(plus(this.sums[i], p));
      this.squares.push(plus(this.squares[i], squared(p)));
    });
  }

  /** The line through the points between two lengths, by least squares. */
  line(start: number, stop: number): Line {
    const { points, length } = this;
    let low = search(length, start);
    let high = search(length, stop, true);
    if (high - low < 2) {
      low = clamp(search(length, (start + stop) / 2) - 1, 0, points.length - 2);
      high = low + 2;
    }
    const mean = (sums: Vector[]): Vector => times(1 / (high - low), minus(sums[high], sums[low]));
    const place = mean(this.sums);
    // The mean square of what points differ by has twice the angle of the line.
    const along = unit(root(minus(mean(this.squares), squared(place))));
    const chord = minus(points[high - 1], points[low]);
    return [place, dot(chord, along) < 0 ? times(-1, along) : along];
  }

  /** Lines into and out of vertices: through ends of sides, or through the given whole ones. */
  tangents(v: readonly number[], whole: readonly (Line | null)[] = []): [Line[], Line[]] {
    const late: Line[] = [];
    const early: Line[] = [];
    for (let j = 0; j < v.length - 1; j++) {
      const [low, high] = this.inner(v, j);
      late.push(whole[j] ?? this.line(Math.max(high - FAR, low), high));
      early.push(whole[j] ?? this.line(low, Math.min(low + FAR, high)));
    }
    const into = [late[0], ...late];
    const out = [...early, early[early.length - 1]];
    const [first, last] = this.borders(v);
    first.forEach((begin, i) => {
      into[begin] = into[last[i]];
      out[last[i]] = out[begin];
    });
    return [into, out];
  }

  /** The lengths between which a side lies, without its ends at vertices. */
  inner(v: readonly number[], side: number): [number, number] {
    const [start, stop] = [this.length[v[side]], this.length[v[side + 1]]];
    const gap = Math.min(NEAR, (stop - start) / 3);
    return [start + gap, stop - gap];
  }

  /** Which vertices are the first and the last ones of edges. */
  borders(v: readonly number[]): [number[], number[]] {
    return [this.first.map((p) => search(v, p)), this.last.map((p) => search(v, p))];
  }

  /** Whether a side is straight, whether it is level, and its line, made level. */
  straight(v: readonly number[], side: number): { close: boolean; level: boolean; line: Line } {
    let [low, high] = this.inner(v, side);
    let [place, along] = this.line(low, high);
    const slant = Math.min(Math.abs(along[0]), Math.abs(along[1]));
    const [steep, tilt] = [STEEP, TILT].map((degrees) => Math.sin((degrees * Math.PI) / 180));
    const long = this.length[v[side + 1]] - this.length[v[side]];
    const level = slant < tilt || (slant < steep && slant * long < SLANT);
    if (level) {
      along = [Math.round(along[0]), Math.round(along[1])];
      const worn = clamp(NEAR, 0, (high - low) / 4); // where a decoder rounds corners
      low += worn;
      high -= worn;
    }
    let most = 0;
    for (let i = v[side]; i < v[side + 1]; i++) {
      if (this.length[i] < low || this.length[i] > high) continue;
      most = Math.max(most, Math.abs(cross(along, minus(this.points[i], place))));
    }
    return { close: most < (level ? WAVY : CLOSE), level, line: [place, along] };
  }
}

// ---- corners ------------------------------------------------------------------------------------

/**
 * Which points are vertices of polygons whose sides lie at most `FLAT` beside all points.
 *
 * Ramer (1972), Douglas and Peucker (1973). Each edge's first and last point are vertices.
 */
function polygon({ points, first, last }: Edges): number[] {
  const vertices = new Set([...first, ...last]);
  const between = (start: number, stop: number): void => {
    const chord = unit(minus(points[stop], points[start]));
    const beside = points
      .slice(start, stop)
      .map((p) => Math.abs(cross(chord, minus(p, points[start]))));
    const highest = largest(beside);
    if (!(beside[highest] > FLAT)) return;
    vertices.add(start + highest);
    between(start, start + highest);
    between(start + highest, stop);
  };
  first.forEach((begin, i) => {
    const away = points.slice(begin, last[i] + 1).map((p) => size(minus(p, points[begin])));
    const far = begin + largest(away);
    vertices.add(far);
    between(begin, far);
    between(far, last[i]);
  });
  return sorted(vertices);
}

/** Vertices without the chamfers that pixels give to corners. */
function merge(edges: Edges, v: readonly number[]): number[] {
  const { points, length, first, last } = edges;
  const [firsts, lasts] = [new Set(first), new Set(last)];
  const middles: number[] = [];
  for (let begin = 0, end = 0; begin < v.length; begin = end + 1, end = begin) {
    while (
      end < v.length - 1 &&
      length[v[end + 1]] - length[v[end]] <= CHAMFER &&
      !firsts.has(v[end + 1])
    ) {
      end++;
    }
    if (!firsts.has(v[begin]) && !lasts.has(v[end])) {
      middles.push(search(length, (length[v[begin]] + length[v[end]]) / 2));
    }
  }
  v = sorted([...first, ...middles, ...last]);
  // The sides around a short one meet sharply right beyond it.
  const [into, out] = edges.tangents(v);
  const [starts, ends] = edges.borders(v);
  const sides = v.length - 1;
  const long = Array.from({ length: sides }, (_, j) => length[v[j + 1]] - length[v[j]]);
  const tips: number[] = [];
  const cut = new Set<number>();
  for (let j = 0; j < sides; j++) {
    const shorter = long[j] < long.at(j - 1)! && long[j] <= long[(j + 1) % sides];
    if (long[j] >= SHORT || !shorter || ends.includes(j)) continue;
    const middle = search(length, length[v[j]] + long[j] / 2);
    const [beside, near] = nearest(points, middle, meet(into[j], out[j + 1]));
    if (!sharp(turning(into[j][1], out[j + 1][1]), beside)) continue;
    if (near < v[j] || near > v[j + 1]) continue;
    tips.push(starts.includes(j) ? v[j] : ends.includes(j + 1) ? v[j + 1] : near);
    cut.add(j).add(j + 1);
  }
  return sorted([...v.filter((_, i) => !cut.has(i)), ...tips]);
}

/** How far a place lies from the edge around a point, and which point is nearest to it. */
function nearest(points: readonly Vector[], at: number, p: Vector): [number, number] {
  const around = [-3, -2, -1, 0, 1, 2, 3].map((step) => clamp(at + step, 1, points.length - 2));
  const near = around[largest(around.map((i) => -size(minus(points[i], p))))];
  const beside = [near - 1, near].map((i) => {
    const chord = minus(points[i + 1], points[i]);
    const from = minus(p, points[i]);
    const t = clamp(dot(chord, from) / Math.max(dot(chord, chord), 1e-9), 0, 1);
    return size(minus(from, times(t, chord)));
  });
  return [Math.min(...beside), near];
}

/** Whether edges that lie `cut` from where their tangents meet have a corner and no curve. */
function sharp(turn: number, cut: number): boolean {
  const half = Math.max(Math.cos((turn / 2) * (Math.PI / 180)), 0.1);
  return turn > SHARP && cut < TIGHT * (1 / half - 1) + SLACK;
}

// ---- lines, and what curves go through ----------------------------------------------------------

/** The pieces of each contour: lines, and the points that curves go through. */
function divide(edges: Edges): Piece[][] {
  const { points, first, last } = edges;
  let v = merge(edges, polygon(edges));
  let [into, out] = edges.tangents(v);
  const ends = new Set([...first, ...last]);
  let corner = v.map((p, i) => {
    const [cut] = nearest(points, p, meet(into[i], out[i]));
    return ends.has(p) || sharp(turning(into[i][1], out[i][1]), cut);
  });
  // Between corners with a line between them are no vertices.
  const corners = v.filter((_, i) => corner[i]);
  let passed = -1;
  const kept = v.map((_, i) => {
    if (corner[i]) passed++;
    return corner[i] || !(passed < corners.length - 1 && edges.straight(corners, passed).close);
  });
  v = v.filter((_, i) => kept[i]);
  corner = corner.filter((_, i) => kept[i]);

  const lines: (Line | null)[] = [];
  const runs: boolean[] = [];
  for (let j = 0; j < v.length - 1; j++) {
    const { close, level, line } = edges.straight(v, j);
    const [low, high] = edges.inner(v, j);
    const half = (low + high) / 2;
    const bend = 2 * turning(edges.line(low, half)[1], edges.line(half, high)[1]);
    runs.push(close && level && bend < UNBENT && high - low > LONG);
    lines.push(runs[j] || (close && corner[j] && corner[j + 1]) ? line : null);
  }
  for (let j = 1; j < runs.length; j++) corner[j] ||= runs[j] && runs[j - 1];
  [into, out] = edges.tangents(v, lines);
  const node = v.map((p, i) => {
    const found = meet(into[i], out[i]);
    return size(minus(found, points[p])) > LOST ? points[p] : found;
  });
  const ahead = v.map((_, i) => {
    const [a, b] = [into[i][1], out[i][1]];
    return turning(a, b) < SHARP ? unit(plus(a, b)) : ZERO;
  });

  const [starts, stops] = edges.borders(v);
  return starts.map((begin, i) => {
    const pieces: Piece[] = [];
    node[stops[i]] = node[begin];
    let [at, start, way] = [v[begin], node[begin], ahead[begin]];
    for (let j = begin; j < stops[i]; j++) {
      let [end, stop, turned] = [v[j + 1], node[j + 1], ahead[j + 1]];
      const line = lines[j];
      if (line) {
        if (!(corner[j] && corner[j + 1])) {
          // A curve begins where the points leave the line.
          const [middle, along] = line;
          const away = points.slice(v[j], end).map((p) => minus(p, middle));
          const beside = away.map((p) => Math.abs(cross(along, p)));
          const least = Math.max(JOINED, Math.min(...beside));
          const on = away.map((_, k) => k).filter((k) => beside[k] <= least);
          const foot = (k: number): Vector => plus(middle, times(dot(along, away[k]), along));
          const [near, far] = [on[0], on[on.length - 1]];
          if (!corner[j + 1]) [end, stop, turned] = [v[j] + far, foot(far), along];
          if (!corner[j]) {
            pieces.push(...curves(edges, at, v[j] + near, start, foot(near), way, along));
            start = foot(near);
          }
        }
        pieces.push(new Piece(start, stop));
      } else if (corner[j + 1]) {
        pieces.push(...curves(edges, at, end, start, stop, way, turned));
      } else {
        continue;
      }
      [at, start, way] = [end, stop, turned];
    }
    return pieces;
  });
}

/** A curve through the points from one to another, with nodes at its extremes. */
function curves(
  { points, length }: Edges,
  begin: number,
  end: number,
  ...[start, stop, ahead, back]: [Vector, Vector, Vector, Vector]
): Piece[] {
  const through = points.slice(
    search(length, length[begin] + NEAR),
    search(length, length[end] - NEAR),
  );
  return new Piece(start, stop, ahead, back, through).atExtremes();
}

// ---- geometry -----------------------------------------------------------------------------------

const sorted = (places: Iterable<number>): number[] => [...places].sort((a, b) => a - b);

/** The square of a vector as a complex number: twice its angle, and its length squared. */
const squared = ([x, y]: Vector): Vector => [x * x - y * y, 2 * x * y];

/** What `squared` was made of, the one of both that points right. */
function root(square: Vector): Vector {
  if (isZero(square)) return ZERO;
  const x = Math.sqrt((size(square) + Math.abs(square[0])) / 2);
  const y = Math.abs(square[1]) / (2 * x);
  const turn = square[1] < 0 ? -1 : 1;
  return square[0] >= 0 ? [x, turn * y] : [y, turn * x];
}

/** The area that a loop goes round, negative where it is a hole. */
function area(loop: readonly Vector[]): number {
  return -loop.reduce((sum, p, i) => sum + cross(p, loop[(i + 1) % loop.length]), 0) / 2;
}

/** Where lines meet, or the middle of their places where they are parallel. */
function meet(a: Line, b: Line): Vector {
  const sine = cross(a[1], b[1]);
  if (Math.abs(sine) < 0.05) return times(0.5, plus(a[0], b[0]));
  return plus(a[0], times(cross(minus(b[0], a[0]), b[1]) / sine, a[1]));
}
