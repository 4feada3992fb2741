"""What radicals, parts and layouts are chosen by, as plain data.

Python counts over tables of characters (`conditioning.parts`). Here is what comes of the counting,
so that a program in any language decides the same with little code. The order of lists and of the
entries of objects is part of the data.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from autoencoder.sketches import Sketcher
from conditioning import parts
from conditioning.captions import meaning
from conditioning.parts import Place
from conditioning.prompts import LAYOUTS, normalise
from conditioning.radicals import RADICALS, Radical, find_radical
from conditioning.sources.tables import read_unihan

PLACES = [(letter, first) for letter in "ads" for first in (False, True)]


@cache
def tables(sketcher: Sketcher) -> dict[str, Any]:
    """What is decided by, for the parts that a sketcher has outlines of.

    - `radicals`, from 1 to 214, each an object:
        - `forms`, and `names`, English.
        - `places`: how many characters have which form where: `[form, kind, first, count, style]`,
          where `first` is 1 for the left, upper or outer component, and `style` is 1 for a
          simplified form, 0 for another, and null where there is no such difference.
        - `rooms`: by layout, or "none" for any, the rooms that it leaves to parts: a kind and "+"
          for the first component, else the kind's first letter.
        - `exists`: by part, the characters that both are already, commonest first.
    - `parts`, by the part:
        - `places`: how many characters have it at each of six: across, down and around, each as the
          second and as the first component.
        - `shapes`: its form at each of these; absent where it is always itself.
        - `around`: if any, the kinds in which it surrounds others, and how many characters.
        - `styles`: those of radicals that it stands beside, as above.
        - `rooms`: by room, how many characters have it there, if it is drawn without being asked.
        - `readings`: in Pinyin, usual one first.
    - `places`: how many parts stand at each of the six.
    - `named`: by a name, a form or a number, the number of the radical.
    - `sounds`: by syllable and tone, 1 to 5, the parts that write it, and in how many characters.
    - `spellings`: by a sound as it may be typed, its syllable and tone, or 0 for any.
    - `meanings`: by an English word, the part that it means.
    - `glosses`: by a Chinese character, what it is read as, in English.
    - `unified`: by a character that Unicode has twice, the other one.
    """
    own = sorted(sketcher.parts)
    return {
        "radicals": [_radical(radical, own) for radical in RADICALS],
        "parts": {part: _part(part) for part in own},
        "places": [parts.all_places()[place] for place in PLACES],
        "named": _named(),
        "sounds": parts.sounds(),
        "spellings": _spellings(),
        "meanings": _meanings(),
        "glosses": _glosses(),
        "unified": {chr(point): chr(other) for point, other in parts.UNIFIED.items()},
    }


def _radical(radical: Radical, own: list[str]) -> dict[str, Any]:
    number, differ = radical.number, not parts.SIMPLIFIED.isdisjoint(radical.forms)
    places = parts.radical_places().get(number, {})
    return {
        "forms": radical.forms,
        "names": radical.names,
        "places": [
            [form, kind, int(first), count, int(form in parts.SIMPLIFIED) if differ else None]
            for (form, kind, first), count in places.items()
        ],
        "rooms": {
            layout: sorted(map(_name, parts.rooms(number, layout))) for layout in ("none", *LAYOUTS)
        },
        "exists": {part: "".join(found) for part in own if (found := parts.existing(number, part))},
    }


def _part(part: str) -> dict[str, Any]:
    places = parts.places_of(part)
    at: Counter[Place] = Counter()
    for (kind, first), count in places.items():
        at[kind[0], first] += count
    around = {kind: n for (kind, first), n in places.items() if kind[0] == "s" and first}
    styles = sorted(map(int, parts.simplified_beside().get(part) or {False}))
    rooms = {_name(room): count for room, count in parts.taken().get(part, {}).items()}
    found = {"places": [at[place] for place in PLACES], "styles": styles}
    shapes = [parts.shape_at(part, place) for place in PLACES]
    if set(shapes) != {part}:
        found["shapes"] = shapes
    if around:
        found["around"] = around
    if sum(rooms.values()) >= parts.USUAL:
        found["rooms"] = rooms
    if readings := parts.readings(part):
        found["readings"] = readings
    return found


def _name(room: Place) -> str:
    kind, first = room
    return f"{kind}+" if first else kind


def _named() -> dict[str, int]:
    numbers = (str(radical.number) for radical in RADICALS)
    names = {name for radical in RADICALS for name in (*radical.names, *radical.forms)}
    return {name: find_radical(name).number for name in (*numbers, *sorted(names))}


def _spellings() -> dict[str, tuple[str, int]]:
    found = {}
    for syllable in parts.sounds():
        for tone in range(6):
            marked = [parts.spelt(syllable, tone)] if 1 <= tone <= 4 else []
            for spelt in (*marked, f"{syllable}{tone or ''}"):
                for typed in {spelt, *(spelt.replace("ü", u) for u in ("v", "u:"))}:
                    found[typed] = syllable, tone
    return found


def _meanings() -> dict[str, str]:
    named = {word for radical in RADICALS for word in (*radical.names, str(radical.number))}
    words = sorted(named | parts.meant().keys())
    # With an article, which is left out, so that each is taken as a word.
    return {word: parts.find_part(f"the {word}") for word in words}


def _glosses() -> dict[str, str]:
    characters = {row[0] for row in read_unihan()} | {
        form for one in RADICALS for form in one.forms
    }
    alone = sorted(one for one in characters if normalise(one) == one)
    return {one: english for one in alone if (english := meaning(one))}
