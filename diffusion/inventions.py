"""Characters as scribes invent them: a radical for the meaning, and a part for the sound.

When chemists needed a character for lithium, they took 金 for metal and 里 for lǐ. This decides
which radical and which part stand together, and how; it draws nothing and needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
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
from conditioning.prompts import Asked, Prompt, asked
from conditioning.radicals import RADICALS, Radical, find_radical
from diffusion.philox import Philox, Stream
from diffusion.request import AUTO, NONE, Request, conjuncts

COMPOSED, SKETCHED = 0.3, 0.5  # how far into noise: radical and part put together, and a drawing
CHOICES = 8  # radicals that are tried beside a part, and parts beside a radical
ROOMY = 0.6  # of the width of strokes: what a part that the seed draws keeps in its place
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
        sound: what the part was drawn for, as it was asked for; "" where for no sound.
    """

    caption: str
    radical: int | None = None
    part: str = ""
    arrangement: Arrangement | None = None
    time: float = 1.0
    fixed: bool = False
    sound: str = ""

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


def choose(weights: Mapping[T, float], seed: int, stream: Stream, turn: int = 0) -> T:
    """One of several, by its weight, with a number of a `Philox`."""
    chances = np.cumsum(list(weights.values()))
    draw = Philox(seed, stream, turn).random() * chances[-1]
    return list(weights)[min(int((chances <= draw).sum()), len(weights) - 1)]


def ways(radical: int, part: str, layout: str = NONE) -> dict[Arrangement, float]:
    """The arrangements of a radical and a part for which there are outlines, with weights."""
    can = sketcher().can
    found = arrangements(radical, part, layout)
    return {way: w for way, w in found.items() if can(way.kind, way.first, way.second)}


@cache
def fitting_parts(radical: int, sound: str, layout: str = NONE) -> dict[str, int]:
    """Parts that can stand beside a radical, of a sound or any for "", with their numbers of uses.

    None whose pair with the radical is a character already, unless all are.
    """
    parts = parts_of_sound(sound) if sound else usual_parts(radical, layout)
    fitting = {part: count for part, count in parts.items() if ways(radical, part, layout)}
    new = {part: count for part, count in fitting.items() if not existing(radical, part)}
    return new or fitting


def place(
    radical: int, parts: Mapping[str, float], layout: str, seed: int
) -> tuple[str, Arrangement] | None:
    """One of some parts for a radical, and how both stand; None where no part can.

    Of several that the seed draws, it is the first whose strokes have room, or else the last.
    """
    found = None
    for turn in range(CHOICES if parts else 0):
        part = choose(parts, seed, Stream.PART, turn)
        if fitting := ways(radical, part, layout):
            found = part, choose(fitting, seed, Stream.ARRANGEMENT, turn)
            if len(parts) == 1 or sketcher().room(*found[1][:3]) >= ROOMY:
                break
    return found


def check_part(text: str, radical: str = AUTO, layout: str = NONE) -> str:
    """The part that a text names.

    Raises ValueError, in one line, for one without an outline, or that never stands beside a given
    radical so.
    """
    part = find_part(text)
    if not sketcher().knows(part):
        raise ValueError(f"there is no outline of {part}: name another part, such as 里")
    if radical != AUTO and not ways(find_radical(radical).number, part, layout):
        raise ValueError(cannot_stand(find_radical(radical), part, layout))
    return part


def check_sound(sound: str, radical: str = AUTO, layout: str = NONE) -> None:
    """Raises ValueError, in one line, for a sound that no part beside a given radical writes."""
    parts_of_sound(sound)
    if radical != AUTO and not fitting_parts(find_radical(radical).number, sound, layout):
        raise ValueError(cannot_stand(find_radical(radical), f"a part read {sound}", layout))


def cannot_stand(radical: Radical, part: str, layout: str) -> str:
    """What to say where a radical and a part have no way to stand."""
    placed = "" if layout == NONE else f" {layout}"
    other = "another layout, part or radical" if placed else "another part or radical"
    return f"{radical.forms[0]} ({radical.names[0]}) and {part} never stand{placed}: try {other}"


class Inventor:
    """Decides what each glyph of a request is made of.

    Args:
        request: what is asked for.
        choose_radical: gives the radical of words for a seed and a turn, as a prior does; None
            where there is no prior.
    """

    def __init__(
        self, request: Request, choose_radical: Callable[[str, int, int], Radical] | None
    ) -> None:
        self.request, self.choose_radical = request, choose_radical

    def __call__(self, text: str, seed: int, attempt: int | None = None) -> Invention:
        """The invention of a text.

        The seed draws the radical, and `attempt`, by default the seed too, a part where none is
        given. Raises ValueError, in one line, for a part that no radical can stand beside.
        """
        request, attempt = self.request, seed if attempt is None else attempt
        line = asked(text)
        if request.sketch is not None:
            return Invention(self.caption(line.text, seed), time=self.time(SKETCHED), fixed=True)
        if not (line.part or line.sound):
            line = line._replace(part=request.own_part, sound=request.sound or "")
        found = self.of_sides(line.text, seed) or self.with_part(line, seed, attempt)
        return found or Invention(self.caption(line.text, seed))

    def caption(self, text: str, seed: int) -> str:
        """A text as the denoiser is conditioned on it: "speech; gossip".

        In each part around `AND`, the name of a radical comes first and a layout last.
        """

        def caption(side: str) -> str:
            prompt = Prompt.parse(side)
            radical = next(self.radicals(prompt.words, seed), None)
            words = radical.before(prompt.words) if radical else prompt.words
            layout = prompt.layout or self.request.layout
            return str(Prompt(words, "" if layout == NONE else layout))

        return " AND ".join(map(caption, conjuncts(text)))

    def of_sides(self, text: str, seed: int) -> Invention | None:
        """A radical of one side of `AND` and a part of the other, where they are that."""
        request = self.request
        if request.conjunction != "compose" or request.radical != AUTO:
            return None
        if (found := composed(conjuncts(text), seed)) is None:
            return None
        radical, part, words = found
        if not (fitting := ways(radical.number, part, request.layout)):
            return None
        way = choose(fitting, seed, Stream.ARRANGEMENT)
        caption, time = radical.before(Prompt.parse(words).words), self.time(COMPOSED)
        return Invention(caption, radical.number, part, way, time, fixed=True)

    def with_part(self, line: Asked, seed: int, attempt: int) -> Invention | None:
        """Words with a part beside their radical: the one asked for, or one that is drawn.

        None where there is to be none, or none stands beside the radical so.
        """
        prompt = Prompt.parse(line.text)
        layout = prompt.layout or self.request.layout
        given, placed = line.part or line.sound, layout != NONE
        drawn = (placed or self.request.part == AUTO) and len(conjuncts(line.text)) == 1
        if not (given or drawn):
            return None
        part, radical = check_part(line.part) if line.part else "", None
        # The prior's first choice gives way to what is asked for, and to nothing else.
        for radical in islice(self.radicals(prompt.words, seed), None if given or placed else 1):
            parts = {part: 1} if part else fitting_parts(radical.number, line.sound, layout)
            if stand := place(radical.number, parts, layout, attempt):
                caption, time = radical.before(prompt.words), self.time(COMPOSED)
                return Invention(caption, radical.number, *stand, time, bool(part), line.sound)
        if given and radical is None:
            raise ValueError("this model has no prior: name a radical for the part to stand beside")
        if given:
            raise ValueError(cannot_stand(radical, part or f"a part read {line.sound}", layout))
        return None

    def radicals(self, words: str, seed: int) -> Iterator[Radical]:
        """The radical asked for, or some that the prior chooses, the seed's own first, or none."""
        if self.request.radical not in (AUTO, NONE):
            yield find_radical(self.request.radical)
        elif self.request.radical == AUTO and self.choose_radical:
            for turn in range(CHOICES):
                yield self.choose_radical(words, seed, turn)

    def time(self, default: float) -> float:
        """How far a sketch goes into noise."""
        return default if self.request.time is None else self.request.time


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
        number, part = choose(pairing(*numbers), seed, Stream.ROLES)
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
