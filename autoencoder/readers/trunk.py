"""The trunk of the two networks that look at glyphs and draw none."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from autoencoder.blocks import ChannelNorm, Down, ResidualBlock
from autoencoder.pretrained import check_bounds


@dataclass(frozen=True)
class TrunkConfig:
    """Settings of a trunk.

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
    """The layers from glyphs `(B, 1, H, W)` to the last grid `(B, widths[-1], H/f, W/f)`.

    PyTorch's own initial weights, but residual branches start at zero: a block is the identity.
    """
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
