/** The way of a glyph, as in diffusion/pipeline.py: radical, embeddings, noise, latents, glyph. */

import type { Ask, Glyph, Passed } from "../messages";
import { type Invention, Inventor } from "./inventions";
import type { Match, Model, Words } from "./model";
import type { Rows } from "./networks";
import { layoutOf } from "./parts";
import { Philox, Stream, successor } from "./philox";
import { type State, dpmpp2m, flowMap, mix, timeSteps } from "./sampler";
import { parsePrompt } from "./text";

const BATCH = 4; // glyphs at a time at most, so that the first ones come soon
const FRAMES = 12; // pictures of a glyph that comes out of noise
const NO_MATCH: Match = { character: "", likeness: 0, exists: false };
const NULL_CAPTION = "";

/** What comes of an `Ask`, one after the other. */
export type Drawn =
  | { kind: "glyph"; glyph: Glyph }
  | { kind: "state"; index: number; time: number; image: Uint8Array }
  | { kind: "warning"; code: Passed; text: string };

/** Called before each network: lets other things happen, and throws where it is to stop. */
export type Pause = () => Promise<void>;

/** A glyph under way. */
interface Row {
  index: number;
  seed: bigint;
  latest: bigint; // the seed of its last attempt
  invention: Invention;
  redrawn: number;
  ink: Float32Array;
  match: Match;
}

/** Draws what is asked for. Throws `PageError` for what cannot be drawn. */
export async function* draw(model: Model, ask: Ask, pause: Pause): AsyncGenerator<Drawn> {
  const inventor = new Inventor(model.library, model.settings, ask);
  await pause();
  yield* warnings(model, ask, inventor);
  const chooseRadical = await model.chooser(inventor.words);
  const start = ask.start ?? 0;
  let waiting = Array.from({ length: ask.count }, (_, i): Row => {
    const seed = BigInt(ask.seed) + BigInt(start + i);
    const invention = inventor.invent(chooseRadical, seed);
    const blank = { redrawn: 0, ink: new Float32Array(), match: NO_MATCH };
    return { index: start + i, seed, latest: seed, invention, ...blank };
  });
  while (waiting.length) {
    const { time } = waiting[0].invention;
    const batch = waiting.filter(({ invention }) => invention.time === time).slice(0, BATCH);
    yield* attempt(model, ask, batch, pause);
    const existing = batch.filter(
      ({ match, invention, redrawn }) =>
        match.exists && !invention.fixed && redrawn < model.settings.redraws,
    );
    for (const row of batch) {
      if (!existing.includes(row)) yield { kind: "glyph", glyph: toGlyph(model, row) };
    }
    for (const row of existing) {
      row.latest = successor(row.latest);
      row.invention = inventor.invent(chooseRadical, row.seed, row.latest);
      row.redrawn += 1;
    }
    waiting = [...existing, ...waiting.filter((row) => !batch.includes(row))];
  }
}

/** What a prompt loses. */
async function* warnings(
  model: Model,
  ask: Ask,
  { words, readAs }: Inventor,
): AsyncGenerator<Drawn> {
  const { unknown, lost } = await model.embed(words);
  const said: [Passed, string][] = [
    ["read-as", readAs],
    ["unknown-words", unknown.join(" ")],
    ["words-lost", lost],
    ["conjunction", /(?<!\S)AND(?!\S)/.exec(ask.prompt)?.[0] ?? ""],
  ];
  for (const [code, text] of said) if (text) yield { kind: "warning", code, text };
}

/** Draws rows of one time once, and finds what they are like. Yields states, if asked to. */
async function* attempt(
  model: Model,
  ask: Ask,
  rows: Row[],
  pause: Pause,
): AsyncGenerator<Drawn> {
  const { time } = rows[0].invention;
  const pictures = async function* (at: number, latents: Rows): AsyncGenerator<Drawn> {
    await pause();
    const inks = await model.decode(latents);
    for (const [i, { index }] of rows.entries()) {
      yield { kind: "state", index, time: at, image: toGrey(inks[i]) };
    }
  };
  const noise = noiseOf(model, rows.map(({ latest }) => latest));
  let latents = noise;
  if (time < 1) {
    await pause();
    const clean = await model.encode(rows.map((row) => ask.drawing ?? sketch(model, row)));
    latents = mix(1 - time, clean, time, noise);
    if (ask.steps) {
      // No network is needed on the way to there: it is what was put together, under noise.
      const times = timeSteps(FRAMES, 1).filter((at) => at > time);
      for (const at of times) yield* pictures(at, mix(1 - at, clean, at, noise));
    }
  } else if (ask.steps) {
    yield* pictures(1, noise);
  }
  const captions = rows.map(({ invention }) => invention.caption);
  for await (const state of states(model, ask.guidance, captions, latents, time, pause)) {
    latents = state.latents;
    if (ask.steps && state.time > 0) yield* pictures(state.time, latents);
  }
  await pause();
  const inks = await model.decode(latents);
  if (model.has("recognizer")) await pause();
  const matches = model.has("recognizer") ? await model.match(inks) : [];
  rows.forEach((row, i) => Object.assign(row, { ink: inks[i], match: matches[i] ?? NO_MATCH }));
}

/** The way of latents from a time to 0, by the student or its teacher. */
async function* states(
  model: Model,
  guidance: number | undefined,
  captions: string[],
  latents: Rows,
  time: number,
  pause: Pause,
): AsyncGenerator<State> {
  const { settings } = model;
  const shaped = time <= settings.composed; // what begins from parts needs no guidance
  const scale = guidance ?? (shaped ? 1 : settings.guidance);
  const texts = captions.map((caption) => {
    const { words, layout } = parsePrompt(caption);
    return layout ? [words, layout] : [words];
  });
  await pause();
  const [least, most] = settings.student_guidance;
  if (model.has("student") && (guidance ?? least) >= least && (guidance ?? least) <= most) {
    const words = await model.words(texts);
    const calls = 2 ** Math.max(0, Math.round(Math.log2(settings.calls * time)));
    const leap = async (x: Rows, t: number, length: number) => {
      await pause();
      return model.leap(x, t, length, scale, words);
    };
    yield* flowMap(leap, latents, timeSteps(calls, time));
    return;
  }
  const steps = Math.ceil(settings.steps * time);
  const times = timeSteps(shaped ? Math.min(steps, settings.repairs) : steps, time);
  yield* dpmpp2m(await denoiser(model, texts, scale, pause), latents, times);
}

/** Latents at a time to clean ones, under classifier-free guidance. */
async function denoiser(
  model: Model,
  texts: string[][],
  scale: number,
  pause: Pause,
): Promise<(latents: Rows, time: number) => Promise<Rows>> {
  const predict = async (latents: Rows, time: number, words: Words) => {
    await pause();
    return mix(1, latents, -time, await model.predict(latents, time, words)); // of a velocity
  };
  const words = await model.words(texts);
  if (scale === 1) return (latents, time) => predict(latents, time, words);
  const nothing = await model.words(texts.map(() => [NULL_CAPTION]));
  return async (latents, time) => {
    const away = await predict(latents, time, nothing);
    return mix(scale, await predict(latents, time, words), 1 - scale, away);
  };
}

/** Noise of the shape of latents, each row from its seed. */
function noiseOf(model: Model, seeds: bigint[]): Rows {
  const size = model.settings.latent.reduce((a, b) => a * b);
  const data = new Float32Array(seeds.length * size);
  seeds.forEach((seed, row) => data.set(new Philox(seed, Stream.NOISE).normal(size), row * size));
  return { data, dims: [seeds.length, ...model.settings.latent] };
}

/** Radical and part put together, in proportions that the seed decides. */
function sketch(model: Model, { invention: { way }, latest }: Row): Float32Array {
  const numbers = new Philox(latest, Stream.PROPORTIONS);
  return model.library.sketcher.sketch(way!.kind, way!.first, way!.second, numbers);
}

/** Ink to grey, 255 = paper. */
function toGrey(ink: Float32Array): Uint8Array {
  return Uint8Array.from(ink, (value) => Math.round(255 * (1 - Math.min(Math.max(value, 0), 1))));
}

function toGlyph(model: Model, { index, seed, invention, redrawn, ink, match }: Row): Glyph {
  const { caption, radical, part, way, sound } = invention;
  return {
    index,
    seed: Number(seed),
    image: toGrey(ink),
    caption,
    radical,
    form: way ? (way.radicalFirst ? way.first : way.second) : "",
    part,
    sound,
    layout: way ? layoutOf(way.kind) : "",
    existing: radical && part ? model.library.parts.existing(radical, part) : [],
    match,
    redrawn,
  };
}
