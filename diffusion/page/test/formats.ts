/** What tests/test_page_formats.py compares with Python: node formats.mjs FOLDER. */
import { readFileSync, writeFileSync } from "node:fs";
import { makeFont } from "../src/formats/font";
import { pathData, trace } from "../src/formats/outlines";
import { fileStem, sheet } from "../src/formats/pictures";
import { toPng } from "../src/formats/png";
import { glyphToSvg, toSvg } from "../src/formats/svg";

const folder = process.argv[2];
const raw = readFileSync(`${folder}/glyphs.bin`);
const { words, about, stems } = JSON.parse(readFileSync(`${folder}/asked.json`, "utf8"));
const images = Array.from({ length: raw.length / 128 ** 2 }, (_, i) =>
  raw.subarray(i * 128 ** 2, (i + 1) * 128 ** 2),
);
const outlines = images.map(trace);
const entries = words.map((word: string, i: number) => ({ word, outline: outlines[i] }));
const known = { paths: outlines.map(pathData), stems: stems.map((text: string) => fileStem(text)) };
writeFileSync(`${folder}/known.json`, JSON.stringify(known));
writeFileSync(`${folder}/glyph.svg`, glyphToSvg(outlines[0], about));
writeFileSync(`${folder}/sheet.svg`, toSvg(outlines.slice(0, 6), {}, 2));
writeFileSync(`${folder}/font.otf`, makeFont(entries, "Tiān"));
const png = await toPng(sheet(images.slice(0, 6), 2), about);
writeFileSync(`${folder}/sheet.png`, Buffer.from(await png.arrayBuffer()));
