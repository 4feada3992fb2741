"""What all denoisers share: their call, their settings, and batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from autoencoder.pretrained import Pretrained, check_bounds
from diffusion.condition import Condition
from diffusion.process import PREDICTIONS, PROCESSES, Network, known

TOKENS = 8  # words are padded to a multiple of this many


@dataclass(frozen=True)
class DenoiserConfig:
    """Settings of every denoiser.

    Attributes:
        latent_channels, latent_size: of the latents, `(B, 8, 8, 8)`.
        text_width: features of an embedding.
        process: how noise was added in training: flow, linear or cosine.
        prediction: what the output is: noise, x_0, v or velocity.
        autoencoder, text_encoder: fingerprints of those it was trained with; empty where unknown.
        flow_map: whether it goes a length of time at once, under guidance of a scale: the student
            of a denoiser.
        teacher: the fingerprint of that denoiser.
    """

    later: ClassVar[tuple[str, ...]] = ("flow_map", "teacher")  # which networks before had not

    latent_channels: int = 8
    latent_size: int = 8
    text_width: int = 384
    process: str = "flow"
    prediction: str = "velocity"
    autoencoder: str = ""
    text_encoder: str = ""
    flow_map: bool = False
    teacher: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no denoiser."""
        check_bounds(self)
        if min(self.latent_channels, self.latent_size, self.text_width) < 1:
            raise ValueError("the sizes of a denoiser must be at least 1")
        known("process", self.process, PROCESSES)
        known("prediction", self.prediction, PREDICTIONS)
        if self.flow_map and (self.process, self.prediction) != ("flow", "velocity"):
            raise ValueError("a flow map predicts the velocity of the process flow")


class Denoiser(Pretrained):
    """`model(x_t, t, condition)` is a prediction of the shape of `x_t`.

    Shapes: `x_t` `(B, 8, 8, 8)`, `t` `(B,)` in [0, 1], and a `Condition` of B rows, whose leap is
    None unless the denoiser is a flow map. The config says what is predicted; of a flow map it is
    the mean velocity on the way from `t` to where the leap ends.

    Attributes:
        edges: names of the layers at its two ends, for each subclass to define.
    """

    config_class: ClassVar[type[DenoiserConfig]]
    edges: ClassVar[tuple[str, ...]]

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        raise NotImplementedError

    def hidden_matrices(self) -> list[Tensor]:
        """Weights of the linear and convolutional layers between the edges, which Muon is for."""
        return [
            module.weight
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and name.split(".")[0] not in self.edges
        ]


def leap(
    student: Network, x_t: Tensor, t: Tensor, length: Tensor, words: Condition, scale: Tensor
) -> Tensor:
    """The mean velocity of a flow map over lengths of time `(B,)`, at scales `(B,)` of guidance."""
    return student(x_t, t, words._replace(leap=torch.stack([length, scale], dim=1)))


# ---- batches of one shape ------------------------------------------------------------------------

# A matrix product of 32 rows and one of 8 may add their terms in different orders, and the same row
# then comes out a little different. In batches of one shape it never does, wherever in the batch
# the row stands and whatever else is in the batch.


def row_by_row(network: Network, size: int) -> Network:
    """The same denoiser, called with `size` rows at a time whose words are of one length.

    That is the multiple of eight tokens that the mask of a row needs.
    """

    def predict(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        lengths = TOKENS * ((condition.mask.sum(dim=1) + TOKENS - 1) // TOKENS).clamp_min(1)
        out = torch.empty_like(x_t)
        for length in lengths.unique().tolist():
            of_length = (lengths == length).nonzero().flatten()
            for rows, filled in _batches(of_length, size):
                own = condition.rows(filled).of_length(length)
                out[rows] = network(x_t[filled], t[filled], own)[: len(rows)].to(out)
        return out

    return predict


def in_batches(function: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """`function(x)` of `(B, ...)`, called with `size` rows at a time."""
    rows = torch.arange(len(x), device=x.device)
    return torch.cat([function(x[filled])[: len(part)] for part, filled in _batches(rows, size)])


def _batches(rows: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows in parts of at most `size`, and each filled up to `size` with its own rows again."""
    for part in rows.split(size):
        yield part, part[torch.arange(size, device=rows.device) % len(part)]
