"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), in float32 by default.

`torch.optim.Muon` orthogonalises in bfloat16, a hundred times slower than float32 on a CPU without
bfloat16 units, and takes no convolutions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule


def orthogonalize(matrices: Tensor, steps: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    """Singular values of `(K, M, N)` matrices brought near 1 by Newton-Schulz, vectors kept.

    The quintic iteration leaves them between 0.7 and 1.2, which does as well as 1. It runs in
    `dtype`, and returns the type that came in.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)).to(dtype)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return (x.mT if tall else x).to(matrices)


def muon_dtype(precision: str) -> torch.dtype:
    """What to orthogonalise in under a precision of Lightning's."""
    return torch.bfloat16 if precision.startswith("bf16") else torch.float32


def pointwise(network: nn.Module) -> list[nn.Parameter]:
    """Weights of a network's pointwise convolutions: the matrices that Muon is for."""
    convolutions = (m for m in network.modules() if isinstance(m, nn.Conv2d))
    return [convolution.weight for convolution in convolutions if convolution.kernel_size == (1, 1)]


def trapezoid(warmup: int, cooldown: float, total: int) -> Callable[[int], float]:
    """A rate's factor by step: up over `warmup` steps, level, and down to zero at step `total`.

    `cooldown` is the part of all steps that it falls over; 1 leaves none that are level.
    """

    def factor(step: int) -> float:
        left = max(0.0, 1 - step / max(1, total))
        return min(1.0, (step + 1) / max(1, warmup), left / cooldown if cooldown else 1.0)

    return factor


def scheduled(optimizer: torch.optim.Optimizer, factor: Callable[[int], float]) -> dict:
    """An optimiser whose rates follow a factor by step, in Lightning's form."""
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Muon(torch.optim.Optimizer):
    """Muon for the matrices inside a network and AdamW for the rest, as one optimiser.

    Args:
        matrices: weights of hidden layers, linear `(M, N)` or convolutional `(M, N, h, w)`, which
            count as `(M, Nhw)`; their momentum is orthogonalised.
        parameters: all that learns; those not among `matrices` (vectors, embeddings, first and
            last layers) are AdamW's.
        lr: of Muon. An update is scaled to the root mean square that AdamW's has at the same rate
            (Liu et al. 2025, https://arxiv.org/abs/2502.16982, equation 4).
        adam_lr: of AdamW.
        momentum: of Muon's gradient, with Nesterov's look ahead.
        betas, eps: of AdamW.
        weight_decay: decoupled, for all parameters of two dimensions or more.
        dtype: in which momentum is orthogonalised; bfloat16 where the hardware is faster in it.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        parameters: Iterable[nn.Parameter],
        lr: float = 3e-3,
        adam_lr: float = 2e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        matrices = list(matrices)
        hidden = {id(matrix) for matrix in matrices}
        others = [parameter for parameter in parameters if id(parameter) not in hidden]
        groups = [
            {"params": matrices, "muon": True, "lr": lr},
            {"params": others, "muon": False, "lr": adam_lr},
        ]
        defaults = {"momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure=None) -> Tensor | None:
        """One step of both; returns what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            (self._muon if group["muon"] else self._adamw)(parameters, group)
        return loss

    def _muon(self, parameters: list[nn.Parameter], group: dict) -> None:
        by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            by_shape[parameter.shape].append(parameter)
        for shape, alike in by_shape.items():  # matrices of one shape go together
            gradients = [parameter.grad for parameter in alike]
            momenta = self._moments(alike, "momentum")
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
            matrices = torch.stack(updates).flatten(2)  # (K, M, N)
            size = group["lr"] * 0.2 * max(matrices.shape[1:]) ** 0.5
            updates = orthogonalize(matrices, dtype=self.dtype).unflatten(2, shape[1:])
            torch._foreach_mul_(alike, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(alike, list(updates.unbind()), alpha=-size)

    def _adamw(self, parameters: list[nn.Parameter], group: dict) -> None:
        if not parameters:
            return
        beta_1, beta_2 = group["betas"]
        means, squares = self._moments(parameters, "mean"), self._moments(parameters, "square")
        for parameter in parameters:
            self.state[parameter]["step"] = self.state[parameter].get("step", 0) + 1
        steps = [self.state[parameter]["step"] for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters]
        torch._foreach_lerp_(means, gradients, 1 - beta_1)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - beta_2)
        divisors = torch._foreach_div(squares, [1 - beta_2**step for step in steps])
        torch._foreach_sqrt_(divisors)
        torch._foreach_add_(divisors, group["eps"])
        matrices = [parameter for parameter in parameters if parameter.ndim > 1]
        if matrices:
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        sizes = [-group["lr"] / (1 - beta_1**step) for step in steps]
        torch._foreach_addcdiv_(parameters, means, divisors, sizes)

    def _moments(self, parameters: list[nn.Parameter], name: str) -> list[Tensor]:
        """The running averages of this name, which begin at zero."""
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]


def muon_for(module: LightningModule, matrices: Iterable[nn.Parameter]) -> dict:
    """The optimiser of a training: Muon for the matrices, and AdamW for all else that learns.

    At the module's own `learning_rate`, `adam_learning_rate`, `weight_decay` and `warmup_steps`,
    falling to zero at the end, over its `cooldown` where it has one.
    """
    own, trainer = module.hparams, module.trainer
    optimizer = Muon(
        matrices,
        module.parameters(),
        lr=own.learning_rate,
        adam_lr=own.adam_learning_rate,
        weight_decay=own.get("weight_decay", 0.0),
        dtype=muon_dtype(trainer.precision),
    )
    total = trainer.estimated_stepping_batches
    return scheduled(optimizer, trapezoid(own.warmup_steps, own.get("cooldown", 1.0), total))
