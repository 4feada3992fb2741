"""Guidance: several predictions become one, behind the call of a denoiser."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.process import Network, column
from diffusion.samplers import Denoise

ROUNDING = 1e-6  # of times in float32
Words = tuple[Tensor, Tensor]  # embedding (B, N, D) and mask (B, N)


def conditional(predict: Network, words: Words) -> Denoise:
    """`denoise(x_t, t) -> x_0` of the plain conditional model."""
    return lambda x_t, t: predict(x_t, t, *words)


def classifier_free(
    predict: Network,
    words: Words,
    negative: Words,
    scale: float,
    owner: list[int] | None = None,
    weights: list[float] | None = None,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Denoise:
    """Classifier-free guidance in one batch (Ho and Salimans 2022, equation 6, arXiv:2207.12598).

    `x_0 = negative + scale (positive - negative)`: scale 1 is the plain conditional model, and
    scale 0 is conditioned on `negative` alone, the empty caption or what to keep away from. Both
    cost one call of half the size.

    A sample may have several captions, each of which leads it on (Liu et al. 2022, Composable
    Diffusion, arXiv:2206.01714): `x_0 = negative + scale sum_i weight_i (positive_i - negative)`.

    Args:
        predict: predicts `x_0` (`diffusion.process.x_0_predictor`).
        words: what is asked for, one caption a row.
        negative: what to keep away from, a row for each sample, padded to the same length.
        scale: of the guidance.
        owner: the sample that each row of `words` is for; None is one row for each.
        weights: of each row of `words`; None is 1 for each. Weights that share out a 1 go from one
            caption over to another.
        interval: times between which there is guidance; outside, the scale is 1 (Kynkäänniemi et
            al. 2024, arXiv:2404.07724).
    """
    if owner is None:
        owner = list(range(len(words[0])))
    if weights is None:
        weights = [1.0] * len(owner)
    alone = owner == list(range(len(negative[0]))) and set(weights) == {1.0}
    rows = torch.tensor(owner, device=words[0].device)
    nth = [owner[:row].count(sample) for row, sample in enumerate(owner)]  # of its sample's rows
    turns = [(torch.tensor(nth) == n).nonzero()[:, 0].to(rows.device) for n in sorted(set(nth))]
    shares = words[0].new_tensor(weights)
    plain, away = conditional(predict, words), conditional(predict, negative)
    both = conditional(predict, tuple(map(torch.cat, zip(words, negative, strict=True))))

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        low, high = interval
        now = scale if low - ROUNDING <= float(t[0]) <= high + ROUNDING else 1.0
        if now == 0:
            return away(x_t, t)
        if now == 1 and alone:
            return plain(x_t, t)
        x_0 = both(torch.cat([x_t[rows], x_t]), torch.cat([t[rows], t]))
        positive, nothing = x_0.split([len(rows), len(x_t)])
        # A weighted sum, so that a weight of 0 or 1 leaves each prediction as it is. In turns, so
        # that the sum of each sample has one order, with threads and on a GPU too.
        parts, total = column(now * shares, x_t), torch.zeros_like(column(t, x_t))
        for turn in turns:
            total[rows[turn]] += parts[turn]
        x_0 = (1 - total) * nothing
        for turn in turns:
            x_0[rows[turn]] += parts[turn] * positive[turn]
        return x_0

    return denoise
