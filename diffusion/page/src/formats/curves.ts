/**
 * Cubic Bézier curves through points, with few nodes and those where type has them: what
 * diffusion/curves.py does, with the same names. Lengths are in pixels.
 */
import {
  clamp, dot, isZero, largest, minus, plus, size, times, unit, ZERO, type Vector,
} from "./vectors";

export const CLOSE = 0.25; // what points may lie beside their curve
const BULGE = 0.4; // what they reach beyond the ends of a curve whose extreme becomes a node
const STEPS = 2; // of fitting a curve
const ROUNDS = 4; // of splitting those that do not fit
const STIFF = 0.02; // how strongly handles are drawn to a third,
const TIED = 1e4; // and to their tangent
const LEAST = 0.05; // of a curve's length: the shortest handle along a tangent

/**
 * What lies between two nodes: a line, or a curve near `points`.
 *
 * A direction at a node, `ahead` or `back`, is 0 at a corner, where the points decide it.
 */
export class Piece {
  private controls: Vector[] = [];
  private halves: Piece[] = [];

  constructor(
    readonly start: Vector,
    readonly stop: Vector,
    readonly ahead: Vector = ZERO,
    readonly back: Vector = ZERO,
    readonly points: Vector[] | null = null,
  ) {}

  /** What was fitted: the end of a line, or controls and end of a curve. */
  segments(): Vector[][] {
    if (this.halves.length) return this.halves.flatMap((half) => half.segments());
    return [[...this.controls, this.stop]];
  }

  /** Pieces with nodes where the points reach farthest left, right, up or down. */
  atExtremes(): Piece[] {
    const points = this.points!;
    if (points.length <= 2) return [this];
    const ways: ((p: Vector) => number)[] = [(p) => p[0], (p) => -p[0], (p) => -p[1], (p) => p[1]];
    const reach = ways.map((way) => points.map(way));
    const most = reach.map((values) => values.reduce((a, b) => Math.max(a, b)));
    const beyond = ways.map((way, i) => most[i] - Math.max(way(this.start), way(this.stop)));
    const way = largest(beyond);
    let sum = 0;
    let count = 0;
    reach[way].forEach((value, i) => {
      if (value > most[way] - BULGE / 4) {
        sum += i;
        count++;
      }
    });
    const k = Math.floor(sum / count);
    if (!(beyond[way] > BULGE && 0 < k && k < points.length - 1)) return [this];
    const [x, y] = minus(points[k + 1], points[k - 1]);
    const along: Vector = way < 2 ? [0, Math.sign(y)] : [Math.sign(x), 0];
    return this.split(k, along).flatMap((half) => half.atExtremes());
  }

  /**
   * Fits a cubic curve to the points; gives how far they and both ends lie beside it.
   *
   * Schneider (1990), An Algorithm for Automatically Fitting Digitized Curves, with free handles
   * at corners.
   */
  fit(): number[] {
    const { start, stop } = this;
    const points = [start, ...this.points!, stop];
    const lengths = [0];
    for (let i = 1; i < points.length; i++) {
      lengths.push(lengths[i - 1] + size(minus(points[i], points[i - 1])));
    }
    const total = lengths[lengths.length - 1];
    const places = lengths.map((length) => length / Math.max(total, 1e-9));
    const along = [this.ahead, times(-1, this.back)]; // of the two handles
    const chord = minus(stop, start);
    const thirds = along.map((way, i) =>
      isZero(way) ? times((i ? -1 : 1) / 3, chord) : times(total / 3, way),
    );
    let beside: Vector[] = [];
    for (let step = 0; step < STEPS; step++) {
      // The least squares of both handles' x and y, held near a third and their tangents.
      const [b11, b12, b22, right] = this.sums(points, places);
      const square = [[b11, b12], [b12, b22]];
      const matrix = [0, 1, 2, 3].map((row) =>
        [0, 1, 2, 3].map((column) => {
          const [i, d, j, e] = [row >> 1, row & 1, column >> 1, column & 1] as const;
          const normal: Vector = [-along[i][1], along[i][0]];
          const held = i === j ? TIED * normal[d] * normal[e] : 0;
          return held + (d === e ? square[i][j] + (i === j ? STIFF : 0) : 0);
        }),
      );
      const wanted = [0, 1, 2, 3].map((i) => right[i] + STIFF * thirds[i >> 1][i & 1]);
      const solved = solve(matrix, wanted);
      const handles = along.map((way, i): Vector => {
        const handle: Vector = [solved[2 * i], solved[2 * i + 1]];
        return isZero(way) ? handle : times(Math.max(dot(handle, way), LEAST * total), way);
      });
      const one = plus(start, handles[0]);
      const two = plus(stop, handles[1]);
      this.controls = [one, two];
      beside = points.map((p, i) => minus(at(places[i], start, one, two, stop), p));
      // Each point's place on the curve, by a step of Newton's method.
      points.forEach((_, i) => {
        const t = places[i];
        const s = 1 - t;
        const slope = plus(
          plus(times(s * s, minus(one, start)), times(2 * s * t, minus(two, one))),
          times(t * t, minus(stop, two)),
        );
        const newton = dot(beside[i], slope) / Math.max(3 * dot(slope, slope), 1e-9);
        places[i] = clamp(t - newton, 0, 1);
      });
    }
    return beside.map(size);
  }

  /** Splits the piece where it does not come close, and gives its halves. */
  divide(beside: readonly number[]): Piece[] {
    const points = this.points!;
    const worst = largest(beside);
    if (points.length < 8 || beside[worst] <= CLOSE) return [];
    const third = Math.floor(points.length / 3);
    const k = clamp(worst - 1, third, Math.floor((2 * points.length) / 3));
    this.halves = this.split(k, unit(minus(points[k + 2], points[k - 2])));
    return this.halves;
  }

  /** Two pieces that meet in a point, in a direction. */
  private split(k: number, along: Vector): Piece[] {
    const points = this.points!;
    const node = points[k];
    return [
      new Piece(this.start, node, this.ahead, along, points.slice(0, k)),
      new Piece(node, this.stop, along, this.back, points.slice(k + 1)),
    ];
  }

  /** The sums of the normal equations: of both handles' squares, and their right side. */
  private sums(
    points: readonly Vector[],
    places: readonly number[],
  ): [number, number, number, number[]] {
    let [b11, b12, b22] = [0, 0, 0];
    const right = [0, 0, 0, 0];
    points.forEach((p, i) => {
      const [b0, b1, b2, b3] = bernstein(places[i]);
      const rest = minus(
        minus(p, times(b0 + b1, this.start)),
        times(b2 + b3, this.stop),
      );
      b11 += b1 * b1;
      b12 += b1 * b2;
      b22 += b2 * b2;
      right[0] += b1 * rest[0];
      right[1] += b1 * rest[1];
      right[2] += b2 * rest[0];
      right[3] += b2 * rest[1];
    });
    return [b11, b12, b22, right];
  }
}

/** Fits curves to their points, and splits those that do not come close. */
export function fit(pieces: readonly Piece[]): void {
  let curves = pieces.filter((piece) => piece.points);
  for (let i = 0; i < ROUNDS; i++) curves = curves.flatMap((piece) => piece.divide(piece.fit()));
}

function bernstein(t: number): [number, number, number, number] {
  const s = 1 - t;
  return [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
}

/** A point of a curve. */
function at(t: number, ...nodes: Vector[]): Vector {
  return bernstein(t).reduce((sum, weight, i) => plus(sum, times(weight, nodes[i])), ZERO);
}

/** Solves a system of equations by Gaussian elimination, the largest pivot first. */
function solve(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const n = rows.length;
  for (let i = 0; i < n; i++) {
    const pivot = i + largest(rows.slice(i).map((row) => Math.abs(row[i])));
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let j = i + 1; j < n; j++) {
      const factor = rows[j][i] / rows[i][i];
      for (let k = i; k <= n; k++) rows[j][k] -= factor * rows[i][k];
    }
  }
  const solved = Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let rest = rows[i][n];
    for (let k = i + 1; k < n; k++) rest -= rows[i][k] * solved[k];
    solved[i] = rest / rows[i][i];
  }
  return solved;
}
