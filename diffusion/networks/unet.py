"""The U-Net denoiser (Ho et al. 2020, https://arxiv.org/abs/2006.11239), for the latent grid.

Time and the mean word shift and scale every block (Dhariwal and Nichol 2021,
https://arxiv.org/abs/2105.05233, section 3.1), and every cell attends to every word, as in Stable
Diffusion (Rombach et al. 2022, https://arxiv.org/abs/2112.10752).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autoencoder.blocks import Down, Up
from diffusion.condition import Condition
from diffusion.networks.base import Denoiser, DenoiserConfig
from diffusion.networks.layers import (
    Attention,
    LeapEmbedding,
    TimeEmbedding,
    guided,
    mean_word,
)

GROUPS = 8  # of channels that are normalised together


@dataclass(frozen=True)
class UNetConfig(DenoiserConfig):
    """Settings of a `UNet`, with those of every denoiser.

    Attributes:
        widths: channels at each resolution, finest first; each halves the one before.
        blocks: at each of them, on the way down and again on the way up.
        head_width: features of an attention head.
        features: of the time and the mean word together.
    """

    widths: tuple[int, ...] = (128, 192)
    blocks: int = 2
    head_width: int = 32
    features: int = 256

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no U-Net."""
        super().__post_init__()
        if not self.widths or min(*self.widths, self.blocks, self.head_width, self.features) < 1:
            raise ValueError("the sizes of a U-Net must be at least 1")
        if self.latent_size % 2 ** (len(self.widths) - 1):
            raise ValueError(f"latents of {self.latent_size} cells do not halve often enough")
        for width in self.widths:
            if width % self.head_width or width % GROUPS:
                raise ValueError(
                    f"a width of {width} does not divide by {self.head_width} and {GROUPS}"
                )


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity, `(B, C, H, W)` to `(B, D, H, W)`.

    `condition` `(B, features)` scales and shifts the channels between them. The second starts at
    zero.
    """

    def __init__(self, channels: int, width: int, features: int) -> None:
        super().__init__()
        self.norm_1 = nn.GroupNorm(GROUPS, channels)
        self.conv_1 = nn.Conv2d(channels, width, 3, padding=1)
        self.modulation = nn.Linear(features, 2 * width)
        self.norm_2 = nn.GroupNorm(GROUPS, width)
        self.conv_2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = self.conv_2(F.silu(self.norm_2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class Block(nn.Module):
    """A residual block, then attention of the cells among themselves and to the words."""

    def __init__(self, channels: int, width: int, config: UNetConfig) -> None:
        super().__init__()
        self.residual = ResidualBlock(channels, width, config.features)
        self.norm_1, self.norm_2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.self_attention = Attention(width, config.head_width)
        self.words = nn.Linear(config.text_width, width)
        self.cross_attention = Attention(width, config.head_width)

    def forward(self, x: Tensor, condition: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        x = self.residual(x, condition)  # (B, width, H, W)
        height = x.shape[2]
        x = rearrange(x, "b c h w -> b (h w) c")
        x = x + self.self_attention(self.norm_1(x))
        x = x + self.cross_attention(self.norm_2(x), words=self.words(embedding), mask=mask)
        return rearrange(x, "b (h w) c -> b c h w", h=height)


class UNet(Denoiser):
    """The denoiser that ships: 8×8 cells, then 4×4, and back."""

    config_class = UNetConfig
    edges = ("conv_in", "time", "leap", "meaning_in", "conv_out", "guide_out")

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        widths, features = config.widths, config.features
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.time = TimeEmbedding(features)
        self.leap = LeapEmbedding(features) if config.flow_map else None
        self.meaning_in = nn.Linear(config.text_width, features)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for width in widths:
            self.down.append(
                nn.ModuleList(Block(width, width, config) for _ in range(config.blocks))
            )
            self.up.insert(
                0, nn.ModuleList(Block(2 * width, width, config) for _ in range(config.blocks))
            )
        self.shrink = nn.ModuleList(map(Down, widths, widths[1:]))
        self.grow = nn.ModuleList(map(Up, widths[:0:-1], widths[-2::-1]))
        self.middle = Block(widths[-1], widths[-1], config)
        self.norm_out = nn.GroupNorm(GROUPS, widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.latent_channels, 3, padding=1)
        self.guide_out = None
        if config.flow_map:
            self.guide_out = nn.Conv2d(widths[0], config.latent_channels, 3, padding=1)
        self.initialize_weights()
        self.to(memory_format=torch.channels_last)

    def initialize_weights(self) -> None:
        """Hidden matrices keep variance; every residual branch and the output start at zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.modulation.weight)
                nn.init.zeros_(module.conv_2.weight)
            elif isinstance(module, Attention):
                nn.init.zeros_(module.out.weight)
        nn.init.zeros_(self.conv_out.weight)
        if self.leap:
            self.leap.initialize_weights()
            nn.init.zeros_(self.guide_out.weight)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        embedding, mask, leap = condition
        meaning = self.time(t) + self.meaning_in(mean_word(embedding, mask))  # (B, features)
        if self.leap:
            meaning = meaning + self.leap(leap)
        words = F.silu(meaning), embedding, mask
        x = self.conv_in(x_t.contiguous(memory_format=torch.channels_last))  # (B, 128, 8, 8)
        seen = []
        for blocks, shrink in zip(self.down, [*self.shrink, nn.Identity()], strict=True):
            for block in blocks:
                x = block(x, *words)
                seen.append(x)
            x = shrink(x)
        x = self.middle(x, *words)  # (B, 192, 4, 4)
        for grow, blocks in zip([nn.Identity(), *self.grow], self.up, strict=True):
            x = grow(x)
            for block in blocks:
                x = block(torch.cat([x, seen.pop()], dim=1), *words)
        x = F.silu(self.norm_out(x))
        out = self.conv_out(x)  # (B, 8, 8, 8)
        return guided(out, self.guide_out(x), leap) if self.leap else out
