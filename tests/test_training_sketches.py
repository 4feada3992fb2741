"""Sketches of training glyphs: crude but true, always the same, and never of a hidden part."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from autoencoder.batches import generator_of
from autoencoder.data.glyphs import record
from autoencoder.readers.recognizer import Recognizer
from conditioning.parts import compositions
from diffusion.training import sketches
from diffusion.training.sketches import (
    SHARES,
    VARIANTS,
    composed,
    copied,
    may_be_shown,
    parts_of,
    sketches_of,
)


def test_sketches_are_those_of_their_place_and_each_is_another(draw):
    (glyph,) = draw("鋰")
    found = sketches_of(glyph, "鋰", 5)
    assert found.shape == (VARIANTS, 1, 128, 128) and 0 <= found.min() < found.max() <= 1
    assert found.equal(sketches_of(glyph, "鋰", 5))
    every = [glyph, *found, *sketches_of(glyph, "鋰", 6)]
    assert len({one.numpy().tobytes() for one in every}) == len(every)


@pytest.mark.parametrize("character", ["鋰", "一", ""])
def test_kinds_come_as_often_as_their_shares_where_there_are_parts(character, monkeypatch):
    monkeypatch.setattr(sketches, "copied", lambda glyphs, generator: torch.zeros_like(glyphs))
    monkeypatch.setattr(
        sketches,
        "composed",
        lambda whole, size, generator, alone: torch.full((1, size, size), 1.0 + alone),
    )
    found = torch.cat([sketches_of(torch.ones(1, 2, 2), character, i) for i in range(500)])
    counts = Counter(found[:, 0, 0, 0].tolist())
    shares = [counts[kind] / len(found) for kind in (1, 2, 0)]
    assert shares == (
        pytest.approx([*SHARES.values()], abs=0.05) if character == "鋰" else [0, 0, 1]
    )


def test_crude_ones_are_still_read_as_their_character(draw):
    recognizer, characters = Recognizer.from_pretrained(), "鋰清草病"
    hand = copied(draw(characters).repeat(3, 1, 1, 1), generator_of(1))
    parts = [
        composed(compositions()[one], 128, generator_of(2, i), alone=False)
        for i, one in enumerate(3 * characters)
    ]
    for glyphs in (hand, torch.stack(parts)):
        read = [match.character for match in recognizer.match(recognizer.embed(glyphs))]
        right = sum(a == b for a, b in zip(read, 3 * characters, strict=True))
        assert right >= 8, read


def test_a_part_alone_is_one_of_the_two():
    whole = compositions()["鋰"]
    cut = set()
    for i in range(6):
        both, one = (composed(whole, 64, generator_of(i), alone) for alone in (False, True))
        assert (one <= both).all() and 0.1 < one.sum() / both.sum() < 0.9
        cut.add(bool(one[..., :20].sum() > both[..., :20].sum() / 2))
    assert cut == {True, False}


def test_what_has_a_hidden_part_at_any_depth_is_never_shown(monkeypatch):
    assert parts_of("薶") and {"貍", "里", "艹"} <= set(parts_of("薶"))
    able = Counter(may_be_shown(record(one, 1, 1, "")) for one in compositions())
    assert 0.05 < able[False] / able.total() < 0.25
    assert not any(may_be_shown(record(one, 1, 1, "")) for one in sketches.hidden_parts())
    monkeypatch.setattr(sketches, "hidden_parts", lambda: {"里"})
    for character, other, shown in (
        ("里", "", False),
        ("鋰", "", False),
        ("薶", "", False),
        ("銅", "", True),
        ("銅", "理", False),  # a composite of 釒 and 里
        ("銅", "江", True),
    ):
        one = replace(record(character, 167, 9, ""), other=other)
        assert may_be_shown(one) == shown, one
