"""Many dimensions as two: principal axes, UMAP, and the density of what falls there."""

from __future__ import annotations

import numpy as np
import torch
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
