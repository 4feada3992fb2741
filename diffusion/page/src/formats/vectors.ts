/** Points and directions in the plane; y points down, as on a screen. */
export type Vector = readonly [number, number];

export const ZERO: Vector = [0, 0];

export const plus = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1]];

export const minus = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1]];

export const times = (factor: number, a: Vector): Vector => [factor * a[0], factor * a[1]];

export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1];

export const cross = (a: Vector, b: Vector): number => a[0] * b[1] - a[1] * b[0];

export const size = (a: Vector): number => Math.sqrt(dot(a, a));

export const unit = (a: Vector): Vector => times(1 / Math.max(size(a), 1e-9), a);

export const isZero = (a: Vector): boolean => a[0] === 0 && a[1] === 0;

/** The angle between two vectors, in degrees. */
export const turning = (a: Vector, b: Vector): number =>
  Math.abs((Math.atan2(cross(a, b), dot(a, b)) * 180) / Math.PI);

/** Rounds to a whole number, and halves to an even one, as Python does. */
export function round(value: number): number {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/** Where a value belongs in a sorted list: before its equals, or after them with `right`. */
export function search(sorted: ArrayLike<number>, value: number, right = false): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const found = sorted[middle];
    if (found < value || (right && found === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The place of the largest value, the first of several. */
export function largest(values: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

export const clamp = (value: number, low: number, high: number): number =>
  Math.min(Math.max(value, low), high);
