"""The transformer denoiser (Peebles and Xie 2023, DiT, https://arxiv.org/abs/2212.09748).

Words enter twice: their mean sets, with the time, the modulation of every block, and each token of
the latent grid attends to each word (as in PixArt-α, https://arxiv.org/abs/2310.00426, whose
modulation shared by all blocks this is).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from diffusion.condition import Condition
from diffusion.networks.base import Denoiser, DenoiserConfig
from diffusion.networks.layers import (
    Attention,
    LeapEmbedding,
    TimeEmbedding,
    guided,
    mean_word,
    rotary_angles,
)


@dataclass(frozen=True)
class DiTConfig(DenoiserConfig):
    """Settings of a `DiT`, with those of every denoiser.

    Attributes:
        patch_size: latent cells on a side of a token.
        width: features of a token.
        depth: blocks.
        head_width: features of an attention head, a multiple of four.
        hidden: features inside the feed-forward layers.
    """

    patch_size: int = 2
    width: int = 256
    depth: int = 8
    head_width: int = 64
    hidden: int = 704

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no transformer."""
        super().__post_init__()
        if min(self.patch_size, self.width, self.depth, self.head_width, self.hidden) < 1:
            raise ValueError("the sizes of a DiT must be at least 1")
        if self.latent_size % self.patch_size:
            raise ValueError(f"patches of {self.patch_size} do not tile {self.latent_size} cells")
        if self.head_width % 4 or self.width % self.head_width:
            raise ValueError(
                f"heads of {self.head_width} must be a multiple of 4 and divide {self.width}"
            )


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
        self.self_attention = Attention(width, config.head_width)
        self.norm_2 = nn.RMSNorm(width)
        self.cross_attention = Attention(width, config.head_width)
        self.norm_3 = nn.RMSNorm(width, elementwise_affine=False)
        self.feed_forward = SwiGLU(width, config.hidden)

    def forward(
        self, x: Tensor, modulation: Tensor, words: Tensor, mask: Tensor, angles: Tensor
    ) -> Tensor:
        m = (modulation + self.modulation)[:, :, None]
        shift_1, scale_1, gate_1, shift_3, scale_3, gate_3 = m.unbind(1)
        x = x + gate_1 * self.self_attention(self.norm_1(x) * (1 + scale_1) + shift_1, angles)
        x = x + self.cross_attention(self.norm_2(x), words=words, mask=mask)
        return x + gate_3 * self.feed_forward(self.norm_3(x) * (1 + scale_3) + shift_3)


class DiT(Denoiser):
    """Tokens of 2×2 latent cells, each through the same blocks."""

    config_class = DiTConfig
    edges = (
        "patch_in",
        "time",
        "leap",
        "words_in",
        "meaning_in",
        "modulation",
        "patch_out",
        "guide_out",
    )

    def __init__(self, config: DiTConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        width, grid = config.width, config.latent_size // config.patch_size
        features = config.latent_channels * config.patch_size**2
        self.patch_in = nn.Linear(features, width)
        self.position = nn.Parameter(torch.zeros(grid**2, width))
        self.time = TimeEmbedding(width)
        self.leap = LeapEmbedding(width) if config.flow_map else None
        self.words_in = nn.Linear(config.text_width, width)
        self.meaning_in = nn.Linear(config.text_width, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm_out = nn.RMSNorm(width)
        self.patch_out = nn.Linear(width, features)
        self.guide_out = nn.Linear(width, features) if config.flow_map else None
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
        if self.leap:
            self.leap.initialize_weights()
            nn.init.zeros_(self.guide_out.weight)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        p, h = self.config.patch_size, self.config.latent_size // self.config.patch_size
        patches = partial(rearrange, pattern="b c (h p) (w q) -> b (h w) (c p q)", p=p, q=p)
        x = self.patch_in(patches(x_t)) + self.position  # (B, L, width)
        embedding, mask, leap = condition
        meaning = self.time(t) + self.meaning_in(mean_word(embedding, mask))  # (B, width)
        if self.leap:
            meaning = meaning + self.leap(leap)
        modulation = rearrange(self.modulation(F.silu(meaning)), "b (m c) -> b m c", m=6)
        words = self.words_in(embedding)  # (B, N, width)
        for block in self.blocks:
            x = block(x, modulation, words, mask, self.angles)  # (B, L, width)
        x = self.norm_out(x)
        out = self.patch_out(x)  # (B, L, 32)
        if self.leap:
            out = guided(out, self.guide_out(x), leap)
        return rearrange(out, "b (h w) (c p q) -> b c (h p) (w q)", h=h, p=p, q=p)
