"""Sixty everyday words that no training caption has, and the radicals a scribe could give each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from conditioning.radicals import RADICALS

TABLE = Path(__file__).with_name("words.tsv")


def load_words() -> dict[str, frozenset[int]]:
    """Each word with the numbers of its radicals, which `words.tsv` gives by their forms.

    They were chosen by hand before the model was trained, not by what any model drew.
    """
    numbers = {form: radical.number for radical in RADICALS for form in radical.forms}
    pairs = (line.split("\t") for line in TABLE.read_text("utf-8").splitlines())
    return {word: frozenset(numbers[form] for form in forms) for word, forms in pairs}


def mentions(words: Iterable[str]) -> Callable[[str], bool]:
    """Whether a text holds one of `words`, or a word that begins with it, as "swimmers" does."""
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + ")", re.IGNORECASE)
    return lambda text: bool(pattern.search(text))
