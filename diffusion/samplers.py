"""From noise to latents: one generator function a method, over a `denoise(x_t, t) -> x_0` closure.

Every sampler takes `x`, noise of shape `(B, C, H, W)`, the process of the denoiser, and the times
to visit, falling from 1, or from where `x` is, to 0. It yields `(t, x_t, x_0)` once a step: the
time it has arrived at, the state there, and the data predicted on the way. The last state, at time
0, is the result. Those that add noise draw it by `randn()`; none touches the global random state.

In the code `t` is the time before a step and `s` the one after it. The factors of a step are in
double precision. The last function is a student's, which leaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from diffusion.process import Process

Denoise = Callable[[Tensor, Tensor], Tensor]
Leap = Callable[[Tensor, Tensor, Tensor], Tensor]  # of x_t, t and how far to go
Randn = Callable[[], Tensor]  # standard normal noise of the shape of x, new at every call
State = tuple[float, Tensor, Tensor]
Point = tuple[float, float, float]  # a time with its alpha and its sigma


def time_steps(count: int, start: float = 1.0) -> list[float]:
    """`count + 1` times from `start`, by default 1, noise, down to 0, data, evenly spaced."""
    return torch.linspace(start, 0, count + 1, dtype=torch.float64).tolist()


def points(process: Process, times: list[float]) -> Iterator[tuple[Point, Point]]:
    """Both ends of each step."""
    t = torch.tensor(times, dtype=torch.float64)
    alphas, sigmas = process.alpha(t).tolist(), process.sigma(t).tolist()
    return pairwise(zip(times, alphas, sigmas, strict=True))


def result(states: Iterator[State], advance: Callable[[], object] = lambda: None) -> Tensor:
    """The last state of a sampler; `advance` is called after each step."""
    for state in states:
        x = state[1]
        advance()
    return x


def at(t: float, x: Tensor) -> Tensor:
    """The time, once for each sample: `(B,)`."""
    return x.new_full((len(x),), t)


def ddpm(
    denoise: Denoise, x: Tensor, process: Process, times: list[float], randn: Randn
) -> Iterator[State]:
    """Ancestral sampling: draws from `q(x_s | x_t, x_0)`, the chain walked backwards.

    Ho et al. 2020 (https://arxiv.org/abs/2006.11239), equation 7, for steps of any length as in
    Kingma et al. 2021 (https://arxiv.org/abs/2107.00630), appendix A.
    """
    for (t, alpha_t, sigma_t), (s, alpha_s, sigma_s) in points(process, times):
        x_0 = denoise(x, at(t, x))
        ratio = alpha_t / alpha_s
        variance = sigma_t**2 - ratio**2 * sigma_s**2  # of the noise added from s to t
        x = (ratio * sigma_s**2 * x + alpha_s * variance * x_0) / sigma_t**2
        if sigma_s > 0:
            x = x + sigma_s * math.sqrt(variance) / sigma_t * randn()
        yield s, x, x_0


def ddim(
    denoise: Denoise,
    x: Tensor,
    process: Process,
    times: list[float],
    randn: Randn | None = None,
    eta: float = 0.0,
) -> Iterator[State]:
    """Song et al. 2021 (https://arxiv.org/abs/2010.02502), equations 12 and 16.

    `eta` is the part of DDPM's fresh noise that replaces the predicted one: 0 is deterministic, 1
    is `ddpm`.
    """
    for (t, alpha_t, sigma_t), (s, alpha_s, sigma_s) in points(process, times):
        x_0 = denoise(x, at(t, x))
        noise = (x - alpha_t * x_0) / sigma_t
        variance = sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2
        fresh = eta * sigma_s * math.sqrt(variance) / sigma_t
        x = alpha_s * x_0 + math.sqrt(sigma_s**2 - fresh**2) * noise
        if fresh > 0:
            x = x + fresh * randn()
        yield s, x, x_0


def euler(
    denoise: Denoise, x: Tensor, process: Process, times: list[float], randn: Randn | None = None
) -> Iterator[State]:
    """Euler's method on the probability-flow ODE; a step is the same as DDIM's.

    Divided by `alpha + sigma`, every process is a rectified flow on a clock of its own:
    `y = x / (alpha + sigma)` and `r = sigma / (alpha + sigma)` make `y = (1 - r) x_0 + r noise`,
    hence `dy/dr = noise - x_0 = (y - x_0) / r`.
    """
    for (t, alpha_t, sigma_t), (s, alpha_s, sigma_s) in points(process, times):
        r_t, r_s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        y = x / (alpha_t + sigma_t)
        x_0 = denoise(x, at(t, x))
        y = y + (r_s - r_t) / r_t * (y - x_0)
        x = (alpha_s + sigma_s) * y
        yield s, x, x_0


def heun(
    denoise: Denoise, x: Tensor, process: Process, times: list[float], randn: Randn | None = None
) -> Iterator[State]:
    """Heun's method on the same ODE as `euler`: the slopes at both ends of a step, averaged.

    Karras et al. 2022 (https://arxiv.org/abs/2206.00364), algorithm 1. Two calls of the denoiser a
    step, but one in the last, whose end has no slope: `2 N - 1` for `N` steps.
    """
    for (t, alpha_t, sigma_t), (s, alpha_s, sigma_s) in points(process, times):
        r_t, r_s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        y = x / (alpha_t + sigma_t)
        x_0 = denoise(x, at(t, x))
        slope = (y - x_0) / r_t
        x = (alpha_s + sigma_s) * (y + (r_s - r_t) * slope)
        if r_s > 0:
            there = (x / (alpha_s + sigma_s) - denoise(x, at(s, x))) / r_s
            x = (alpha_s + sigma_s) * (y + (r_s - r_t) * (slope + there) / 2)
        yield s, x, x_0


def dpmpp_2m(
    denoise: Denoise, x: Tensor, process: Process, times: list[float], randn: Randn | None = None
) -> Iterator[State]:
    """DPM-Solver++(2M): two predictions make one straighter step, at one network call a step.

    Lu et al. 2022 (https://arxiv.org/abs/2211.01095), algorithm 2.
    """
    history = []
    for (t, alpha_t, sigma_t), (s, alpha_s, sigma_s) in points(process, times):
        x_0 = denoise(x, at(t, x))
        history = [*history[-1:], (half_log_snr(alpha_t, sigma_t), x_0)]
        shrink = sigma_s / sigma_t
        straighter = extrapolate(history, half_log_snr(alpha_s, sigma_s))
        x = shrink * x + (alpha_s - shrink * alpha_t) * straighter
        yield s, x, x_0


def dpmpp_sde(
    denoise: Denoise, x: Tensor, process: Process, times: list[float], randn: Randn
) -> Iterator[State]:
    """SDE-DPM-Solver++(2M), of the same paper: adds noise on the way, and forgets its errors."""
    history = []
    for (t, alpha_t, sigma_t), (s, alpha_s, sigma_s) in points(process, times):
        x_0 = denoise(x, at(t, x))
        history = [*history[-1:], (half_log_snr(alpha_t, sigma_t), x_0)]
        forget = (alpha_t * sigma_s) / (alpha_s * sigma_t)  # exp(-h)
        straighter = extrapolate(history, half_log_snr(alpha_s, sigma_s))
        x = sigma_s / sigma_t * forget * x + alpha_s * (1 - forget**2) * straighter
        if sigma_s > 0:
            x = x + sigma_s * math.sqrt(1 - forget**2) * randn()
        yield s, x, x_0


def flow_map(leap: Leap, x: Tensor, times: list[float]) -> Iterator[State]:
    """A student's way: `x_s = x_t - (t - s) u`, with the mean velocity `u` between both.

    Boffi et al. 2024, Flow Map Matching (https://arxiv.org/abs/2406.07507), under rectified flow.
    """
    for t, s in pairwise(times):
        velocity = leap(x, at(t, x), at(t - s, x))
        x, x_0 = x - (t - s) * velocity, x - t * velocity
        yield s, x, x_0


def half_log_snr(alpha: float, sigma: float) -> float:
    """`log(alpha / sigma)`, the lambda of DPM-Solver: minus infinity for noise, plus for data."""
    if sigma == 0:
        return math.inf
    return math.log(alpha / sigma) if alpha > 0 else -math.inf


def extrapolate(history: list[tuple[float, Tensor]], goal: float) -> Tensor:
    """The data predicted for halfway to the lambda `goal`, from the last two lambdas and `x_0`.

    It is the last `x_0` itself where a step has infinite length, at pure noise or data.
    """
    now, x_0 = history[-1]
    last, previous = history[0]
    if len(history) == 1 or not math.isfinite(goal) or not math.isfinite(last):
        return x_0
    return x_0 + (goal - now) / (2 * (now - last)) * (x_0 - previous)


SAMPLERS = {f.__name__: f for f in (ddpm, ddim, euler, heun, dpmpp_2m, dpmpp_sde)}
