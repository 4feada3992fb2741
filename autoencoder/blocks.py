"""The blocks of all networks over glyphs, and the trunk of those that read them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autoencoder.pretrained import check_bounds


class ChannelNorm(nn.Module):
    """RMS normalisation over the channels of each position, `(B, C, H, W)` to the same.

    Statistics never cross positions, so images of any size, and all their parts, are treated alike
    (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6)
        return x * scale * self.weight[:, None, None]


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel alone, `(B, C, H, W)` to the same.

    On a CPU it stays in float32 under autocast, whose bfloat16 kernels are slower there.
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

    A wide depthwise convolution and two pointwise ones; at equal cost it learns glyphs faster than
    a pair of 3×3 convolutions (Liu et al. 2022, https://arxiv.org/abs/2201.03545). Networks start
    its last convolution at zero, so that a deep stack starts as the identity.
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


@dataclass(frozen=True)
class TrunkConfig:
    """Settings of the trunk of a reader.

    Attributes:
        image_size: height and width of a glyph, in pixels.
        stem: pixels on a side of the patch folded into channels at the first layer.
        widths: channels at each resolution, finest first; each halves the one before.
        blocks: residual blocks at each of those resolutions.
    """

    image_size: int = 128
    stem: int = 8
    widths: tuple[int, ...] = (128, 192)
    blocks: tuple[int, ...] = (2, 3)

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no trunk."""
        check_bounds(self)
        if not len(self.widths) == len(self.blocks) > 0:
            raise ValueError("widths and blocks must be of one length")
        if min(self.stem, self.image_size, *self.widths) < 1:
            raise ValueError("the sizes of a reader must be at least 1")
        if min(self.blocks) < 0:
            raise ValueError("blocks must be at least 0")
        if self.image_size % self.factor:
            raise ValueError(f"image_size {self.image_size} does not halve often enough")

    @property
    def factor(self) -> int:
        """How much smaller than a glyph, on a side, the last grid is."""
        return self.stem * 2 ** len(self.widths)

    @property
    def cells(self) -> int:
        """Numbers in the last grid."""
        return self.widths[-1] * (self.image_size // self.factor) ** 2


def trunk(config: TrunkConfig) -> nn.Sequential:
    """The layers from glyphs `(B, 1, H, W)` to the last grid `(B, widths[-1], H/f, W/f)`."""
    layers: list[nn.Module] = [Down(1, config.widths[0], config.stem, kernel=3)]
    for width, wider, blocks in zip(
        config.widths, (*config.widths[1:], config.widths[-1]), config.blocks, strict=True
    ):
        layers += [ResidualBlock(width) for _ in range(blocks)]
        layers += [ChannelNorm(width), Down(width, wider)]
    for layer in layers:
        if isinstance(layer, ResidualBlock):
            nn.init.zeros_(layer.contract.weight)
            nn.init.zeros_(layer.contract.bias)
    return nn.Sequential(*layers)
