"""A table of numbers in eight bits: each row as whole numbers from -127 to 127, times a scale.

Half of a small T5 is its table of tokens, and what ships of ours is half as large for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 2.0**-14  # below it float16 loses digits


def to_eight_bits(table: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `(N, D)` int8 and scales `(N, 1)` float16 of a table `(N, D)`.

    The largest number of each row has the code 127 or -127, unless all of it is below 0.008. What
    `from_eight_bits` makes of them has the same codes and scales again.
    """
    scale = (table.float().abs().amax(dim=1, keepdim=True) / 127).half().clamp_min(SMALLEST)
    codes = (table.float() / scale.float()).round().clamp(-127, 127)
    return codes.to(torch.int8), scale


def from_eight_bits(codes: Tensor, scale: Tensor) -> Tensor:
    """The table, `(N, D)` float32."""
    return codes.float() * scale.float()


def rounded(table: Tensor) -> Tensor:
    """The table, `(N, D)` float32, as it comes back from eight bits."""
    return from_eight_bits(*to_eight_bits(table))
