"""Paths through latents and noise, and how to keep to characters along them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from diffusion.process import Process
from diffusion.samplers import Denoise, dpmpp_2m, heun

Mix = Callable[[Tensor, Tensor, float], Tensor]

NEAREST = 0.002  # the time taken for that of data without noise, where the flow has no slope


def linear(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """The straight line from `a`, at weight 0, to `b`, at weight 1; both of one shape."""
    return a if weight == 0 else b if weight == 1 else torch.lerp(a, b, weight)


def spherical(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """The arc from `a` to `b`, of which no part is nearer to the origin than both ends.

    A Gaussian's samples all lie about as far out, so that what lies on the straight line between
    two is no sample of it (White 2016, https://arxiv.org/abs/1609.04468).
    """
    cosine = torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1)
    angle = cosine.arccos()
    if weight in (0, 1) or angle.sin() < 1e-4:
        return linear(a, b, weight)
    return (((1 - weight) * angle).sin() * a + (weight * angle).sin() * b) / angle.sin()


MIXES: dict[str, Mix] = {"linear": linear, "spherical": spherical}


def path(corners: Tensor, frames: int, mix: Mix = linear) -> Tensor:
    """`frames` points from the first of two corners to the second, ends included: `(F, ...)`."""
    first, last = corners
    weights = torch.linspace(0, 1, frames, dtype=torch.float64).tolist()
    return torch.stack([mix(first, last, weight) for weight in weights])


def square(corners: Tensor, side: int, mix: Mix = linear) -> Tensor:
    """`side²` points between four corners, row by row: two above, two below, `(side², ...)`."""
    left, right = path(corners[[0, 2]], side, mix), path(corners[[1, 3]], side, mix)
    rows = [path(torch.stack(ends), side, mix) for ends in zip(left, right, strict=True)]
    return torch.cat(rows)


def loop(corners: Tensor, frames: int, mix: Mix = linear) -> Tensor:
    """`frames` points through all corners and on to the first, which does not come twice."""
    count = len(corners)
    points = []
    for i in range(frames):
        leg, part = divmod(i * count / frames, 1)
        a, b = corners[int(leg)], corners[(int(leg) + 1) % count]
        points.append(mix(a, b, part))
    return torch.stack(points)


def walk(corners: Tensor, frames: int, mix: Mix = linear, closed: bool = False) -> Tensor:
    """A `loop` if it is closed, else a `path` between two corners or a `square` between four."""
    shape = loop if closed else path if len(corners) == 2 else square
    return shape(corners, frames, mix)


def through_noise(
    denoise: Denoise, latents: Tensor, noise: Tensor, process: Process, time: float, steps: int
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Adds noise up to a time and takes it away again, as `dpmpp_2m` does, whose states it yields.

    What was no character becomes one (Meng et al. 2021, SDEdit, https://arxiv.org/abs/2108.01073);
    the later the time, the less it is like what it was.
    """
    x = process.add_noise(latents, noise, latents.new_full((len(latents),), time))
    times = torch.linspace(time, 0, steps + 1, dtype=torch.float64).tolist()
    return dpmpp_2m(denoise, x, process, times)


def invert(
    denoise: Denoise, latents: Tensor, process: Process, steps: int, until: float = 1.0
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Latents to the noise that leads to them: the probability-flow ODE from data to noise.

    Song et al. 2021 (https://arxiv.org/abs/2011.13456), section 4.3, by Heun's method, whose states
    it yields. It ends at the time `until`; the way back is `restore`.
    """
    times = torch.linspace(NEAREST, until, steps + 1, dtype=torch.float64).tolist()
    return heun(denoise, latents, process, times)


def restore(
    denoise: Denoise, noise: Tensor, process: Process, steps: int, since: float = 1.0
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """The way back from `invert`'s noise at the time `since` to its latents, by the same times."""
    times = torch.linspace(since, NEAREST, steps + 1, dtype=torch.float64).tolist()
    return heun(denoise, noise, process, times)
