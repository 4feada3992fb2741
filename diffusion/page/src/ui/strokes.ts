/** Strokes of a drawing: how they look, and how they stand in an address. */

export const SIDE = 128; // of a drawing, in pixels
const WIDTH = 9; // of a stroke, as the font's
const LONGEST = 4000; // points that an address may bring

/** A line through points, x and y from 0 to 127. */
export type Stroke = [number, number][];

/** Draws strokes on a canvas of any size, in its own colour. */
export function paint(context: CanvasRenderingContext2D, strokes: Stroke[], side: number): void {
  const scale = side / SIDE;
  context.lineWidth = WIDTH * scale;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    const [x, y] = stroke[0].map((value) => (value + 0.5) * scale);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x, y);
    for (let i = 1; i < stroke.length; i++) {
      const [x1, y1] = stroke[i].map((value) => (value + 0.5) * scale);
      const [x2, y2] = (stroke[i + 1] ?? stroke[i]).map((value) => (value + 0.5) * scale);
      // A curve to each middle is smooth at the points between.
      context.quadraticCurveTo(x1, y1, (x1 + x2) / 2, (y1 + y2) / 2);
    }
    context.stroke();
  }
}

/** The picture of strokes, 1 = ink. */
export function ink(strokes: Stroke[], side: number): Float32Array {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  paint(context, strokes, side);
  const { data } = context.getImageData(0, 0, side, side);
  return Float32Array.from({ length: side * side }, (_, i) => data[4 * i + 3] / 255);
}

/** Strokes as text: two bytes a point, in base64; 128 on x begins a stroke. */
export function packed(strokes: Stroke[]): string {
  const bytes = strokes.flatMap((stroke) =>
    stroke.flatMap(([x, y], i) => [i ? x : x + SIDE, y]),
  );
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The strokes of a text, none where it is not one of these. */
export function unpacked(text: string): Stroke[] {
  const strokes: Stroke[] = [];
  let bytes = "";
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/")).slice(0, 2 * LONGEST);
  } catch {
    return [];
  }
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const x = bytes.charCodeAt(i);
    if (x >= SIDE || !strokes.length) strokes.push([]);
    strokes[strokes.length - 1].push([x % SIDE, bytes.charCodeAt(i + 1) % SIDE]);
  }
  return strokes;
}
