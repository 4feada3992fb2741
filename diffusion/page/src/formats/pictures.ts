/** Glyphs on sheets, and the names of their files, as in diffusion/pictures.py. */

/** Grey pixels, 255 = paper, row by row. */
export interface Picture {
  width: number;
  height: number;
  pixels: Uint8Array;
}

/** Where the glyphs of a sheet stand. */
export interface Layout {
  width: number;
  height: number;
  corners: [number, number][];
}

export const SIDE = 128; // pixels of a glyph
const MARGIN = 8; // pixels around a glyph on a sheet
const GAP = 24; // pixels between the rows of one prompt and the next
const PAPER = 255;
const DEVICES = /^(con|prn|aux|nul|(com|lpt)[0-9¹²³])$/; // on Windows

/** The size of a sheet of `blocks` prompts, and the upper left corners of its glyphs. */
export function layout(glyphs: number, blocks = 1): Layout {
  const count = glyphs / blocks;
  if (!Number.isInteger(count) || !count) {
    throw new RangeError(`${glyphs} glyphs do not make ${blocks} blocks of the same size`);
  }
  let across = 1; // the fewest that make it no taller than wide
  while (across < count && across < blocks * Math.ceil(count / across)) across++;
  const cell = SIDE + MARGIN;
  const block = Math.ceil(count / across) * cell + GAP;
  const corners = Array.from({ length: glyphs }, (_, i): [number, number] => {
    const place = i % count;
    const top = Math.floor(i / count) * block + Math.floor(place / across) * cell;
    return [MARGIN + (place % across) * cell, MARGIN + top];
  });
  return { width: MARGIN + across * cell, height: MARGIN + blocks * block - GAP, corners };
}

/** Glyphs on one white sheet, in reading order; each of `blocks` prompts starts a row. */
export function sheet(images: readonly Uint8Array[], blocks = 1): Picture {
  const { width, height, corners } = layout(images.length, blocks);
  const pixels = new Uint8Array(width * height).fill(PAPER);
  images.forEach((image, i) => {
    const [left, top] = corners[i];
    for (let y = 0; y < SIDE; y++) {
      pixels.set(image.subarray(y * SIDE, (y + 1) * SIDE), (top + y) * width + left);
    }
  });
  return { width, height, pixels };
}

/** A file name, without its ending, that any system takes: "Sea monster!" is "sea-monster". */
export function fileStem(text: string, longest = 60): string {
  const words = text.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
  const letters = [...words.replace(/^-|-$/g, "")];
  let name = letters.slice(0, longest).join("");
  if (letters.length > longest) {
    const cut = letters.slice(0, longest + 1).lastIndexOf("-");
    if (cut >= longest / 2) name = letters.slice(0, cut).join("");
  }
  while (new TextEncoder().encode(name).length > 180) name = [...name].slice(0, -1).join("");
  return DEVICES.test(name) ? `${name}-glyphs` : name || "glyphs";
}
