"""What is written under a glyph."""

from __future__ import annotations

from functools import cache

from torch import Tensor

from autoencoder.readers.reader import RadicalReader
from conditioning.radicals import radical


@cache
def _reader() -> RadicalReader:
    return RadicalReader.from_pretrained()


def radicals_seen(glyphs: Tensor) -> list[str]:
    """The radical that the reader sees in each of glyphs `(B, 1, 128, 128)`: "water 91%"."""
    numbers, sure, _ = _reader().read(glyphs.cpu())
    pairs = zip(numbers.tolist(), sure.tolist(), strict=True)
    return [f"{radical(number).names[0]} {share:.0%}" for number, share in pairs]
