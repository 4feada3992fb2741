"""What a denoiser is told besides the time."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Condition(NamedTuple):
    """Words, and for a flow map its leap, for each of B latents.

    Attributes:
        embedding: of the words, `(B, N, D)`.
        mask: `(B, N)` bool, True = a real token, at least one a row.
        leap: `(B, 2)`, how far in time the network goes at once, in [0, 1], and the scale of the
            guidance, in [1, 8]; None for a denoiser that is no flow map.
    """

    embedding: Tensor
    mask: Tensor
    leap: Tensor | None = None

    def rows(self, rows: Tensor | list[int] | slice) -> Condition:
        """That of some of the latents."""
        return Condition(*(None if each is None else each[rows] for each in self))

    def of_length(self, tokens: int) -> Condition:
        """The same with `tokens` places for words, padded, or cut where there is only padding.

        Rows lie in memory as if they had never been longer: products of others may round otherwise.
        """
        more = tokens - self.mask.shape[1]
        embedding, mask = F.pad(self.embedding, (0, 0, 0, more)), F.pad(self.mask, (0, more))
        return self._replace(embedding=embedding.contiguous(), mask=mask.contiguous())

    def joined(self, other: Condition) -> Condition:
        """That of these latents and of others, padded to one length, both with leaps or none."""
        tokens = max(self.mask.shape[1], other.mask.shape[1])
        both = zip(self.of_length(tokens), other.of_length(tokens), strict=True)
        return Condition(*(None if a is None else torch.cat([a, b]) for a, b in both))
