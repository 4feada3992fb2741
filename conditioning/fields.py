"""Fields of a prompt: what can stand behind its words, and says how to draw instead of what.

"fish; top-bottom" asks for a fish whose parts stand one above the other. A field is embedded by
itself, and its tokens follow those of the words, so that a denoiser meets the same ones behind
whatever words there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LAYOUTS = ("left-right", "top-bottom", "enclosed")
_FIELD = re.compile(rf"(?P<words>.*\S)\s*;\s*(?P<layout>{'|'.join(LAYOUTS)})\s*", re.DOTALL)


@dataclass(frozen=True)
class Prompt:
    """Words, and the field behind them; `str` of it is what `parse` takes.

    Attributes:
        words: English.
        layout: one of `LAYOUTS`, or "".
    """

    words: str
    layout: str = ""

    @classmethod
    def parse(cls, text: str) -> Prompt:
        """The prompt that a text says; without a layout at its end, all of it are words."""
        match = _FIELD.fullmatch(text)
        return cls(**match.groupdict()) if match else cls(text)

    @property
    def texts(self) -> list[str]:
        """The words and the field, as they are embedded."""
        return [self.words, self.layout] if self.layout else [self.words]

    def __str__(self) -> str:
        return "; ".join(self.texts)
