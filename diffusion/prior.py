"""The prior: which radical a scribe would give to what the words mean.

As in unCLIP (Ramesh et al. 2022, section 2.2, arXiv:2204.06125), two models share the work,

    p(glyph | words) = sum over radicals of p(glyph | radical, words) p(radical | words),

and the second is so small that it learns in seconds what the denoiser is slow to learn: that a
penguin is a bird. The denoiser knows radicals by their names, so it is conditioned on
"bird; penguin". The radical is drawn from

    (p(radical | words) ** 2 / p(radical)) ** 3,

where the inner part is, up to a factor of the words, p(radical | words) p(words | radical). The
power sharpens; without the quotient it would make common radicals commoner still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autoencoder.pretrained import Pretrained, check_bounds
from diffusion.philox import Philox, Stream

SHARPNESS, BALANCE = 6.0, 3.0


@dataclass(frozen=True)
class PriorConfig:
    """Settings of a `RadicalPrior`, saved as `config.json` beside its weights.

    Attributes:
        text_width: of the embeddings.
        hidden: width between the two layers.
        radicals: how many there are to choose from.
        dropout: part of the hidden layer left out at each step of training.
        text_encoder: fingerprint of the text encoder whose embeddings it reads.
    """

    text_width: int = 384
    hidden: int = 768
    radicals: int = 214
    dropout: float = 0.7
    text_encoder: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no prior."""
        check_bounds(self)
        if min(self.text_width, self.hidden, self.radicals) < 1:
            raise ValueError("the sizes of a prior must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout of {self.dropout}: take 0 or more, and less than 1")


class RadicalPrior(Pretrained):
    """Pooled embeddings of texts `(B, D)` to logits of the radicals `(B, 214)`.

    Attributes:
        log_frequency: `log p(radical)` of the glyphs that it learnt from `(214,)`.
    """

    config_class = PriorConfig
    bundled = Path(__file__).parent / "weights" / "prior"
    log_frequency: Tensor

    def __init__(self, config: PriorConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        self.layers = nn.Sequential(
            nn.Linear(config.text_width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.radicals),
        )
        alike = torch.full((config.radicals,), -math.log(config.radicals))
        self.register_buffer("log_frequency", alike)

    def forward(self, pooled: Tensor) -> Tensor:
        return self.layers(pooled)

    @torch.no_grad()
    def probabilities(self, pooled: Tensor, sharpness: float = 1.0, balance: float = 0.0) -> Tensor:
        """`p(radical | words) ** sharpness / p(radical) ** balance`, normalised.

        Pooled embeddings `(B, D)` give `(B, 214)`. The quotient is logit adjustment (Menon et al.
        2021, section 4, arXiv:2007.07314).
        """
        logits = sharpness * self(pooled.to(self.layers[0].weight)).log_softmax(dim=1)
        return (logits - balance * self.log_frequency).softmax(dim=1)

    def choose(
        self,
        pooled: Tensor,
        seed: int,
        turn: int = 0,
        sharpness: float = SHARPNESS,
        balance: float = BALANCE,
    ) -> int:
        """A radical, 1 to 214, drawn with a seed from the `probabilities` for one text `(D,)`.

        At each turn the seed draws another time.
        """
        chances = self.probabilities(pooled[None], sharpness, balance)[0].cpu().cumsum(dim=0)
        draw = Philox(seed, Stream.RADICAL, turn).random()
        return 1 + min(int((chances <= draw).sum()), len(chances) - 1)
