/** Files for a person to keep. */

import { SIDE, fileStem, sheet } from "../formats/pictures";
import { toPng } from "../formats/png";
import { glyphToSvg, toSvg, type About } from "../formats/svg";
import type { Glyph } from "../messages";
import { outline } from "./outlines";
import { written, type State } from "./state";

/** Lets the browser keep a file. */
export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A glyph as a PNG, which says what it is made of. */
export async function savePng(glyph: Glyph, state: State): Promise<void> {
  const picture = { width: SIDE, height: SIDE, pixels: glyph.image };
  save(await toPng(picture, about(glyph, state)), `${stem(glyph, state)}.png`);
}

/** A glyph as outlines. */
export async function saveSvg(glyph: Glyph, state: State): Promise<void> {
  const text = glyphToSvg(await outline(glyph), about(glyph, state));
  save(new Blob([text], { type: "image/svg+xml" }), `${stem(glyph, state)}.svg`);
}

/** All glyphs on one sheet. */
export async function saveSheet(glyphs: Glyph[], state: State, kind: "png" | "svg"): Promise<void> {
  const each = glyphs.map((glyph) => about(glyph, state));
  const lines = (name: string) => each.map((one) => one[name]).join("\n");
  const several = ["caption", "invention", "nearest"].map((name) => [name, lines(name)]);
  const known: About = { ...each[0], ...Object.fromEntries(several) };
  const name = `${fileStem(state.prompt || glyphs[0].caption)}.${kind}`;
  if (kind === "png") return save(await toPng(sheet(glyphs.map((one) => one.image)), known), name);
  const outlines = await Promise.all(glyphs.map(outline));
  save(new Blob([toSvg(outlines, known)], { type: "image/svg+xml" }), name);
}

/** What is known of a glyph; `settings` are what the address of the page says, too. */
function about(glyph: Glyph, state: State): About {
  const { caption, seed, form, part, layout, match } = glyph;
  return {
    Software: "Tianshu",
    prompt: state.prompt,
    caption,
    seed,
    invention: part ? `${form} + ${part}, ${layout}` : "",
    nearest: `${match.character} ${match.likeness.toFixed(2)}`,
    settings: written(state, "en"),
  };
}

function stem(glyph: Glyph, { prompt }: State): string {
  return `${fileStem(prompt || glyph.caption)}-${glyph.seed}`;
}
