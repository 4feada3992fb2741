"""The score field: where a model would push noisy data, at each time of each process."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.process import Process, column
from diffusion.samplers import Denoise


def score(denoise: Denoise, x_t: Tensor, t: Tensor, process: Process) -> Tensor:
    """The gradient of the log density of `x_t`, `(B, C, H, W)`, at times `(B,)` above 0.

    Tweedie's formula: `(alpha x_0 - x_t) / sigma²` (Song et al. 2021, arXiv:2011.13456).
    """
    alpha, sigma = process.alpha(column(t, x_t)), process.sigma(column(t, x_t))
    return (alpha * denoise(x_t, t) - x_t) / sigma.square()


def time_of(process: Process, log_snr: Tensor, halvings: int = 50) -> Tensor:
    """The times at which a process has these log-SNRs, by bisection; 0 and 1 where it never has."""
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(halvings):
        middle = (low + high) / 2
        late = process.log_snr(middle) < log_snr
        low, high = torch.where(late, low, middle), torch.where(late, middle, high)
    return (low + high) / 2


def under(denoise: Denoise, own: Process, other: Process) -> Denoise:
    """A denoiser that was trained under its `own` process, for the noisy data of another.

    At equal signal-to-noise ratios two processes hold the same data and noise, scaled: so a model
    of one is a model of all.
    """
    if own is other:
        return denoise

    def translated(x_t: Tensor, t: Tensor) -> Tensor:
        exact = t.cpu().double()  # which not every device has
        there = time_of(own, other.log_snr(exact))
        scale = (own.alpha(there) + own.sigma(there)) / (other.alpha(exact) + other.sigma(exact))
        return denoise(column(scale.to(x_t), x_t) * x_t, there.to(t))

    return translated


def mean_arrows(
    points: Tensor, vectors: Tensor, cells: int, reach: float, fewest: int = 3
) -> tuple[Tensor, Tensor]:
    """The mean place and the mean vector in each cell of a square grid, `(K, 2)` each.

    Args:
        points, vectors: `(N, 2)`, of which a cell takes what lies in it.
        cells: on a side of the square from `-reach` to `reach`.
        reach: half of its side.
        fewest: points that a cell must hold to get an arrow.
    """
    places = ((points / reach + 1) / 2 * cells).floor().long()
    inside = ((places >= 0) & (places < cells)).all(1)
    index = (places[:, 0] * cells + places[:, 1])[inside]
    both = torch.cat([points, vectors], 1)[inside]
    counts = torch.bincount(index, minlength=cells**2)
    sums = both.new_zeros(cells**2, 4).index_add(0, index, both)
    full = counts >= fewest
    return (sums[full] / counts[full, None]).split(2, dim=1)
