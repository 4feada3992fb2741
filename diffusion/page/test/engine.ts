/** What the engine says to a list of questions, for a test that holds it to Python. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Ask, Glyph } from "../src/messages";
import { Blender } from "../src/engine/blend";
import { type Drawn, draw } from "../src/engine/draw";
import { PageError } from "../src/engine/errors";
import type { Manifest } from "../src/engine/files";
import { Inventor } from "../src/engine/inventions";
import { Model } from "../src/engine/model";
import { prepare } from "../src/engine/networks";
import { Philox, type Stream } from "../src/engine/philox";
import { normalise } from "../src/engine/text";

/** Each list holds the arguments of one call an entry. */
export interface Questions {
  onnx: string;
  numbers: [seed: string, stream: Stream, turn: number, count: number][];
  texts: string[];
  sketches: [kind: string, first: string, second: string, seed: string][];
  inventions: Ask[];
  glyphs: Ask[];
  blends: [from: Ask, to: Ask, at: number][];
}

export async function answer({ onnx, ...questions }: Questions): Promise<unknown> {
  prepare();
  const read = async (name: string) => new Uint8Array(await readFile(join(onnx, name)));
  const manifest = JSON.parse(await readFile(join(onnx, "manifest.json"), "utf8")) as Manifest;
  const model = await Model.load({ manifest, read });
  const blender = new Blender(model);
  return {
    numbers: questions.numbers.map(([seed, stream, turn, count]) => [
      ...new Philox(BigInt(seed), stream, turn).normal(count),
    ]),
    texts: questions.texts.map((text) => [normalise(text), model.tokenizer.fit(text, 1000).ids]),
    sketches: questions.sketches.map(([kind, first, second, seed]) => {
      const numbers = new Philox(BigInt(seed), 6);
      const samples = manifest.settings.sketch.smooth ** 2;
      const ink = model.pairings.sketcher.sketch(kind, first, second, numbers);
      return Array.from(ink, (share) => Math.round(share * samples));
    }),
    inventions: await Promise.all(questions.inventions.map((ask) => invented(model, ask))),
    glyphs: await inTurn(questions.glyphs, (ask) => draw(model, ask, pause)),
    blends: await inTurn(questions.blends, (ends) => blender.blend(...ends, pause)),
  };
}

/** What the glyphs of an ask are made of, at their first and their second attempt. */
async function invented(model: Model, ask: Ask): Promise<unknown> {
  try {
    const inventor = new Inventor(model.pairings, model.settings, ask);
    const choose = await model.chooser(inventor.words);
    const seeds = Array.from({ length: ask.count }, (_, i) => BigInt(ask.seed + i));
    return seeds.flatMap((seed) =>
      [seed, seed + 1000n].map((attempt) => {
        const { caption, radical, part, way, time } = inventor.invent(choose, seed, attempt);
        return { caption, radical, part, way, time };
      }),
    );
  } catch (error) {
    if (error instanceof PageError) return { error: error.code };
    throw error;
  }
}

async function pause(): Promise<void> {}

/** The glyphs that come of each question, in order. */
async function inTurn<T>(
  questions: T[],
  ask: (question: T) => AsyncGenerator<Drawn>,
): Promise<unknown[]> {
  const found = [];
  for (const question of questions) {
    const glyphs: Glyph[] = [];
    for await (const one of ask(question)) if (one.kind === "glyph") glyphs.push(one.glyph);
    glyphs.sort((a, b) => a.index - b.index);
    found.push(glyphs.map((glyph) => ({ ...glyph, image: [...glyph.image] })));
  }
  return found;
}
