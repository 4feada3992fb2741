/** The way of a glyph, as in diffusion/pipeline.py: radical, embeddings, noise, latents, glyph. */

import type { Ask, Glyph, Passed } from "../messages";
import { type Invention, Inventor } from "./inventions";
import { type Match, type Model, type Words, joinRows, splitRows } from "./model";
import type { Rows } from "./networks";
import { layoutOf } from "./parts";
import { Philox, Stream, successor } from "./philox";
import { type State, dpmpp2m, flowMap, mix, timeSteps } from "./sampler";
import { parsePrompt } from "./text";

const BATCHES = [1, 4]; // glyphs at a time at most: the first by itself, so that it comes soon
const FRAMES = 12; // pictures of a glyph that comes out of noise
const NULL_CAPTION = "";

/** What comes of an `Ask`, one after the other. */
export type Drawn =
  | { kind: "glyph"; glyph: Glyph }
  | { kind: "state"; index: number; time: number; image: Uint8Array }
  | { kind: "warning"; code: Passed; text: string };

/** Called before each network: lets other things happen, and throws where it is to stop. */
export type Pause = () => Promise<void>;

/** A glyph under way. */
export interface Row {
  index: number;
  seed: bigint;
  latest: bigint; // the seed of its last attempt
  invention: Invention;
  redrawn: number;
  start: Start;
  ink: Float32Array;
  match: Match;
}

/** Where glyphs begin: noise, and the latents of what they are to be like, if anything. */
export interface Start {
  time: number;
  noise: Rows;
  clean: Rows | null;
}

/** Captions, one a row, and how much they count beside others. */
export interface Side {
  captions: string[];
  weight: number;
}

/** How a way is gone: the scale of guidance, and the steps of the teacher. */
export interface Plan {
  scale: number;
  steps: number;
}

/** Draws what is asked for. Throws `PageError` for what cannot be drawn. */
export async function* draw(model: Model, ask: Ask, pause: Pause): AsyncGenerator<Drawn> {
  for await (const one of drawRows(model, ask, pause)) {
    yield "kind" in one ? one : { kind: "glyph", glyph: toGlyph(model, one) };
  }
}

/** The same, with the rows themselves in the place of glyphs. */
export async function* drawRows(
  model: Model,
  ask: Ask,
  pause: Pause,
): AsyncGenerator<Exclude<Drawn, { kind: "glyph" }> | Row> {
  const inventor = new Inventor(model.pairings, model.settings, ask);
  await pause();
  yield* warnings(model, ask, inventor);
  const chooseRadical = await model.chooser(inventor.words);
  let waiting = Array.from({ length: ask.count }, (_, i) => {
    const index = (ask.start ?? 0) + i;
    const seed = BigInt(ask.seed) + BigInt(index);
    const invention = inventor.invent(chooseRadical, seed);
    return { index, seed, latest: seed, invention, redrawn: 0 };
  });
  for (let turn = 0; waiting.length; turn++) {
    const { time } = waiting[0].invention;
    const most = BATCHES[Math.min(turn, BATCHES.length - 1)];
    const batch = waiting.filter(({ invention }) => invention.time === time).slice(0, most);
    await pause();
    const start = await begin(model, ask, batch);
    const captions = batch.map(({ invention }) => invention.caption);
    const indices = batch.map(({ index }) => index);
    const sides = [{ captions, weight: 1 }];
    const way = states(model, sides, start, planOf(model, ask.guidance, time), pause);
    const inks = yield* follow(model, indices, start, way, ask.steps, pause);
    const matches = await model.match(inks);
    const again: typeof waiting = [];
    for (const [i, row] of batch.entries()) {
      const exists = matches[i].exists && !row.invention.fixed;
      if (exists && row.redrawn < model.settings.redraws) {
        const latest = successor(row.latest);
        const invention = inventor.invent(chooseRadical, row.seed, latest);
        again.push({ ...row, latest, invention, redrawn: row.redrawn + 1 });
      } else {
        const [noise, clean] = [start.noise, start.clean].map((each) => each && splitRows(each)[i]);
        const own = { time, noise: noise!, clean };
        yield { ...row, start: own, ink: inks[i], match: matches[i] };
      }
    }
    waiting = [...again, ...waiting.filter((row) => !batch.includes(row))];
  }
}

/** What a prompt loses. */
async function* warnings(
  model: Model,
  ask: Ask,
  { words, readAs }: Inventor,
): AsyncGenerator<Extract<Drawn, { kind: "warning" }>> {
  const { unknown, lost } = await model.embed(words);
  const said: [Passed, string][] = [
    ["read-as", readAs],
    ["unknown-words", unknown.join(" ")],
    ["words-lost", lost],
    ["conjunction", /(?<!\S)AND(?!\S)/.exec(ask.prompt)?.[0] ?? ""],
  ];
  for (const [code, text] of said) if (text) yield { kind: "warning", code, text };
}

/** Where rows of one time begin: in noise, or at their parts or one drawing under noise. */
async function begin(
  model: Model,
  ask: Ask,
  rows: Pick<Row, "latest" | "invention">[],
): Promise<Start> {
  const { time } = rows[0].invention;
  const noise = noiseOf(model, rows.map(({ latest }) => latest));
  if (time === 1) return { time, noise, clean: null };
  const { sketcher } = model.pairings;
  const glyphs = rows.map(({ latest, invention: { way } }) => {
    if (!way) return ask.drawing!;
    const numbers = new Philox(latest, Stream.PROPORTIONS);
    return sketcher.sketch(way.kind, way.first, way.second, numbers);
  });
  return { time, noise, clean: await model.encode(glyphs) };
}

/** Latents at the time of a start. */
function latentsOf({ time, noise, clean }: Start, at = time): Rows {
  return clean ? mix(1 - at, clean, at, noise) : noise;
}

/** The inks, 1 = ink, at the end of a way; yields pictures of it, if there are to be any. */
export async function* follow(
  model: Model,
  indices: number[],
  start: Start,
  way: AsyncGenerator<State>,
  steps: boolean | undefined,
  pause: Pause,
): AsyncGenerator<Extract<Drawn, { kind: "state" }>, Float32Array[]> {
  const pictures = async function* (time: number, latents: Rows) {
    await pause();
    const inks = await model.decode(latents);
    for (const [i, index] of indices.entries()) {
      yield { kind: "state" as const, index, time, image: toGrey(inks[i]) };
    }
  };
  let latents = latentsOf(start);
  if (steps) {
    // Down to the start no network is needed: it is what was put together, under noise.
    const before = timeSteps(FRAMES, 1).filter((at) => at > start.time || at === 1);
    for (const at of before) yield* pictures(at, latentsOf(start, at));
  }
  for await (const state of way) {
    latents = state.latents;
    if (steps && state.time > 0) yield* pictures(state.time, latents);
  }
  await pause();
  const inks = await model.decode(latents);
  await pause();
  return inks;
}

/** The plan of a way from a time: what begins from parts needs no guidance, and few steps. */
export function planOf({ settings }: Model, guidance: number | undefined, time: number): Plan {
  const steps = Math.ceil(settings.steps * time);
  const shaped = time <= settings.composed;
  const [least, most] = settings.guidances;
  const scale = Math.min(Math.max(guidance ?? (shaped ? 1 : settings.guidance), least), most);
  return { scale, steps: shaped ? Math.min(steps, settings.repairs) : steps };
}

/** The way of latents from a start to time 0, by the student, where there is one, or a teacher. */
export async function* states(
  model: Model,
  sides: Side[],
  start: Start,
  { scale, steps }: Plan,
  pause: Pause,
): AsyncGenerator<State> {
  const { settings } = model;
  const { time } = start;
  await pause();
  const asked = await Promise.all(
    sides.map(async ({ captions, weight }) => ({ words: await wordsOf(model, captions), weight })),
  );
  if (model.has("student")) {
    const calls = 2 ** Math.max(0, Math.round(Math.log2(settings.calls * time)));
    const leap = (x: Rows, t: number, length: number) =>
      sum(asked, async (words) => {
        await pause();
        return model.leap(x, t, length, scale, words);
      });
    yield* flowMap(leap, latentsOf(start), timeSteps(calls, time));
    return;
  }
  const nothing = await wordsOf(model, sides[0].captions.map(() => NULL_CAPTION));
  const denoise = async (x: Rows, t: number) => {
    const predict = async (words: Words) => {
      await pause();
      return mix(1, x, -t, await model.predict(x, t, words)); // of a velocity
    };
    const clean = await sum(asked, predict);
    return scale === 1 ? clean : mix(scale, clean, 1 - scale, await predict(nothing));
  };
  yield* dpmpp2m(denoise, latentsOf(start), timeSteps(steps, time));
}

/** What a network says of each side, by their weights. */
async function sum(
  sides: { words: Words; weight: number }[],
  call: (words: Words) => Promise<Rows>,
): Promise<Rows> {
  let total: Rows | null = null;
  for (const { words, weight } of sides) {
    const found = await call(words);
    total = total ? mix(1, total, weight, found) : mix(weight, found, 0, found);
  }
  return total!;
}

/** What networks are conditioned on for captions, in which a layout stands last. */
function wordsOf(model: Model, captions: string[]): Promise<Words> {
  return model.words(
    captions.map((caption) => {
      const { words, layout } = parsePrompt(caption);
      return layout ? [words, layout] : [words];
    }),
  );
}

/** Noise of the shape of latents, each row from its seed. */
function noiseOf(model: Model, seeds: bigint[]): Rows {
  const dims = [1, ...model.settings.latent];
  const size = dims.reduce((a, b) => a * b);
  return joinRows(
    seeds.map((seed) => {
      const data = Float32Array.from(new Philox(seed, Stream.NOISE).normal(size));
      return { data, dims };
    }),
  );
}

/** Ink to grey, 255 = paper. */
function toGrey(ink: Float32Array): Uint8Array {
  return Uint8Array.from(ink, (value) => Math.round(255 * (1 - Math.min(Math.max(value, 0), 1))));
}

export function toGlyph(model: Model, row: Row): Glyph {
  const { index, invention, redrawn, match } = row;
  const { caption, radical, part, way, sound } = invention;
  return {
    index,
    seed: Number(row.seed),
    image: toGrey(row.ink),
    caption,
    radical,
    form: way ? (way.radicalFirst ? way.first : way.second) : "",
    part,
    sound,
    layout: way ? layoutOf(way.kind) : "",
    existing: radical && part ? model.pairings.parts.existing(radical, part) : [],
    match,
    redrawn,
  };
}
