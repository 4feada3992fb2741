"""Guidance: how several predictions become one. It wraps a denoiser and hides behind its call."""

from __future__ import annotations

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.process import Network, column
from diffusion.samplers import Denoise

ROUNDING = 1e-6  # of times in float32
Words = tuple[Tensor, Tensor]  # embedding (B, N, D) and mask (B, N)


def join(first: Words, second: Words) -> Words:
    """Two batches of words as one, the shorter padded: `(B1 + B2, max(N1, N2), D)`."""
    length = max(first[0].shape[1], second[0].shape[1])
    padded = [
        (
            F.pad(embedding, (0, 0, 0, length - embedding.shape[1])),
            F.pad(mask, (0, length - mask.shape[1])),
        )
        for embedding, mask in (first, second)
    ]
    return torch.cat([e for e, _ in padded]), torch.cat([m for _, m in padded])


def conditional(predict: Network, words: Words) -> Denoise:
    """`denoise(x_t, t) -> x_0` of a model that hears these words and nothing else."""
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

    `x_0 = negative + scale (positive - negative)`: scale 1 is the plain conditional model, scale 0
    the model that hears only `negative`, which is the empty caption or what to keep away from.
    Both cost one call of half the size.

    A sample may be asked for several things at once, each of which leads it on (Liu et al. 2022,
    Composable Diffusion, its conjunction, arXiv:2206.01714):
    `x_0 = negative + scale sum_i weight_i (positive_i - negative)`.

    Args:
        predict: the model, which predicts `x_0` (`diffusion.process.x_0_predictor`).
        words: what is asked for, one caption a row.
        negative: what to keep away from, a row for each of the samples.
        scale: of the guidance.
        owner: the sample that each row of `words` is for; None is one row for each. A row that is
            the only one of its sample is guidance without conjunction.
        weights: how much each row of `words` counts; None is 1 for each. Weights that share out a
            1 go from one caption over to another.
        interval: times between which there is guidance; outside, the scale is 1 (Kynkäänniemi et
            al. 2024, arXiv:2404.07724).
    """
    if owner is None:
        owner = list(range(len(words[0])))
    if weights is None:
        weights = [1.0] * len(owner)
    alone = owner == list(range(len(negative[0]))) and set(weights) == {1.0}
    rows = torch.tensor(owner, device=words[0].device)
    turns = [torch.tensor(turn, device=words[0].device) for turn in _turns(owner)]
    shares = words[0].new_tensor(weights)
    plain, away = conditional(predict, words), conditional(predict, negative)
    both = conditional(predict, join(words, negative))

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        low, high = interval
        now = scale if low - ROUNDING <= float(t[0]) <= high + ROUNDING else 1.0
        if now == 0:
            return away(x_t, t)
        if now == 1 and alone:
            return plain(x_t, t)
        x_0 = both(torch.cat([x_t[rows], x_t]), torch.cat([t[rows], t]))
        positive, nothing = x_0.split([len(rows), len(x_t)])
        # Written as a weighted sum, so that a weight of 0 or 1 leaves each prediction as it is.
        # In turns, so that the sum of each sample has one order, with threads and on a card too.
        parts, total = column(now * shares, x_t), torch.zeros_like(column(t, x_t))
        for turn in turns:
            total[rows[turn]] += parts[turn]
        x_0 = (1 - total) * nothing
        for turn in turns:
            x_0[rows[turn]] += parts[turn] * positive[turn]
        return x_0

    return denoise


def _turns(owner: list[int]) -> list[list[int]]:
    """The first row of each owner, then the second of those that have one, and so on."""
    seen: Counter[int] = Counter()
    turns: list[list[int]] = []
    for row, sample in enumerate(owner):
        if seen[sample] == len(turns):
            turns.append([])
        turns[seen[sample]].append(row)
        seen[sample] += 1
    return turns
