"""The pieces both halves of the autoencoder are built from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """RMS normalisation over the channels of each position, `(B, C, H, W)` to the same.

    Statistics never cross positions, so an autoencoder built on it treats an image of any size,
    and any part of an image, alike (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6)
        return x * scale * self.weight[:, None, None]


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel by itself, `(B, C, H, W)` to the same.

    On a CPU it stays in float32 under autocast, whose bfloat16 kernels are the slower ones there.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class ResidualBlock(nn.Module):
    """A ConvNeXt block beside an identity, `(B, C, H, W)` to the same.

    A wide depthwise convolution looks around, two pointwise ones think; at equal cost it learns
    glyphs faster than a pair of 3×3 convolutions (Liu et al. 2022,
    https://arxiv.org/abs/2201.03545). The last convolution starts at zero, so that a deep stack
    starts as the identity.
    """

    def __init__(self, channels: int, kernel: int = 5, expansion: int = 3) -> None:
        super().__init__()
        hidden = expansion * channels
        self.look = DepthwiseConv(channels, kernel)
        self.norm = ChannelNorm(channels)
        self.expand = nn.Conv2d(channels, hidden, 1)
        self.contract = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.look(x))
        return x + self.contract(F.silu(self.expand(h)))


class Down(nn.Module):
    """Space to depth: `(B, C, H, W)` to `(B, D, H/f, W/f)`, every pixel kept (arXiv:1609.05158)."""

    def __init__(self, channels: int, out_channels: int, factor: int = 2, kernel: int = 1) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(channels * factor**2, out_channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        f = self.factor
        x = rearrange(x, "b c (h p) (w q) -> b (c p q) h w", p=f, q=f)
        return self.conv(x)


class Up(nn.Module):
    """Depth to space: `(B, C, H, W)` to `(B, D, fH, fW)`, the mirror of `Down`."""

    def __init__(self, channels: int, out_channels: int, factor: int = 2, kernel: int = 1) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(channels, out_channels * factor**2, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        f = self.factor
        x = self.conv(x)
        return rearrange(x, "b (c p q) h w -> b c (h p) (w q)", p=f, q=f)
