"""The noise process: how data becomes noise, and what a denoiser is asked to predict.

Rectified flow (Liu et al. 2023, https://arxiv.org/abs/2209.03003) joins data to noise by straight
lines: `x_t = (1 - t) x_0 + t noise`, whose velocity `dx_t/dt = noise - x_0` the denoiser predicts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def alpha(t: Tensor) -> Tensor:
    """What is left of the data at time `t` in [0, 1]."""
    return 1 - t


def sigma(t: Tensor) -> Tensor:
    """The noise's standard deviation at time `t` in [0, 1]."""
    return t


def _column(t: Tensor, like: Tensor) -> Tensor:
    """`(B,)` to `(B, 1, 1, 1)`, so that times multiply images."""
    return t.reshape(-1, *[1] * (like.ndim - 1))


def add_noise(x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """`x_t` of the times `t`, `(B,)`; the others `(B, C, H, W)`."""
    return alpha(_column(t, x_0)) * x_0 + sigma(_column(t, x_0)) * noise


def predict_x_0(x_t: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """The data that a velocity at `x_t` points back to: `x_t - t v`."""
    return x_t - _column(t, x_t) * velocity


def logit_normal_times(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Times in (0, 1), `(count,)`, more of them in the middle where prediction is hardest.

    The logistic function of a standard normal (Esser et al. 2024, section 3.1,
    https://arxiv.org/abs/2403.03206).
    """
    return torch.randn(count, generator=generator).sigmoid()


def flow_matching_loss(
    model: Denoiser,
    x_0: Tensor,
    embedding: Tensor,
    mask: Tensor,
    t: Tensor,
    noise: Tensor,
) -> Tensor:
    """Mean squared error of the velocity for each sample, `(B,)` (Lipman et al. 2023, equation 14).

    Shapes: latents and noise `(B, C, H, W)`, times `(B,)`, embedding `(B, N, D)`, mask `(B, N)`.
    """
    x_t = add_noise(x_0, noise, t)
    velocity = model(x_t, t, embedding, mask)
    return (velocity - (noise - x_0)).square().mean(dim=(1, 2, 3))
