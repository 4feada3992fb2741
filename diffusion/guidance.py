"""Guidance: several predictions become one, behind the call of a denoiser."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.condition import Condition
from diffusion.process import Network, column
from diffusion.samplers import Denoise

ROUNDING = 1e-6  # of times in float32


def conditional(predict: Network, condition: Condition) -> Denoise:
    """`denoise(x_t, t) -> x_0` of the plain conditional model."""
    return lambda x_t, t: predict(x_t, t, condition)


def classifier_free(
    predict: Network,
    positive: Condition,
    negative: Condition,
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
        positive: what is asked for, one caption a row.
        negative: what to keep away from, a row for each sample.
        scale: of the guidance.
        owner: the sample that each row of `positive` is for; None is one row for each.
        weights: of each row of `positive`; None is 1 for each. Weights that share out a 1 go from
            one caption over to another.
        interval: times between which there is guidance; outside, the scale is 1 (Kynkäänniemi et
            al. 2024, arXiv:2404.07724).
    """
    if owner is None:
        owner = list(range(len(positive.mask)))
    if weights is None:
        weights = [1.0] * len(owner)
    alone = owner == list(range(len(negative.mask))) and set(weights) == {1.0}
    rows = torch.tensor(owner, device=positive.mask.device)
    nth = [owner[:row].count(sample) for row, sample in enumerate(owner)]  # of its sample's rows
    turns = [(torch.tensor(nth) == n).nonzero()[:, 0].to(rows.device) for n in sorted(set(nth))]
    shares = positive.embedding.new_tensor(weights)
    plain, away = conditional(predict, positive), conditional(predict, negative)
    both = conditional(predict, positive.joined(negative))

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        low, high = interval
        now = scale if low - ROUNDING <= float(t[0]) <= high + ROUNDING else 1.0
        if now == 0:
            return away(x_t, t)
        if now == 1 and alone:
            return plain(x_t, t)
        x_0 = both(torch.cat([x_t[rows], x_t]), torch.cat([t[rows], t]))
        asked, nothing = x_0.split([len(rows), len(x_t)])
        # A weighted sum, so that a weight of 0 or 1 leaves each prediction as it is. In turns, so
        # that the sum of each sample has one order, with threads and on a GPU too.
        parts, total = column(now * shares, x_t), torch.zeros_like(column(t, x_t))
        for turn in turns:
            total[rows[turn]] += parts[turn]
        x_0 = (1 - total) * nothing
        for turn in turns:
            x_0[rows[turn]] += parts[turn] * asked[turn]
        return x_0

    return denoise
