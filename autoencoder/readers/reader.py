"""The reader of radicals: which of the 214 a glyph has, and features to compare glyphs by.

It evaluates what is drawn and takes no part in drawing. Radicals are Kangxi numbers, so traditional
and simplified forms, 釒 and 钅, count alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autoencoder.blocks import TrunkConfig, trunk
from autoencoder.pretrained import Pretrained


@dataclass(frozen=True)
class ReaderConfig(TrunkConfig):
    """Settings of a `RadicalReader`, saved as `config.json` beside its weights.

    Attributes:
        radicals: number of classes.
        features: width of the layer before the last, which distances are measured in.
        dropout: of the features.
    """

    radicals: int = 214
    features: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no reader."""
        super().__post_init__()
        if min(self.radicals, self.features) < 1:
            raise ValueError("the sizes of a reader must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout of {self.dropout}: take 0 or more, and less than 1")


class RadicalReader(Pretrained):
    """Glyphs `(B, 1, 128, 128)` in [0, 1], 1 = ink, to logits of the radicals `(B, 214)`.

    Each cell of the last grid has weights of its own, since a radical is known by where it stands:
    月 at the left is flesh more often than moon.
    """

    config_class = ReaderConfig
    bundled = Path(__file__).parents[1] / "weights" / "reader"

    def __init__(self, config: ReaderConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        self.layers = trunk(config)
        self.gather = nn.Linear(config.cells, config.features)
        self.decide = nn.Linear(config.features, config.radicals)

    def features(self, glyphs: Tensor) -> Tensor:
        """Glyphs `(B, 1, 128, 128)` to what the radical is decided by, `(B, 128)`."""
        x = self.layers(glyphs)  # (B, 192, 4, 4)
        return F.silu(self.gather(rearrange(x, "b c h w -> b (c h w)")))  # (B, 128)

    def forward(self, glyphs: Tensor) -> Tensor:
        features = F.dropout(self.features(glyphs), self.config.dropout, self.training)
        return self.decide(features)  # (B, 214)

    @torch.no_grad()
    def read(self, glyphs: Tensor, batch_size: int = 128) -> tuple[Tensor, Tensor, Tensor]:
        """Radicals, 1 to 214, and their probabilities, `(B,)` each, and features `(B, 128)`."""
        features = torch.cat([self.features(batch) for batch in glyphs.split(batch_size)])
        probability, radical = self.decide(features).softmax(dim=1).max(dim=1)
        return radical + 1, probability, features
