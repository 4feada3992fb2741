"""Guidance: how several predictions become one. It wraps a denoiser and hides behind its call."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.process import Denoiser, predict_x_0
from diffusion.samplers import Denoise

Words = tuple[Tensor, Tensor]  # embedding (B, N, D) and mask (B, N)


def join(first: Words, second: Words) -> Words:
    """Two batches of words as one, the shorter padded: `(B1 + B2, max(N1, N2), D)`."""
    length = max(first[0].shape[1], second[0].shape[1])
    padded = [
        (
            torch.nn.functional.pad(embedding, (0, 0, 0, length - embedding.shape[1])),
            torch.nn.functional.pad(mask, (0, length - mask.shape[1])),
        )
        for embedding, mask in (first, second)
    ]
    return torch.cat([e for e, _ in padded]), torch.cat([m for _, m in padded])


def conditional(model: Denoiser, words: Words) -> Denoise:
    """`denoise(x_t, t) -> x_0` of a model that hears these words and nothing else."""
    return lambda x_t, t: predict_x_0(x_t, model(x_t, t, *words), t)


def classifier_free(model: Denoiser, words: Words, negative: Words, scale: float) -> Denoise:
    """Classifier-free guidance in one doubled batch (Ho and Salimans 2022, equation 6).

    `x_0 = negative + scale (positive - negative)`: scale 1 is the plain conditional model, scale 0
    the model that hears only `negative`, which is the empty caption or what to keep away from.
    Both cost one call of half the size.
    """
    if scale == 1:
        return conditional(model, words)
    if scale == 0:
        return conditional(model, negative)
    both = conditional(model, join(words, negative))

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        positive, away = both(x_t.repeat(2, 1, 1, 1), t.repeat(2)).chunk(2)
        return away + scale * (positive - away)

    return denoise
