/** Outlines as the table of an OpenType font, in the Compact Font Format. */
import { ascii, u16, u32, u8, type Bytes } from "./bytes";
import { UNITS, type Contour, type Outline } from "./outlines";
import { round } from "./vectors";

/** A glyph: its name, how far the next one is, and its outline in whole units. */
export interface Shape {
  name: string;
  advance: number;
  outline: Outline;
}

const OPERATORS = { line: 5, curve: 8, end: 14, move: 21 };
const STANDARD = 391; // strings that each font has; its own come after them

/** An outline in whole units, moved up. */
export function whole(outline: Outline, up: number): Outline {
  return outline.map((contour) =>
    contour.map((segment) => segment.map(([x, y]) => [round(x), round(y) + up] as const)),
  );
}

/**
 * The table of glyphs, `.notdef` first.
 *
 * @param name of the font in PostScript; `full` is how people write it.
 * @param box around all glyphs.
 */
export function cff(
  name: string,
  full: string,
  shapes: readonly Shape[],
  box: readonly number[],
): Bytes {
  const header = u8(1, 0, 4, 4);
  const names = index([ascii(name)]);
  const own = [...shapes.slice(1).map((shape) => shape.name), full, "Regular"].map(ascii);
  const after = [...index(own), ...index([])]; // and no subroutines
  const charset = [0, ...shapes.slice(1).flatMap((_, i) => u16(STANDARD + i))];
  const strings = index(shapes.map(charstring));
  const private_ = [...number(UNITS), 20, ...number(0), 21]; // the usual advance, and from where
  const top = (start: number): Bytes => [
    ...number(STANDARD + shapes.length - 1), 2,
    ...number(STANDARD + shapes.length), 4,
    ...box.flatMap(number), 5,
    ...offset(start), 15,
    ...offset(start + charset.length), 17,
    ...number(private_.length), ...offset(start + charset.length + strings.length), 18,
  ];
  const before = [...header, ...names];
  const start = before.length + index([top(0)]).length + after.length;
  return before.concat(index([top(start)]), after, charset, strings, private_);
}

function charstring({ advance, outline }: Shape): Bytes {
  const bytes = advance === UNITS ? [] : number(advance);
  let [x, y] = [0, 0];
  const to = (points: Contour[number], operator: number): void => {
    for (const point of points) {
      bytes.push(...number(point[0] - x), ...number(point[1] - y));
      [x, y] = point;
    }
    bytes.push(operator);
  };
  for (const contour of outline) {
    to([contour[contour.length - 1].at(-1)!], OPERATORS.move);
    contour.forEach((segment, i) => {
      if (segment.length > 1) to(segment, OPERATORS.curve);
      else if (i < contour.length - 1) to(segment, OPERATORS.line); // closing draws the last line
    });
  }
  return [...bytes, OPERATORS.end];
}

function number(value: number): Bytes {
  if (Math.abs(value) <= 107) return [value + 139];
  if (Math.abs(value) > 1131) return [28, ...u16(value)];
  const rest = Math.abs(value) - 108;
  return [(value > 0 ? 247 : 251) + (rest >> 8), rest & 0xff];
}

/** A number that takes as many bytes whatever it is. */
const offset = (value: number): Bytes => [29, ...u32(value)];

function index(items: readonly Bytes[]): Bytes {
  if (!items.length) return u16(0);
  let end = 1;
  const ends = items.map((item) => (end += item.length));
  return u16(items.length).concat(4, u32(1, ...ends), ...items);
}
