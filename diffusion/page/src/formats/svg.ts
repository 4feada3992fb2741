/** Glyphs as SVG, as diffusion/outlines.py writes them. */
import { EM, pathData, UNITS, type Outline } from "./outlines";
import { layout, SIDE } from "./pictures";

/** What is known of a file, for its metadata. */
export type About = Readonly<Record<string, unknown>>;

const FRAME = UNITS / EM; // of a glyph's picture, with the em box in its middle

/**
 * Glyphs on one sheet, laid out as `sheet` does.
 *
 * @param outlines `blocks` times the same number of glyphs, prompt after prompt.
 */
export function toSvg(outlines: readonly Outline[], about: About = {}, blocks = 1): string {
  const { width, height, corners } = layout(outlines.length, blocks);
  const edge = ((1 - EM) / 2) * SIDE;
  const scale = (EM * SIDE) / UNITS;
  const paths = outlines.map((outline, i) => {
    const [x, y] = corners[i].map((corner) => corner + edge);
    const place = `translate(${x} ${y}) scale(${scale})`;
    return `<path transform="${place}" d="${pathData(outline)}"/>`;
  });
  const paper = `<rect width="${width}" height="${height}" fill="#fff"/>`;
  return svg(`0 0 ${width} ${height}`, about, paper, ...paths);
}

/** A glyph alone, on no paper and framed as its picture, in `UNITS` of the em. */
export function glyphToSvg(outline: Outline, about: About = {}): string {
  const edge = ((UNITS - FRAME) / 2).toFixed(2);
  const box = `${edge} ${edge} ${FRAME.toFixed(2)} ${FRAME.toFixed(2)}`;
  return svg(box, about, `<path d="${pathData(outline)}"/>`);
}

function svg(box: string, about: About, ...shapes: string[]): string {
  const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const known = JSON.stringify(about).replace(/[&<>]/g, (found) => escapes[found]);
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}">`;
  return [head, `<metadata>${known}</metadata>`, ...shapes, "</svg>\n"].join("\n");
}
