"""From noise to latents: one generator function a method, over a `denoise(x_t, t) -> x_0` closure.

Every sampler takes `x_1`, noise of shape `(B, C, H, W)`, and yields `(t, x_t, x_0)` once a step:
the time it has arrived at, the state there, and the data that the step before it predicted. The
last state, at time 0, is the result. None touches the global random state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from diffusion.process import alpha, sigma

Denoise = Callable[[Tensor, Tensor], Tensor]
State = tuple[float, Tensor, Tensor]


def time_steps(count: int) -> list[float]:
    """`count + 1` times from 1, noise, down to 0, data, evenly spaced."""
    return torch.linspace(1, 0, count + 1, dtype=torch.float64).tolist()


def euler(denoise: Denoise, x_1: Tensor, steps: int) -> Iterator[State]:
    """Euler's method on the probability-flow ODE: the straight line to the predicted data."""
    x = x_1
    for t, s in pairwise(time_steps(steps)):
        x_0 = denoise(x, x.new_full((len(x),), t))
        noise = (x - alpha(t) * x_0) / sigma(t)
        x = alpha(s) * x_0 + sigma(s) * noise
        yield s, x, x_0


def dpmpp_2m(denoise: Denoise, x_1: Tensor, steps: int) -> Iterator[State]:
    """DPM-Solver++(2M): two predictions make one straighter step, at one network call a step.

    Lu et al. 2022 (https://arxiv.org/abs/2211.01095), algorithm 2, with
    `lambda = log(alpha / sigma)`. Under rectified flow lambda starts at minus infinity and ends at
    plus infinity, so the first two steps and the last, which reach it, are of first order.
    """
    x, previous = x_1, None
    times = time_steps(steps)
    lambdas = [log_ratio(t) for t in times]
    for i, (t, s) in enumerate(pairwise(times)):
        x_0 = denoise(x, x.new_full((len(x),), t))
        extrapolated = x_0
        if i > 1 and i + 1 < steps:
            h, h_last = lambdas[i + 1] - lambdas[i], lambdas[i] - lambdas[i - 1]
            extrapolated = x_0 + (x_0 - previous) * h / (2 * h_last)
        ratio = sigma(s) / sigma(t)
        x = ratio * x + (alpha(s) - ratio * alpha(t)) * extrapolated
        previous = x_0
        yield s, x, x_0


def log_ratio(t: float) -> float:
    """`log(alpha / sigma)` at time `t`, half the log-SNR; infinite at both ends."""
    a, s = torch.tensor(alpha(t)).double(), torch.tensor(sigma(t)).double()
    return (a.log() - s.log()).item()


SAMPLERS = {"euler": euler, "dpmpp_2m": dpmpp_2m}
