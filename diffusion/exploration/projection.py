"""Many dimensions as two: principal axes, UMAP, and the density of what falls there."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor


def principal_axes(points: Tensor, count: int = 2) -> tuple[Tensor, Tensor]:
    """The mean `(D,)` of points `(N, D)` and the directions in which they vary most `(D, count)`.

    Each direction is turned so that its largest entry is positive, since a sign is a matter of
    chance.
    """
    mean = points.mean(0)
    _, axes = torch.linalg.eigh((points - mean).T.double().cov().float())
    axes = axes[:, -count:].flip(1)
    return mean, axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()


def umap(points: Tensor, seed: int = 0) -> np.ndarray:
    """Places of points `(N, D)` in the plane, near where they were near: float32 `(N, 2)`.

    McInnes et al. 2018 (https://arxiv.org/abs/1802.03426), by umap-learn.
    """
    from umap import UMAP  # takes seconds

    neighbours = min(15, len(points) - 1)
    model = UMAP(n_neighbors=neighbours, min_dist=0.1, random_state=seed, n_jobs=1)
    return model.fit_transform(points.flatten(1).numpy()).astype(np.float32)


def density(points: np.ndarray, bounds: tuple[float, float, float, float], cells: int = 200):
    """A kernel density estimate of points `(N, 2)` on a grid `(cells, cells)`, rows upwards.

    `bounds` are left, right, bottom and top. The kernel is a Gaussian half as wide as Scott's rule
    says, which is meant for a single heap.
    """
    from scipy.ndimage import gaussian_filter

    left, right, bottom, top = bounds
    counts, _, _ = np.histogram2d(
        points[:, 1], points[:, 0], bins=cells, range=[[bottom, top], [left, right]]
    )
    width = 0.5 * points.std(0).mean() * len(points) ** (-1 / 6)
    size = ((right - left) + (top - bottom)) / 2 / cells
    area = (right - left) * (top - bottom) / cells**2
    return gaussian_filter(counts, width / size) / (len(points) * area)


def layouts(glyphs: Tensor) -> list[str]:
    """How each of glyphs `(B, 1, H, W)` is put together, as far as its ink tells.

    "left-right" and "top-bottom" where two halves have a column or a row between them with next to
    no ink, "enclosed" where long strokes stand at three sides or more, and else "whole". A guess
    for colours on a map: no dictionary is behind it.
    """
    ink = rearrange(glyphs > 0.5, "b 1 h w -> b h w").float()
    across, down = valley(ink.mean(1)), valley(ink.mean(2))
    edge = ink.shape[-1] // 5
    sides = [
        ink.mean(axis)[:, part] for axis in (1, 2) for part in (slice(edge), slice(-edge, None))
    ]
    long = sum((side.amax(1) > 0.74).int() for side in sides)
    found = []
    for left, top, around in zip(across.tolist(), down.tolist(), long.tolist(), strict=True):
        if left < 0.08:
            found.append("left-right")
        elif top < 0.01:
            found.append("top-bottom")
        elif around >= 3:
            found.append("enclosed")
        else:
            found.append("left-right" if left < 0.12 else "whole")
    return found


def valley(profile: Tensor) -> Tensor:
    """The least ink of a line through the middle of each profile `(B, L)`, `(B,)`.

    It is 1 where one side of that line has no stroke to speak of.
    """
    length = profile.shape[1]
    margin = length // 5
    least, place = profile[:, margin : length - margin].min(dim=1)
    place = place[:, None] + margin
    order = torch.arange(length)
    before = profile.masked_fill(order >= place, 0).amax(1)
    after = profile.masked_fill(order <= place, 0).amax(1)
    return torch.where((before > 0.28) & (after > 0.28), least, 1.0)
