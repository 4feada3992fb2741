"""The transformer denoiser (Peebles and Xie 2023, DiT, https://arxiv.org/abs/2212.09748).

Words enter twice: their mean sets, with the time, the modulation of every block, and each token of
the latent grid attends to each word (as in PixArt-α, https://arxiv.org/abs/2310.00426, whose
modulation shared by all blocks this is).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autoencoder.storage import fingerprint, read_config, read_weights, write_model
from diffusion.attention import attention


@dataclass(frozen=True)
class DiTConfig:
    """Settings of a `DiT`, saved as `config.json` beside its weights.

    Attributes:
        latent_channels, latent_size: of the latents, `(B, 8, 8, 8)`.
        patch_size: latent cells on a side of a token.
        width: features of a token.
        depth: blocks.
        head_width: features of an attention head, a multiple of four.
        hidden: features inside the feed-forward layers.
        text_width: features of a word's embedding.
        autoencoder, text_encoder: fingerprints of the models whose latents and embeddings it was
            trained on; empty where unknown.
    """

    latent_channels: int = 8
    latent_size: int = 8
    patch_size: int = 1
    width: int = 256
    depth: int = 8
    head_width: int = 64
    hidden: int = 704
    text_width: int = 384
    autoencoder: str = ""
    text_encoder: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no transformer."""
        sizes = (self.latent_channels, self.width, self.depth, self.hidden, self.text_width)
        if min(*sizes, self.latent_size, self.patch_size, self.head_width) < 1:
            raise ValueError("the sizes of a DiT must be at least 1")
        if self.latent_size % self.patch_size:
            raise ValueError(f"patches of {self.patch_size} do not tile {self.latent_size} cells")
        if self.head_width % 4 or self.width % self.head_width:
            raise ValueError(
                f"heads of {self.head_width} must be a multiple of 4 and divide {self.width}"
            )


class TimeEmbedding(nn.Module):
    """Times `(B,)` in [0, 1] to features `(B, width)`: sines and cosines, then two layers."""

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        octaves = torch.linspace(0, math.log(1000), frequencies)
        self.register_buffer("frequencies", octaves.exp(), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies
        return self.layers(torch.cat([angles.cos(), angles.sin()], dim=1))


def rotary_angles(size: int, head_width: int) -> Tensor:
    """Angles of rotary positions on a square grid, `(size², head_width / 2)`.

    Half of the pairs of features turn with the row and half with the column, each pair at its own
    speed (Su et al. 2021, https://arxiv.org/abs/2104.09864, along two axes).
    """
    speeds = 100 ** -torch.linspace(0, 1, head_width // 4)
    turns = torch.arange(size)[:, None] * speeds
    rows = turns[:, None].expand(size, size, -1)
    columns = turns[None].expand(size, size, -1)
    return rearrange(torch.cat([rows, columns], dim=-1), "h w c -> (h w) c")


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turns each pair of features of `(B, L, H, C)` by the angles `(L, C / 2)`."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class SelfAttention(nn.Module):
    """Attention among the tokens of the grid, queries and keys normalised."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.norm_q, self.norm_k = nn.RMSNorm(head_width), nn.RMSNorm(head_width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b l (h c) -> b l h c", c=self.head_width)
            for project in (self.q, self.k, self.v)
        )
        x = attention(rotate(self.norm_q(q), angles), rotate(self.norm_k(k), angles), v)
        return self.out(rearrange(x, "b l h c -> b l (h c)"))


class CrossAttention(nn.Module):
    """Attention of the grid's tokens to the words; words that are only padding are never seen."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.norm_q, self.norm_k = nn.RMSNorm(head_width), nn.RMSNorm(head_width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (
            rearrange(project(source), "b l (h c) -> b l h c", c=self.head_width)
            for project, source in ((self.q, x), (self.k, words), (self.v, words))
        )
        x = attention(self.norm_q(q), self.norm_k(k), v, mask)
        return self.out(rearrange(x, "b l h c -> b l (h c)"))


class SwiGLU(nn.Module):
    """The gated feed-forward layer of Shazeer 2020 (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Self-attention, cross-attention and feed-forward, each a zero-initialised residual branch.

    `modulation` `(B, 6, width)` is the shared one; each block adds an offset of its own and reads
    shift, scale and gate of its first and its last branch from the sum.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.width
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.norm_1 = nn.RMSNorm(width, elementwise_affine=False)
        self.self_attention = SelfAttention(width, config.head_width)
        self.norm_2 = nn.RMSNorm(width)
        self.cross_attention = CrossAttention(width, config.head_width)
        self.norm_3 = nn.RMSNorm(width, elementwise_affine=False)
        self.feed_forward = SwiGLU(width, config.hidden)

    def forward(
        self, x: Tensor, modulation: Tensor, words: Tensor, mask: Tensor, angles: Tensor
    ) -> Tensor:
        m = (modulation + self.modulation)[:, :, None]
        shift_1, scale_1, gate_1, shift_3, scale_3, gate_3 = m.unbind(1)
        x = x + gate_1 * self.self_attention(self.norm_1(x) * (1 + scale_1) + shift_1, angles)
        x = x + self.cross_attention(self.norm_2(x), words, mask)
        return x + gate_3 * self.feed_forward(self.norm_3(x) * (1 + scale_3) + shift_3)


class DiT(nn.Module):
    """Predicts the velocity of latents: `model(x_t, t, embedding, mask)`, the shape of `x_t`.

    Shapes: `x_t` `(B, 8, 8, 8)`, `t` `(B,)` in [0, 1], `embedding` `(B, N, text_width)`, `mask`
    `(B, N)` bool, True = a real token, at least one a row.
    """

    def __init__(self, config: DiTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DiTConfig()
        width, grid = config.width, config.latent_size // config.patch_size
        features = config.latent_channels * config.patch_size**2
        self.patch_in = nn.Linear(features, width)
        self.position = nn.Parameter(torch.zeros(grid**2, width))
        self.time = TimeEmbedding(width)
        self.words_in = nn.Linear(config.text_width, width)
        self.meaning_in = nn.Linear(config.text_width, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm_out = nn.RMSNorm(width)
        self.patch_out = nn.Linear(width, features)
        angles = rotary_angles(grid, config.head_width)
        self.register_buffer("angles", angles, persistent=False)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Hidden matrices keep variance; every residual branch and the output start at zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.position, std=0.02)
        for block in self.blocks:
            nn.init.zeros_(block.cross_attention.out.weight)
        for layer in (self.modulation, self.patch_out):
            nn.init.zeros_(layer.weight)

    def forward(self, x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        p, h = self.config.patch_size, self.config.latent_size // self.config.patch_size
        x = rearrange(x_t, "b c (h p) (w q) -> b (h w) (c p q)", p=p, q=p)  # (B, L, 8)
        x = self.patch_in(x) + self.position  # (B, L, width)
        real = mask[:, :, None].to(embedding)
        meaning = (embedding * real).sum(1) / real.sum(1)  # (B, text_width)
        condition = F.silu(self.time(t) + self.meaning_in(meaning))
        modulation = rearrange(self.modulation(condition), "b (m c) -> b m c", m=6)
        words = self.words_in(embedding)  # (B, N, width)
        for block in self.blocks:
            x = block(x, modulation, words, mask, self.angles)
        x = self.patch_out(self.norm_out(x))  # (B, L, 8)
        return rearrange(x, "b (h w) (c p q) -> b c (h p) (w q)", h=h, p=p, q=p)

    @property
    def fingerprint(self) -> str:
        """A hash of settings and weights, in hex."""
        return fingerprint(self.config, self)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Writes `config.json` and `model.safetensors`, and returns the folder."""
        return write_model(folder, self.config, self)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> DiT:
        """The denoiser of a folder, in evaluation mode. Raises WeightsError where there is none."""
        model = cls(read_config(folder, DiTConfig))
        read_weights(folder, model)
        return model.eval()
