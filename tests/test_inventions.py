"""Inventions: which radical and part stand together, and that they are what is drawn."""

from collections import Counter

import numpy as np
import pytest
import torch

from conditioning.parts import compositions, existing, parts_of_sound
from conditioning.prompts import asked
from conditioning.radicals import find_radical
from diffusion import GlyphPipeline, inventions
from diffusion.inventions import choose, composed, fitting_parts, place, sketcher, ways
from diffusion.philox import Stream
from diffusion.request import Request

FEW = {"num_inference_steps": 5, "output_type": "pt"}


@pytest.fixture(scope="module")
def pipe():
    return GlyphPipeline.from_pretrained()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("robot; sound luo", ("robot", "", "luo")),
        ("Sea monster ;part ghost; left-right", ("sea monster; left-right", "ghost", "")),
        ("bell; sound of bells", ("bell; sound of bells", "", "")),
        ("noise; sound made by bells", ("noise; sound made by bells", "", "")),
        ("door; part of a house", ("door; part of a house", "", "")),
    ],
)
def test_a_line_says_its_part_or_its_sound(line, found):
    assert asked(line) == found


def test_chances_are_as_weights_say():
    drawn = Counter(choose({"a": 3, "b": 1}, seed, Stream.PART) for seed in range(4000))
    assert drawn["b"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert choose({"a": 3, "b": 1}, 7, Stream.PART, 2) == choose(
        {"a": 3, "b": 1}, 7, Stream.PART, 2
    )


def test_parts_of_a_sound_make_no_character_that_exists():
    number = find_radical("cart").number
    parts = fitting_parts(number, "luo")
    assert parts and parts.keys() <= parts_of_sound("luo").keys()
    assert not any(existing(number, part) for part in parts)


def test_a_seed_draws_parts_with_room_or_crowded_ones_where_there_are_no_others(monkeypatch):
    number = find_radical("horse").number

    def drawn(parts):
        return {place(number, parts, "top-bottom", seed)[0] for seed in range(12)}

    assert drawn({"聶": 1, "工": 1}) == {"工"}
    monkeypatch.setattr(inventions, "ROOMY", 2.0)
    assert drawn({"聶": 1, "工": 1}) == {"聶", "工"}
    assert place(number, {}, "top-bottom", 0) is None


def test_roles_of_two_radicals_follow_real_characters():
    sickness, part, words = composed(["sickness", "fire"], 0)
    assert (sickness.number, part, words) == (104, "火", "fire")
    assert composed(["fire", "sickness"], 0) == (sickness, part, words)
    both = {composed(["gold", "tree"], seed)[1] for seed in range(20)}
    assert len(both) == 2
    assert composed(["robot", "dragonfly"], 0) is None and composed(["water"] * 3, 0) is None
    assert composed(["a bird", "robot"], 0) is None or composed(["bird", "ghost"], 0)


def test_the_outlines_reach_nearly_all_real_pairs():
    pairs = [one for one in compositions().values() if one.radical and one.first and one.second]
    pairs = pairs[:: len(pairs) // 300]
    parts = [
        (one.radical, part)
        for one in pairs
        for part in (one.first, one.second)
        if existing(one.radical, part)
    ]
    assert np.mean([bool(ways(*pair)) for pair in parts]) > 0.85


def test_an_invention_is_what_was_asked_for(pipe):
    drawn = pipe("lithium", part="里", radical="metal", num_images_per_prompt=4, **FEW)
    for invention in drawn.inventions:
        assert invention.caption == "gold; lithium" and invention.part == "里"
        assert invention.form in find_radical("metal").forms
        assert invention.existing[0] == "鋰"
    assert {match.character for match in drawn.matches} <= {"鋰", "锂"}
    assert drawn.redrawn == [0] * 4  # what was asked for is drawn though it exists
    assert not drawn.images[0].equal(drawn.images[1])


def test_company_changes_no_glyph(pipe):
    lines = ["lithium; part 里", "gold", "robot; sound luo", "fish; top-bottom", "water AND bird"]
    together = pipe(lines, seed=3, **FEW)
    for i, line in enumerate(lines):
        alone = pipe(line, seed=3 + i, **FEW)
        assert alone.inventions == together.inventions[i : i + 1]
        assert alone.images[0].equal(together.images[i])
    done = []
    pipe(lines, seed=3, progress=done.append, **FEW)
    assert sum(done) == pytest.approx(len(lines))


def test_without_noise_a_sketch_is_only_decoded(pipe):
    drawing = np.zeros((128, 128), np.float32)
    drawing[20:108, 58:70] = drawing[58:70, 20:108] = 1
    drawn = pipe("ten", sketch=drawing, time=0, redraws=0, **FEW)
    decoded = pipe.decode(pipe.autoencoder.encode(pipe.drawing(drawing)[None]))
    assert (drawn.images - decoded).abs().max() < 1e-4
    noise = pipe("ten", sketch=drawing, time=1, redraws=0, seed=5, **FEW)
    plain = pipe("ten", redraws=0, seed=5, part="none", **FEW)
    assert torch.equal(noise.images, plain.images)


def test_time_widens_what_comes_of_one_sketch(pipe):
    sketch = sketcher().sketch("a", "火", "鳥")

    def spread(time):
        drawn = pipe("fire", sketch=sketch, time=time, num_images_per_prompt=6, **FEW)
        return drawn.images.var(dim=0).mean()

    assert 2 * spread(0.2) < spread(0.8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"part": "里", "sound": "li"}, "one part beside"),
        ({"part": "里", "radical": "none"}, "leave out radical none"),
        ({"part": "里利"}, "more than one part"),
        ({"part": "blorp"}, "no part means"),
        ({"part": "里", "radical": "metal", "layout": "enclosed"}, "never stand enclosed"),
        ({"sound": "blorp"}, "near ones are"),
        ({"sketch": "mine.png", "part": "里"}, "a sketch is of the whole"),
        ({"time": 1.5}, "take 0 to 1"),
        ({"conjunction": "both"}, "compose, sum"),
        ({"prompts": "water AND fire", "part": "里"}, "AND"),
        ({"prompts": "gold; part 里; part 利"}, "more than one part"),
        ({"prompts": "gold; sound blorp"}, "no part is read"),
    ],
)
def test_what_cannot_be_is_named_before_anything_is_drawn(settings, message):
    with pytest.raises(ValueError, match=message):
        Request(**({"prompts": "gold"} | settings))
