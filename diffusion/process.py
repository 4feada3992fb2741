"""Noise processes: how data becomes noise, and what a denoiser may predict of it.

Every process goes along `x_t = alpha(t) x_0 + sigma(t) noise`, from data at time 0 to noise at
time 1. A denoiser predicts some mix of the two ends, and from it and `x_t` the others follow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.condition import Condition

Network = Callable[[Tensor, Tensor, Condition], Tensor]  # of x_t, t and what is asked for


class Process:
    """What is left of the data at each time, and how much noise there is; times in [0, 1]."""

    alpha: Callable[[Tensor], Tensor]  # the factor of the data, 1 at time 0
    sigma: Callable[[Tensor], Tensor]  # the standard deviation of the noise, 0 at time 0

    def log_snr(self, t: Tensor) -> Tensor:
        """`log(alpha² / sigma²)`, falling from plus infinity at time 0."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def add_noise(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """`x_t` `(B, C, H, W)` at the times `t` `(B,)`."""
        t = column(t, x_0)
        return self.alpha(t) * x_0 + self.sigma(t) * noise


class RectifiedFlow(Process):
    """Straight lines from data to noise (Liu et al. 2023, https://arxiv.org/abs/2209.03003).

    `x_t = (1 - t) x_0 + t noise`, whose derivative by the time is the velocity, `noise - x_0`.
    """

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t


class VariancePreserving(Process):
    """A Markov chain that adds noise of variances `betas` `(T,)`, step by step.

    `alpha² = prod(1 - beta)` and `alpha² + sigma² = 1` (Ho et al. 2020, equation 4). Step `i` of
    the chain, from 0, is the time `(i + 1) / T`; in between, `log alpha²` is interpolated. A little
    data is left at time 1: `alpha` is never 0.
    """

    def __init__(self, betas: Tensor) -> None:
        steps = (-betas.double()).log1p().cumsum(0)
        self.log_alpha_squared = torch.cat([torch.zeros(1, dtype=torch.float64), steps])  # (T + 1,)

    def _log_alpha_squared(self, t: Tensor) -> Tensor:
        table = self.log_alpha_squared.to(t)
        position = t * (len(table) - 1)
        i = position.floor().clamp(0, len(table) - 2).long()
        return torch.lerp(table[i], table[i + 1], position - i)

    def alpha(self, t: Tensor) -> Tensor:
        return (0.5 * self._log_alpha_squared(t)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(self._log_alpha_squared(t))).sqrt()


def linear_betas(steps: int = 1000) -> Tensor:
    """1e-4 to 0.02 in even steps (Ho et al. 2020, section 4, https://arxiv.org/abs/2006.11239)."""
    return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)


def cosine_betas(steps: int = 1000, offset: float = 0.008) -> Tensor:
    """`alpha²` along a squared cosine (Nichol and Dhariwal 2021, equation 17, arXiv:2102.09672).

    No step adds more than 0.999, which keeps the last one from dividing by zero.
    """
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha_squared = ((t + offset) / (1 + offset) * torch.pi / 2).cos().square()
    return (1 - alpha_squared[1:] / alpha_squared[:-1]).clamp_max(0.999)


PROCESSES = {
    "flow": RectifiedFlow(),
    "linear": VariancePreserving(linear_betas()),
    "cosine": VariancePreserving(cosine_betas()),
}


# ---- what a denoiser predicts --------------------------------------------------------------------

# Each prediction is `a x_0 + b noise`; here are `a` and `b`, of alpha and sigma.
PREDICTIONS: dict[str, Callable[[Tensor, Tensor], tuple]] = {
    "noise": lambda alpha, sigma: (0, 1),
    "x_0": lambda alpha, sigma: (1, 0),
    "v": lambda alpha, sigma: (-sigma, alpha),  # Salimans and Ho 2022, appendix D
    "velocity": lambda alpha, sigma: (-1, 1),  # dx_t/dt under rectified flow
}

LARGEST = 5.0  # standard deviations of latents that a prediction of the noise may point to
TINY = 1e-8


def known(kind: str, name: str, names: dict | tuple) -> None:
    """Raises ValueError, which tells the known names, for one that is not among them."""
    if name not in names:
        raise ValueError(f'no {kind} "{name}": there are {", ".join(names)}')


def column(t: Tensor, like: Tensor) -> Tensor:
    """`(B,)` to `(B, 1, 1, 1)`, so that times multiply images."""
    return t.reshape(-1, *[1] * (like.ndim - 1))


def target(process: Process, prediction: str, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """What a denoiser should predict, `(B, C, H, W)`, at the times `(B,)`."""
    t = column(t, x_0)
    a, b = PREDICTIONS[prediction](process.alpha(t), process.sigma(t))
    return a * x_0 + b * noise


def ends(
    process: Process, prediction: str, output: Tensor, x_t: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """The data and the noise that an output stands for, `(B, C, H, W)` each.

    They solve `alpha x_0 + sigma noise = x_t` and `a x_0 + b noise = output`. Where these leave one
    of them open, as the data at time 1 if noise is predicted, it is finite and no more than that.
    """
    t = column(t, x_t)
    alpha, sigma = process.alpha(t), process.sigma(t)
    a, b = PREDICTIONS[prediction](alpha, sigma)
    if prediction == "x_0":
        return output, (x_t - alpha * output) / sigma.clamp_min(TINY)
    if prediction == "noise":
        return (x_t - sigma * output) / alpha.clamp_min(TINY), output
    determinant = alpha * b - sigma * a  # at least 1/2 for v, and 1 for the velocity
    return (b * x_t - sigma * output) / determinant, (alpha * output - a * x_t) / determinant


def x_0_predictor(model: Network, process: Process, prediction: str) -> Network:
    """The same network, made to predict `x_0`, which is all that guidance and samplers know.

    From a predicted noise the data follows by division by `alpha`, which ends near 0 and blows up
    errors: so it is kept within `LARGEST`, as Ho et al. kept theirs within the range of pixels.
    """

    def predict(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        x_0, _ = ends(process, prediction, model(x_t, t, condition), x_t, t)
        return x_0.clamp(-LARGEST, LARGEST) if prediction == "noise" else x_0

    return predict
