"""Networks that are always called with batches of one shape, so that no row depends on another.

A matrix product of 32 rows and one of 8 may add their terms in different orders, and the same row
then comes out a little different. In batches of one shape it never does, wherever in the batch the
row stands and whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.process import Network

TOKENS = 8  # words are padded to a multiple of this many


def row_by_row(network: Network, size: int) -> Network:
    """The same denoiser, called with `size` rows at a time and words of a like length.

    A row's embedding `(N, D)` is padded, or cut where nothing is heard, to a multiple of eight
    tokens that its own mask decides.
    """

    def predict(x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        lengths = TOKENS * ((mask.sum(dim=1) + TOKENS - 1) // TOKENS).clamp_min(1)
        missing = max(0, int(lengths.max()) - mask.shape[1])
        embedding, mask = F.pad(embedding, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        out = torch.empty_like(x_t)
        for length in lengths.unique().tolist():
            of_length = (lengths == length).nonzero().flatten()
            for rows, filled in _parts(of_length, size):
                words = embedding[filled, :length], mask[filled, :length]
                out[rows] = network(x_t[filled], t[filled], *words)[: len(rows)].to(out)
        return out

    return predict


def decode_rows(decode: Callable[[Tensor], Tensor], latents: Tensor, size: int) -> Tensor:
    """`decode(latents)` of `(B, ...)`, called with `size` rows at a time."""
    every = torch.arange(len(latents), device=latents.device)
    return torch.cat([decode(latents[filled])[: len(rows)] for rows, filled in _parts(every, size)])


def _parts(rows: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows in parts of at most `size`, and each filled up to `size` with its own rows again."""
    for part in rows.split(size):
        yield part, part[torch.arange(size, device=rows.device) % len(part)]
