"""A prompt: words, and behind them, perhaps, where the parts of the character are to stand.

"fish; top-bottom" asks for a fish whose parts stand one above the other. Words and layout are
embedded each by itself, and the tokens of one follow those of the other, so that a denoiser meets
the same layouts behind whatever words there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LAYOUTS = ("left-right", "top-bottom", "enclosed")
_PLACED = re.compile(rf"(?P<words>.*\S)\s*;\s*(?P<layout>{'|'.join(LAYOUTS)})\s*", re.DOTALL)


@dataclass(frozen=True)
class Prompt:
    """Words, and the layout behind them; `str` of it is what `parse` takes.

    Attributes:
        words: English.
        layout: one of `LAYOUTS`, or "".
    """

    words: str
    layout: str = ""

    @classmethod
    def parse(cls, text: str) -> Prompt:
        """The prompt that a text says; without a layout at its end, all of it are words."""
        match = _PLACED.fullmatch(text)
        return cls(**match.groupdict()) if match else cls(text)

    @property
    def texts(self) -> list[str]:
        """The words and the layout, as they are embedded."""
        return [self.words, self.layout] if self.layout else [self.words]

    def __str__(self) -> str:
        return "; ".join(self.texts)
