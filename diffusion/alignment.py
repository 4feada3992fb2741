"""Representation alignment: denoising with an eye on what another network sees in clean glyphs.

A denoiser has to find out by itself what glyphs are made of. A network that tells characters apart
knows already, and a layer half way through the denoiser is taught to say, of a noisy latent, what
that network saw in the clean glyph (REPA, Yu et al. 2025, equation 8, arXiv:2410.06940).
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class Alignment(nn.Module):
    """A head from the cells of a denoiser to another network's features, thrown away in the end.

    Args:
        width: features of a cell of the denoiser.
        features: channels of the other network's grid.
        hidden: width between the two layers.
    """

    def __init__(self, width: int, features: int, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, features)
        )

    def forward(self, cells: Tensor, features: Tensor) -> Tensor:
        """One minus the cosine of what is told and what was seen, 0 to 2, averaged: a scalar.

        `cells` `(B, L, width)` are those of a square grid; the `features` `(B, C, H, W)` are
        brought to it. What all glyphs of a batch share says nothing, and is taken off first.
        """
        size = round(cells.shape[1] ** 0.5)
        features = F.adaptive_avg_pool2d(features - features.mean((0, 2, 3), keepdim=True), size)
        seen = rearrange(features, "b c h w -> b (h w) c")
        return 1 - F.cosine_similarity(self.layers(cells).float(), seen, dim=-1).mean()
