"""The 214 Kangxi radicals: the parts by which Chinese dictionaries are ordered.

Most characters are a radical, which hints at the meaning, beside a part that hints at the sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conditioning.prompts import normalise

TABLE = Path(__file__).with_name("radicals.tsv")


@dataclass(frozen=True)
class Radical:
    """One radical.

    Attributes:
        number: from 1 to 214.
        forms: how it is written: the traditional form, the shapes that it takes beside, above or
            below another part, and the simplified forms.
        names: English nouns for its meaning, the usual one first.
    """

    number: int
    forms: tuple[str, ...]
    names: tuple[str, ...]

    def before(self, text: str) -> str:
        """Words with the name of the radical before them: "speech; gossip"."""
        return f"{self.names[0]}; {text}"


def _parse(line: str) -> Radical:
    number, forms, names = line.split("\t")
    return Radical(int(number), tuple(forms), tuple(names.split(", ")))


RADICALS = tuple(map(_parse, TABLE.read_text("utf-8").splitlines()))


def radical(number: int) -> Radical:
    """The radical of a number from 1 to 214. Raises ValueError for any other number."""
    if not 1 <= number <= len(RADICALS):
        raise ValueError(f"there is no radical {number}: the Kangxi radicals are 1 to 214")
    return RADICALS[number - 1]


def forms(number: int) -> tuple[str, ...]:
    """How the radical of a number is written. Raises ValueError as `radical` does."""
    return radical(number).forms


def find_radical(text: str) -> Radical:
    """The radical of an English name, a form or a number: "speech", "言", "訁", "149".

    Of several with one name it is the one that is called so first, then the lower number. Raises
    ValueError, in one line, where there is none.
    """
    asked = normalise(text)
    if asked.isdecimal() and len(asked) <= 9:
        return radical(int(asked))
    found = [one for one in RADICALS if asked in (*one.names, *one.forms)]
    if not found:
        raise ValueError(
            f'there is no radical "{text[:40]}": name one in English, such as speech, by a form, '
            "such as 言, or by its number, 1 to 214"
        )
    return min(found, key=lambda one: asked != one.names[0])
