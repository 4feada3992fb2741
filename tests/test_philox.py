"""Random numbers that are the same everywhere."""

import numpy as np
import pytest
from scipy import stats

from diffusion.philox import Philox, Stream, philox

# From kat_vectors of the authors' Random123: counter, key, and what they give after ten rounds.
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return np.array([int(word, 16) for word in text.split()], np.uint64)


@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_published_vectors(counter, key, expected):
    assert philox(words(counter)[:, None], words(key))[:, 0].tolist() == words(expected).tolist()


def test_a_number_depends_on_its_place_alone():
    counters = np.random.default_rng(0).integers(2**32, size=(4, 50), dtype=np.uint64)
    alone = [philox(counters[:, [i]], words("5 7"))[:, 0] for i in range(50)]
    assert np.array_equal(philox(counters, words("5 7")).T, alone)


def test_calls_go_on_with_the_next_block():
    whole = Philox(8, Stream.PART).integers(40)
    parts = Philox(8, Stream.PART)
    assert parts.integers(8).tolist() == whole[:8].tolist()
    assert parts.integers(5).tolist() == whole[8:13].tolist()  # the rest of its block is lost
    assert parts.integers(24).tolist() == whole[16:].tolist()


def test_seeds_streams_and_turns_have_numbers_of_their_own():
    asked = [(s, stream, turn) for s in (0, 1, 2**32, 2**63 - 1) for stream in Stream for turn in
             (0, 1)]  # fmt: skip
    numbers = [Philox(*one).integers(4).tolist() for one in asked]
    assert len({number for four in numbers for number in four}) == 4 * len(asked)


def test_numbers_are_spread_as_they_should_be():
    numbers = Philox(1, Stream.NOISE).random(100_000)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 0.01
    normal = Philox(1, Stream.NOISE).standard_normal((100, 1000))
    assert stats.kstest(normal.reshape(-1), "norm").pvalue > 0.01
    pairs = np.corrcoef(normal.reshape(-1, 2).T)[0, 1], np.corrcoef(normal[:2])[0, 1]
    assert np.abs(pairs).max() < 0.1


def test_normal_numbers_by_hand():
    first, second = words("6627e8d5 e169c58d").tolist()
    radius = (-2 * np.log((first + 1) / 2**32)) ** 0.5
    angle = 2 * np.pi * second / 2**32
    found = Philox(0, Stream.NOISE).standard_normal(3)
    assert found[:2] == pytest.approx([radius * np.cos(angle), radius * np.sin(angle)], abs=1e-15)
    assert found.shape == (3,)


def test_the_shapes_of_single_numbers():
    assert np.shape(Philox(0, Stream.PART).random()) == ()
    assert np.shape(Philox(0, Stream.PART).standard_normal()) == ()
