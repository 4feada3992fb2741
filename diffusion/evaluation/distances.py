"""How alike two sets of glyphs are, as sets: distances and overlaps of their features.

Features are `(N, D)` and `(M, D)`, those of a `RadicalReader`. A set compared with another draw
from the same source does not reach zero, and the smaller the sets the less: every figure needs the
same figure for real glyphs, at the same counts, beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the normal distributions fitted to two sets, at least 0.

    `|m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½)` (Dowson and Landau 1982; Heusel et al. 2017,
    https://arxiv.org/abs/1706.08500, equation 6), in float64. Raises ValueError for a set with no
    more glyphs than features, whose covariance is of no full rank.
    """
    for one in (a, b):
        _enough(one, one.shape[1] + 1, f"a Fréchet distance over {one.shape[1]} features")
    a, b = a.double(), b.double()
    mean = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    cov_a, cov_b = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # The eigenvalues of root C_b root are those of C_a C_b, and it is symmetric.
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return max(0.0, float(mean + cov_a.trace() + cov_b.trace() - 2 * cross))


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy under the kernel `(x·y / D + 1)³`, without bias.

    Bińkowski et al. 2018 (https://arxiv.org/abs/1801.01401, equation 4), over whole sets and in
    float64. Without bias means that it is zero on average for two draws from one source, and so it
    can be a little below zero. Raises ValueError for fewer than two glyphs.
    """
    for one in (a, b):
        _enough(one, 2, "a kernel distance")
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        k = kernel(x, x)
        return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


@dataclass(frozen=True)
class Overlap:
    """Of generated glyphs among real ones; all but density in [0, 1].

    Attributes:
        precision: part of the generated that lie in the real set's neighbourhoods.
        recall: part of the real that lie in the generated set's neighbourhoods.
        density: real neighbourhoods that a generated glyph lies in, over how many are expected: it
            can exceed 1, and unlike precision it forgives a stray real glyph.
        coverage: part of the real whose neighbourhood holds a generated glyph.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(generated: Tensor, real: Tensor, k: int = 5) -> Overlap:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    A glyph's neighbourhood is the ball to its k-th nearest neighbour in its own set
    (https://arxiv.org/abs/2002.09797, equations 1, 2, 5 and 7). Raises ValueError for sets of no
    more than k glyphs.
    """
    for one in (generated, real):
        _enough(one, k + 1, f"neighbourhoods of {k}")
    generated, real = generated.double(), real.double()

    def radius(x: Tensor) -> Tensor:
        return _distances(x, x).kthvalue(k + 1, dim=1).values  # the nearest is the glyph itself

    apart = _distances(generated, real)  # (N, M)
    in_real = apart <= radius(real)
    in_generated = apart <= radius(generated)[:, None]
    return Overlap(
        precision=float(in_real.any(dim=1).double().mean()),
        recall=float(in_generated.any(dim=0).double().mean()),
        density=float(in_real.double().sum(dim=1).mean() / k),
        coverage=float(in_real.any(dim=0).double().mean()),
    )


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # By differences and not by the product, whose rounding moves a glyph away from its own copy.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _enough(features: Tensor, least: int, what: str) -> None:
    if len(features) < least:
        raise ValueError(
            f"{what} needs {least} glyphs on each side at least: there are {len(features)}"
        )
