/** Between two prompts: what both begin from mixed, and what networks say of each. */

import type { Ask } from "../messages";
import {
  type Drawn,
  type Pause,
  type Row,
  type Start,
  draw,
  drawRows,
  follow,
  planOf,
  states,
  toGlyph,
} from "./draw";
import { type Model, joinRows } from "./model";
import { mix } from "./sampler";

const DEEPER = 0.3; // into noise halfway, as two characters one over the other are none
const MORE = 2; // steps halfway
const KEPT = 16; // asks whose glyphs are kept

type Pair = [first: Row, last: Row];

/** Draws between prompts whose glyphs it keeps, so that a slider costs as little as it can. */
export class Blender {
  private readonly ends = new Map<string, Row[]>();

  constructor(private readonly model: Model) {}

  /** Draws what lies between two, `at` from 0, all of the first, to 1. */
  async *blend(from: Ask, to: Ask, at: number, pause: Pause): AsyncGenerator<Drawn> {
    if (at <= 0 || at >= 1) return yield* draw(this.model, at <= 0 ? from : to, pause);
    const firsts = yield* this.end(from, pause);
    const lasts = yield* this.end(to, pause);
    const pairs = firsts.map((first, i): Pair => [first, lasts[i]]);
    const isShaped = (pair: Pair) => pair.every(({ start }) => start.clean);
    for (const shaped of [true, false]) {
      const alike = pairs.filter((pair) => isShaped(pair) === shaped);
      if (alike.length) yield* this.between(alike, shaped, at, from, pause);
    }
  }

  /** Pairs of glyphs that both begin from something, or not. */
  private async *between(
    pairs: Pair[],
    shaped: boolean,
    at: number,
    { guidance, steps }: Ask,
    pause: Pause,
  ): AsyncGenerator<Drawn> {
    const { model } = this;
    const angle = (at * Math.PI) / 2;
    const depth = Math.sin(at * Math.PI);
    const starts = pairs.map(([{ start: a, latest }, { start: b, latest: other }]): Start => {
      const alike = latest === other; // else along an arc, as noise between two is none
      return {
        time: shaped ? (1 - at) * a.time + at * b.time + DEEPER * depth : 1,
        noise: alike ? a.noise : mix(Math.cos(angle), a.noise, Math.sin(angle), b.noise),
        clean: shaped ? mix(1 - at, a.clean!, at, b.clean!) : null,
      };
    });
    const { time } = starts[0];
    const start = {
      time,
      noise: joinRows(starts.map(({ noise }) => noise)),
      clean: shaped ? joinRows(starts.map(({ clean }) => clean!)) : null,
    };
    const plan = planOf(model, guidance, shaped ? time - DEEPER * depth : 1);
    if (shaped) plan.steps += Math.round(MORE * depth);
    const sides = [0, 1].map((side) => ({
      captions: pairs.map((pair) => pair[side].invention.caption),
      weight: side ? at : 1 - at,
    }));
    const indices = pairs.map(([{ index }]) => index);
    const way = states(model, sides, start, plan, pause);
    const inks = yield* follow(model, indices, start, way, steps, pause);
    const matches = await model.match(inks);
    for (const [i, pair] of pairs.entries()) {
      const row = { ...pair[at < 0.5 ? 0 : 1], ink: inks[i], match: matches[i] };
      yield { kind: "glyph", glyph: toGlyph(model, row) };
    }
  }

  /** The glyphs of one end, in order. */
  private async *end(ask: Ask, pause: Pause): AsyncGenerator<Drawn, Row[]> {
    const key = JSON.stringify({ ...ask, steps: false });
    let rows = this.ends.get(key);
    if (!rows) {
      rows = [];
      for await (const one of drawRows(this.model, { ...ask, steps: false }, pause)) {
        if ("kind" in one) yield one;
        else rows.push(one);
      }
      rows.sort((a, b) => a.index - b.index);
      if (this.ends.size >= KEPT) this.ends.delete(this.ends.keys().next().value!);
      this.ends.set(key, rows);
    }
    return rows;
  }
}
