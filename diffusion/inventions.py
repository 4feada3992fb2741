"""Characters as scribes invent them: a radical for the meaning, and a part for the sound.

When chemists needed a character for lithium, they took 金 for metal and 里 for lǐ. This decides
which radical and which part stand together, and how; it draws nothing and needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from autoencoder.sketches import Sketcher
from conditioning.parts import (
    Arrangement,
    arrangements,
    existing,
    find_part,
    pairing,
    parts_of_sound,
    usual_parts,
)
from conditioning.radicals import RADICALS, Radical, find_radical

ANY = "none"  # of layouts
ARRANGEMENT, PART, ROLES, SKETCH = range(4)  # what a seed decides, apart from radical and noise
T = TypeVar("T")


@dataclass(frozen=True)
class Invention:
    """What a glyph is made of.

    Attributes:
        caption: what the denoiser is conditioned on, "metal; lithium".
        radical: its number, or None where words alone decide.
        part: what stands beside it; "" where that is left to chance.
        arrangement: how both stand; None where that is left to chance.
        time: how far its sketch goes into noise; 1 without one.
        fixed: whether it is all that was asked for, so that another attempt would be no other.
    """

    caption: str
    radical: int | None = None
    part: str = ""
    arrangement: Arrangement | None = None
    time: float = 1.0
    fixed: bool = False

    @property
    def form(self) -> str:
        """How the radical is written, as far as that is known: 金 of 鋰."""
        if self.arrangement is None:
            return ""
        return self.arrangement.first if self.arrangement.radical_first else self.arrangement.second

    @property
    def existing(self) -> tuple[str, ...]:
        """The characters that radical and part are already, commonest first."""
        return existing(self.radical, self.part) if self.radical and self.part else ()


@cache
def sketcher() -> Sketcher:
    """The outlines of parts that ship."""
    return Sketcher.load()


def choose(weights: Mapping[T, float], seed: int, turn: int) -> T:
    """One of several, by its weight; `turn` tells apart what one seed decides."""
    chances = np.cumsum(list(weights.values()))
    draw = np.random.default_rng([seed, turn]).random() * chances[-1]
    return list(weights)[min(int((chances <= draw).sum()), len(weights) - 1)]


def ways(radical: int, part: str, layout: str = ANY) -> dict[Arrangement, float]:
    """The arrangements of a radical and a part for which there are outlines, with weights."""
    can = sketcher().can
    found = arrangements(radical, part, layout)
    return {way: w for way, w in found.items() if can(way.kind, way.first, way.second)}


@cache
def fitting_parts(radical: int, sound: str, layout: str = ANY) -> dict[str, int]:
    """Parts that can stand beside a radical, of a sound or any for "", with their numbers of uses.

    None whose pair with the radical is a character already, unless all are.
    """
    parts = parts_of_sound(sound) if sound else usual_parts(radical, layout)
    fitting = {part: count for part, count in parts.items() if ways(radical, part, layout)}
    new = {part: count for part, count in fitting.items() if not existing(radical, part)}
    return new or fitting


def check_part(text: str, radical: str = "auto", layout: str = ANY) -> str:
    """The part that a text names.

    Raises ValueError, in one line, for one without an outline, or that never stands beside a given
    radical so.
    """
    part = find_part(text)
    if not sketcher().knows(part):
        raise ValueError(f"there is no outline of {part}: name another part, such as 里")
    if radical != "auto" and not ways(find_radical(radical).number, part, layout):
        raise ValueError(cannot_stand(find_radical(radical), part, layout))
    return part


def check_sound(sound: str, radical: str = "auto", layout: str = ANY) -> None:
    """Raises ValueError, in one line, for a sound that no part beside a given radical writes."""
    parts_of_sound(sound)
    if radical != "auto" and not fitting_parts(find_radical(radical).number, sound, layout):
        raise ValueError(cannot_stand(find_radical(radical), f"a part read {sound}", layout))


def cannot_stand(radical: Radical, part: str, layout: str) -> str:
    """What to say where a radical and a part have no way to stand."""
    placed = "" if layout == ANY else f" {layout}"
    other = "another layout, part or radical" if placed else "another part or radical"
    return f"{radical.forms[0]} ({radical.names[0]}) and {part} never stand{placed}: try {other}"


def composed(sides: Sequence[str], seed: int) -> tuple[Radical, str, str] | None:
    """Radical, part and words of "sickness AND fire", where one side names a radical.

    Which is which follows real characters; where both ways are usual, the seed decides. None where
    the sides are no radical and part.
    """
    if len(sides) != 2:
        return None
    numbers = [_named(side) for side in sides]
    if all(numbers):
        if numbers[0] == numbers[1]:
            return None
        number, part = choose(pairing(*numbers), seed, ROLES)
        return RADICALS[number - 1], part, sides[number == numbers[0]]
    if not any(numbers):
        return None
    first = bool(numbers[0])
    try:
        part = check_part(sides[first])
    except ValueError:
        return None
    return RADICALS[max(filter(None, numbers)) - 1], part, sides[first]


def _named(words: str) -> int | None:
    """The number of the radical that words name, or None."""
    try:
        return find_radical(words).number
    except ValueError:
        return None
