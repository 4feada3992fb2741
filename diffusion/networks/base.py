"""What all denoisers share: the call, what their settings say besides sizes, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from autoencoder.pretrained import Pretrained, check_bounds
from diffusion.process import PREDICTIONS, PROCESSES, known


@dataclass(frozen=True)
class DenoiserConfig:
    """Settings of every denoiser, saved as `config.json` beside its weights.

    Attributes:
        latent_channels, latent_size: of the latents, `(B, 8, 8, 8)`.
        text_width: features of a word's embedding.
        process: how noise was added in training: flow, linear or cosine.
        prediction: what the output is: noise, x_0, v or velocity.
        autoencoder, text_encoder: fingerprints of the models whose latents and embeddings it was
            trained on; empty where unknown.
    """

    latent_channels: int = 8
    latent_size: int = 8
    text_width: int = 384
    process: str = "flow"
    prediction: str = "velocity"
    autoencoder: str = ""
    text_encoder: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no denoiser."""
        check_bounds(self)
        if min(self.latent_channels, self.latent_size, self.text_width) < 1:
            raise ValueError("the sizes of a denoiser must be at least 1")
        known("process", self.process, PROCESSES)
        known("prediction", self.prediction, PREDICTIONS)


class Denoiser(Pretrained):
    """Predicts what has become noise: `model(x_t, t, embedding, mask)`, the shape of `x_t`.

    Shapes: `x_t` `(B, 8, 8, 8)`, `t` `(B,)` in [0, 1], `embedding` `(B, N, text_width)`, `mask`
    `(B, N)` bool, True = a real token, at least one a row. What the output is, its config says.

    A subclass names its `config_class`, in `edges` the layers that stand at its two ends, and
    writes `forward`.
    """

    config_class: ClassVar[type[DenoiserConfig]]
    edges: ClassVar[tuple[str, ...]]

    def forward(self, x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError

    def hidden_matrices(self) -> list[Tensor]:
        """Weights of the linear and convolutional layers between the edges, which Muon is for."""
        return [
            module.weight
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and name.split(".")[0] not in self.edges
        ]
