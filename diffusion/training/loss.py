"""The loss of a denoiser: at which times, with which weights."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.condition import Condition
from diffusion.process import PREDICTIONS, TINY, Network, Process, target


def uniform_times(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Times `(count,)` in [0, 1), evenly distributed."""
    return torch.rand(count, generator=generator)


def logit_normal_times(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Times `(count,)` in (0, 1), more of them in the middle, where prediction is hardest.

    Esser et al. 2024, section 3.1 (https://arxiv.org/abs/2403.03206).
    """
    return torch.randn(count, generator=generator).sigmoid()


TIMES = {"uniform": uniform_times, "logit_normal": logit_normal_times}


def uniform_weight(process: Process, prediction: str, t: Tensor) -> Tensor:
    """1 for each time."""
    return torch.ones_like(t)


def min_snr_weight(process: Process, prediction: str, t: Tensor, gamma: float = 5.0) -> Tensor:
    """`min(SNR, gamma)`, as a weight of the error in `x_0` (Hang et al. 2023, arXiv:2303.09556).

    An error `e` of the output is one of `sigma e / (alpha b - sigma a)` in `x_0`, which gives the
    weight of every prediction: the paper's `min(SNR, gamma) / SNR` for the noise, for one.
    """
    alpha, sigma = process.alpha(t), process.sigma(t)
    a, b = PREDICTIONS[prediction](alpha, sigma)
    error = torch.minimum(alpha.square(), gamma * sigma.square())  # min(SNR, gamma) sigma²
    return error.clamp_min(TINY) / (alpha * b - sigma * a).square().clamp_min(TINY)


WEIGHTINGS = {"uniform": uniform_weight, "min_snr": min_snr_weight}


def denoising_loss(
    model: Network,
    process: Process,
    prediction: str,
    x_0: Tensor,
    condition: Condition,
    t: Tensor,
    noise: Tensor,
    weighting: str = "uniform",
) -> Tensor:
    """Weighted mean squared error of the prediction for each sample, `(B,)`.

    Equation 14 of Ho et al. 2020 for the noise, that of Lipman et al. 2023 for the velocity under
    rectified flow. Shapes: latents and noise `(B, C, H, W)`, times `(B,)`, a condition of B
    rows.
    """
    output = model(process.add_noise(x_0, noise, t), t, condition)
    error = (output - target(process, prediction, x_0, noise, t)).square().mean(dim=(1, 2, 3))
    return WEIGHTINGS[weighting](process, prediction, t) * error
