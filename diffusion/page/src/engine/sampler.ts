/** From noise to latents, as in diffusion/samplers.py, under rectified flow. */

import type { Rows } from "./networks";

/** A time, the latents there, and the data predicted on the way. */
export interface State {
  time: number;
  latents: Rows;
  clean: Rows;
}

/** Rows at one time to the data that they come from. */
export type Denoise = (latents: Rows, time: number) => Promise<Rows>;

/** The mean velocity of rows from a time over a length of it. */
export type Leap = (latents: Rows, time: number, length: number) => Promise<Rows>;

/** `count + 1` times from `start` down to 0, evenly spaced. */
export function timeSteps(count: number, start: number): number[] {
  return Array.from({ length: count + 1 }, (_, i) => start * (1 - i / count));
}

/** `a` times the one and `b` times the other. */
export function mix(a: number, one: Rows, b: number, other: Rows): Rows {
  return { data: one.data.map((value, i) => a * value + b * other.data[i]), dims: one.dims };
}

/** DPM-Solver++(2M), Lu et al. 2022 (https://arxiv.org/abs/2211.01095), algorithm 2. */
export async function* dpmpp2m(
  denoise: Denoise,
  latents: Rows,
  times: number[],
): AsyncGenerator<State> {
  const logSnr = (time: number) => Math.log((1 - time) / time); // alpha is 1 - t, and sigma t
  let last: { at: number; clean: Rows } | undefined;
  for (let i = 0; i + 1 < times.length; i++) {
    const [t, s] = [times[i], times[i + 1]];
    const clean = await denoise(latents, t);
    const [now, goal] = [logSnr(t), logSnr(s)];
    let straighter = clean;
    if (last && Number.isFinite(goal) && Number.isFinite(last.at)) {
      const far = (goal - now) / (2 * (now - last.at));
      straighter = mix(1 + far, clean, -far, last.clean);
    }
    last = { at: now, clean };
    const shrink = s / t;
    latents = mix(shrink, latents, 1 - s - shrink * (1 - t), straighter);
    yield { time: s, latents, clean };
  }
}

/** A student's way, Boffi et al. 2024 (https://arxiv.org/abs/2406.07507). */
export async function* flowMap(
  leap: Leap,
  latents: Rows,
  times: number[],
): AsyncGenerator<State> {
  for (let i = 0; i + 1 < times.length; i++) {
    const [t, s] = [times[i], times[i + 1]];
    const velocity = await leap(latents, t, t - s);
    const clean = mix(1, latents, -t, velocity);
    latents = mix(1, latents, s - t, velocity);
    yield { time: s, latents, clean };
  }
}
