"""The readers: which of the 214 radicals a glyph has, and which of the commonest parts.

They evaluate what is drawn and take no part in drawing. Radicals are Kangxi numbers, so traditional
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
class HeadConfig(TrunkConfig):
    """Settings of any reader.

    Attributes:
        features: width of the layer before the last.
        dropout: of the features.
    """

    features: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no reader."""
        super().__post_init__()
        if self.features < 1:
            raise ValueError("the sizes of a reader must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout of {self.dropout}: take 0 or more, and less than 1")


@dataclass(frozen=True)
class ReaderConfig(HeadConfig):
    """Settings of a `RadicalReader`, saved as `config.json` beside its weights.

    Attributes:
        radicals: number of classes.
    """

    radicals: int = 214

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no reader."""
        super().__post_init__()
        if self.radicals < 1:
            raise ValueError("the sizes of a reader must be at least 1")


@dataclass(frozen=True)
class PartReaderConfig(HeadConfig):
    """Settings of a `PartReader`, saved as `config.json` beside its weights.

    Attributes:
        parts: what it looks for, each a character and the other forms that count as it, with
            spaces between: "水氵氺 里".
        threshold: the least probability of a part that is there.
    """

    features: int = 192
    parts: str = "口"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no reader."""
        super().__post_init__()
        forms = self.parts.replace(" ", "")
        if not forms or len(set(forms)) < len(forms):
            raise ValueError("parts must be at least one, and no form in two of them")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold of {self.threshold}: take a probability between 0 and 1")


class Reader(Pretrained):
    """Glyphs `(B, 1, 128, 128)` in [0, 1], 1 = ink, to a logit of each class.

    Each cell of the last grid has weights of its own, since a radical is known by where it stands:
    月 at the left is flesh more often than moon.
    """

    def __init__(self, config: HeadConfig, classes: int) -> None:
        super().__init__(config)
        self.layers = trunk(config)
        self.gather = nn.Linear(config.cells, config.features)
        self.decide = nn.Linear(config.features, classes)

    def features(self, glyphs: Tensor) -> Tensor:
        """Glyphs `(B, 1, 128, 128)` to what the classes are decided by, `(B, 128)`."""
        x = self.layers(glyphs)  # (B, 192, 4, 4)
        return F.silu(self.gather(rearrange(x, "b c h w -> b (c h w)")))  # (B, 128)

    def forward(self, glyphs: Tensor) -> Tensor:
        features = F.dropout(self.features(glyphs), self.config.dropout, self.training)
        return self.decide(features)  # (B, classes)


class RadicalReader(Reader):
    """Glyphs to logits of the radicals `(B, 214)`, and features to compare glyphs by."""

    config_class = ReaderConfig
    bundled = Path(__file__).parents[1] / "weights" / "reader"

    def __init__(self, config: ReaderConfig | None = None) -> None:
        config = config or ReaderConfig()
        super().__init__(config, config.radicals)

    @torch.no_grad()
    def read(self, glyphs: Tensor, batch_size: int = 128) -> tuple[Tensor, Tensor, Tensor]:
        """Radicals, 1 to 214, and their probabilities, `(B,)` each, and features `(B, 128)`."""
        features = torch.cat([self.features(batch) for batch in glyphs.split(batch_size)])
        probability, radical = self.decide(features).softmax(dim=1).max(dim=1)
        return radical + 1, probability, features


class PartReader(Reader):
    """Glyphs to logits of the parts that they may have `(B, parts)`, any number at once."""

    config_class = PartReaderConfig
    bundled = Path(__file__).parents[1] / "weights" / "part_reader"

    def __init__(self, config: PartReaderConfig | None = None) -> None:
        config = config or PartReaderConfig()
        super().__init__(config, len(config.parts.split()))
        self._places = {c: i for i, forms in enumerate(config.parts.split()) for c in forms}

    def place(self, form: str) -> int | None:
        """Where among the classes a part is, by any of its forms; None for one that is in none."""
        return self._places.get(form)

    @torch.no_grad()
    def read(self, glyphs: Tensor, batch_size: int = 128) -> Tensor:
        """Which parts the glyphs have, `(B, parts)` bool."""
        logits = torch.cat([self(batch) for batch in glyphs.split(batch_size)])
        return logits.sigmoid() >= self.config.threshold
